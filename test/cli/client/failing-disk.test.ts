// What seed does when its disk fails: the program as it is shipped, with reads and looks that fail on demand.
import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { addressOf, LOOPBACK, Runs } from '../enxame-process.ts';

/** Loaded before the program: once the file of that name is there, these functions of `node:fs` fail. */
function failing(names: readonly string[], code: string, once: string): Record<string, string> {
  const source = `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    const { existsSync } = fs;
    const error = () => Object.assign(new Error('${code}: i/o error'), { code: '${code}', syscall: 'read' });
    for (const name of ${JSON.stringify(names)}) {
      const real = fs[name];
      fs[name] = (...args) => {
        if (!existsSync(${JSON.stringify(once)})) return real(...args);
        if (name.endsWith('Sync')) throw error();
        process.nextTick(args.at(-1), error());
      };
    }
    syncBuiltinESMExports();`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(source)}` };
}

const READS = ['read', 'readSync'];
const LOOKS = ['open', 'openSync', 'stat', 'lstat', 'fstat', 'fstatSync'];

const runs = new Runs();
let folder: string;
let torrent: string;

const at = (...path: string[]) => join(folder, ...path);

/** A seed that listens to be asked, of a copy of the content in a folder of its own. */
async function seed(name: string, env: Record<string, string> = {}) {
  await mkdir(at(name));
  await copyFile(at('file'), at(name, 'file'));
  const run = runs.start(['seed', torrent, at(name, 'file'), ...LOOPBACK], env);
  const address = await addressOf(run);
  const ask = () => runs.start(['download', torrent, at('out'), ...LOOPBACK, '--peer', address]);
  return { run, ask };
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'enxame-failing-'));
  await writeFile(at('file'), randomBytes(640 * 1024));
  torrent = at('x.torrent');
  const { code } = await runs.start(['create', at('file'), '-o', torrent, '--piece-length', '16Ki']).ended;
  expect(code).toBe(0);
});

afterEach(async () => {
  await runs.endAll();
  await rm(folder, { recursive: true });
});

const unreadable = (code: string) =>
  expect.stringMatching(
    new RegExp(`^enxame seed: [^\\n]*/file: ${code}: i/o error; see that it can be read, then [^\\n]*\\n$`),
  );

describe('enxame seed, whose disk fails,', () => {
  test.each([
    ['EIO', READS],
    ['EIO', [...READS, ...LOOKS]],
    ['EACCES', READS],
    ['ESTALE', READS],
    ['ESTALE', [...READS, ...LOOKS]],
  ])('when a peer asks, ends with 1 and a line that says so: %s from %p', async (systemCode, names) => {
    const { run, ask } = await seed('place', failing(names, systemCode, at('broken')));
    await writeFile(at('broken'), '');
    ask();
    const { code, stderr } = await run.ended;
    expect([code, stderr]).toEqual([1, unreadable(systemCode)]);
  });

  test('when nobody asks, ends with 1 as soon as it looks at its files', async () => {
    const file = (name: string) => at(name, 'file');
    const { run } = await seed('failing', failing(LOOKS, 'EIO', at('broken')));
    const acts: [string, () => Promise<unknown>][] = [
      [
        'a folder in its place',
        () => unlink(file('a folder in its place')).then(() => mkdir(file('a folder in its place'))),
      ],
      ['moved', () => rename(at('moved'), at('away'))],
      ['replaced', () => rename(at('replaced'), at('gone')).then(() => mkdir(at('replaced')))],
    ];
    const seeds = await Promise.all(acts.map(async ([name]) => (await seed(name)).run));
    await writeFile(at('broken'), '');
    for (const [, act] of acts) await act();
    const { code, stderr } = await run.ended;
    expect([code, stderr]).toEqual([1, unreadable('EIO')]);
    for (const lost of seeds) {
      const ended = await lost.ended;
      expect([ended.code, ended.stderr]).toEqual([1, expect.stringMatching(/nothing is left of [^\n]*\n$/)]);
    }
  });
});
