// What commands say when they are told to end: what is kept, and how to go on.
import { once } from 'node:events';
import { mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { enxame } from '../enxame-process.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'enxame-stopping-'));
});

afterEach(() => rm(folder, { recursive: true }));

const at = (...path: string[]) => join(folder, ...path);

/** Ends the command as soon as it runs; what it said on stderr, without log lines. */
async function stopped(signal: NodeJS.Signals, ...args: string[]) {
  const { child, ended } = enxame(args, { ENXAME_LOG_LEVEL: 'debug' });
  await once(child.stderr!, 'data');
  child.kill(signal);
  const { code, stdout, stderr } = await ended;
  return { code, stdout, said: stderr.split('\n').filter((line) => !line.startsWith('{')) };
}

test('create wrote nothing', async () => {
  await writeFile(at('huge'), '');
  await truncate(at('huge'), 64 * 2 ** 30);
  const { code, stdout, said } = await stopped('SIGINT', 'create', at('huge'), '-o', at('huge.torrent'));
  expect([code, stdout, said]).toEqual([
    1,
    '',
    ['enxame create: stopped; nothing was written, and the same command begins again', ''],
  ]);
  expect(await readdir(folder)).toEqual(['huge']);
});

test('simulate keeps nothing, and stops in the middle', async () => {
  const { code, stdout, said } = await stopped('SIGTERM', 'simulate', '--nodes', '2000', '--pieces', '2000');
  expect([code, stdout, said]).toEqual([
    1,
    '',
    ['enxame simulate: stopped; nothing is kept, and the same command gives the same figures', ''],
  ]);
});

test('a page that cannot be written is known before the simulation', async () => {
  const args = ['simulate', '--nodes', '2000', '--pieces', '2000', '--html', at('nowhere', 'page.html')];
  const { code, stderr } = await enxame(args).ended;
  expect([code, stderr]).toEqual([
    1,
    expect.stringContaining('use --html with a file in a folder that exists'),
  ]);
});

test.each<NodeJS.Signals>(['SIGINT', 'SIGTERM', 'SIGHUP'])(
  'on %s download and seed say what is kept',
  async (signal) => {
    await writeFile(at('file'), 'some content');
    expect((await enxame(['create', at('file'), '-o', at('x.torrent')]).ended).code).toBe(0);
    const end = async (...args: string[]) => {
      const run = enxame([...args, '--listen', '127.0.0.1:0', '--json']);
      await run.nextLine();
      run.child.kill(signal);
      const { code, stderr } = await run.ended;
      return [code, stderr.split('\n').at(-2)];
    };
    expect(await end('download', at('x.torrent'), at('out'))).toEqual([
      1,
      `enxame download: stopped at 0 %; what is verified stays in ${at('out')}, and the same command goes on`,
    ]);
    expect(await end('download', `magnet:?xt=urn:btih:${'ab'.repeat(20)}`, at('out'))).toEqual([
      1,
      'enxame download: stopped before anything was written; the same command begins again',
    ]);
    expect(await end('seed', at('x.torrent'), at('file'))).toEqual([
      0,
      `enxame seed: stopped after 0 B sent; ${at('file')} was only read, and the same command seeds it again`,
    ]);
  },
);
