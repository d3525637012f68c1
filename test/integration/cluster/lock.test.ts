// The lock between runs: one holder at a time, and none that outlives its process.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { acquireLock, startTime } from '../../cluster/lock.ts';
import { makeOwnFolder } from '../../cluster/own-folder.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'enxame-lock-test-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const quiet = { log: () => undefined, doing: 'tests' };

test('has one holder at a time', async () => {
  const path = join(folder, 'turns');
  let holders = 0;
  let most = 0;
  const turn = async () => {
    const release = await acquireLock(path, quiet);
    holders += 1;
    most = Math.max(most, holders);
    await new Promise(setImmediate);
    holders -= 1;
    await release();
  };
  await Promise.all([turn(), turn(), turn()]);
  expect(most).toBe(1);
  expect(await readdir(folder)).toEqual([]);
});

test('is waited for while its holder lives, and broken once that has died', async () => {
  const path = join(folder, 'killed');
  const holder = spawn('sleep', ['600'], { stdio: 'ignore' });
  await once(holder, 'spawn');
  await writeFile(path, `${holder.pid} ${await startTime(holder.pid!)} x\n`);
  let acquired = false;
  const { promise: said, resolve: log } = Promise.withResolvers<string>();
  const lock = acquireLock(path, { log, doing: 'tests' }).then((release) => {
    acquired = true;
    return release;
  });
  expect(await said).toBe(`Another run (process ${holder.pid}) tests; waiting for it`);
  expect(acquired).toBe(false);
  holder.kill('SIGKILL');
  await (await lock)();
});

test('is broken when its process id now belongs to another process', async () => {
  const path = join(folder, 'reused');
  await writeFile(path, `${process.pid} 1 x\n`);
  await (await acquireLock(path, quiet))();
});

test('a folder of a process that is gone is cleared away, those of the living stay', async () => {
  const parent = join(folder, 'folders');
  await mkdir(join(parent, `enxame-x-${process.pid}-1-gone`), { recursive: true });
  await mkdir(join(parent, 'enxame-x-somebody'), { recursive: true });
  const first = await makeOwnFolder('x', parent);
  const second = await makeOwnFolder('x', parent);
  const names = [first, second].map((path) => path.slice(parent.length + 1));
  expect((await readdir(parent)).sort()).toEqual([...names, 'enxame-x-somebody'].sort());
});
