// What download and seed do when somebody else changes files underneath them.
import { randomBytes } from 'node:crypto';
import {
  mkdtemp,
  open,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { addressOf, eventOf, LOOPBACK, Runs } from '../enxame-process.ts';

const PIECE = 16_384;
const PIECES = 40;

const runs = new Runs();
let folder: string;
let bytes: Buffer;
let torrent: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'enxame-changed-'));
  bytes = randomBytes(PIECES * PIECE);
  await writeFile(at('file'), bytes);
  torrent = at('x.torrent');
  expect((await start('create', at('file'), '-o', torrent, '--piece-length', '16Ki').ended).code).toBe(0);
});

afterEach(async () => {
  await runs.endAll();
  await rm(folder, { recursive: true });
});

const at = (...path: string[]) => join(folder, ...path);

const start = (...args: string[]) => runs.start(args);

const seed = (path = at('file')) => start('seed', torrent, path, ...LOOPBACK);

const download = (to: string, peer: string, ...more: string[]) =>
  start('download', torrent, at(to), ...LOOPBACK, '--peer', peer, ...more);

async function overwrite(path: string, pieces = 3): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(Buffer.alloc(pieces * PIECE, 'Z'), 0, pieces * PIECE, 0);
  await file.close();
}

const DAMAGES: [string, (file: string) => Promise<unknown>][] = [
  ['removed', unlink],
  ['cut', (file) => truncate(file, 100)],
  ['renamed', (file) => rename(file, `${file}.away`)],
  ['overwritten', (file) => overwrite(file, PIECES)],
  ['emptied', (file) => unlink(file).then(() => writeFile(file, ''))],
];

describe('enxame download', () => {
  test('fetches again what somebody else spoils in mid-download, and ends when all is right', async () => {
    const peer = await addressOf(seed());
    const outcomes = DAMAGES.map(async ([name, act]) => {
      const run = download(name, peer, '--down', '256Ki');
      await eventOf(run, ({ pieces }) => pieces > 4);
      await act(at(name, 'file'));
      const { code, stderr } = await run.ended;
      return [name, code, stderr, (await readFile(at(name, 'file'))).equals(bytes)];
    });
    for (const outcome of await Promise.all(outcomes))
      expect(outcome).toEqual([
        expect.anything(),
        0,
        expect.stringMatching(
          /^(enxame download: file changed on the disk: \d+ pieces? lost, fetched again[^\n]*\n)+$/,
        ),
        true,
      ]);
  });

  test('whose folder is taken away fails in one line that says so', async () => {
    const peer = await addressOf(seed());
    const run = download('out', peer, '--down', '256Ki');
    await eventOf(run, ({ pieces }) => pieces > 4);
    await rename(at('out'), at('away'));
    const { code, stdout, stderr } = await run.ended;
    expect([code, stdout.includes('complete')]).toEqual([1, false]);
    expect(stderr).toMatch(
      /^enxame download: the folder [^\n]*out was moved, removed or replaced by somebody else; keep others from writing there[^\n]*\n$/,
    );
  });

  test('with --seed fetches again what is spoilt later, and fails if it is not all there in the end', async () => {
    const first = await addressOf(seed());
    const run = download('out', first, '--seed');
    const second = await addressOf(run);
    await eventOf(run, (told) => told.event === 'complete');
    await overwrite(at('out', 'file'));
    const { code } = await download('leecher', second).ended;
    expect(code).toBe(0);
    expect((await readFile(at('out', 'file'))).equals(bytes)).toBe(true);
    await unlink(at('out', 'file'));
    run.child.kill('SIGTERM');
    const ended = await run.ended;
    expect(ended.code).toBe(1);
    expect(ended.stderr).toContain('file changed on the disk: 3 pieces lost, fetched again');
    expect(ended.stderr).toMatch(/40 of 40 pieces [^\n]* were lost [^\n]*the same command again/);
  });
});

describe('enxame seed', () => {
  test('of a file that was touched goes on', async () => {
    const run = seed();
    const peer = await addressOf(run);
    await utimes(at('file'), 1000, 1000);
    expect((await download('out', peer).ended).code).toBe(0);
    run.child.kill('SIGTERM');
    const { code, stderr } = await run.ended;
    expect([code, stderr]).toEqual([
      0,
      expect.stringMatching(/^enxame seed: stopped after 640\.0 KiB sent; [^\n]*\n$/),
    ]);
  });

  test('of a file changed in part serves the rest, says what is lost, and fails in the end', async () => {
    const run = seed();
    const peer = await addressOf(run);
    await overwrite(at('file'));
    const leecher = download('out', peer);
    await eventOf(leecher, ({ pieces }) => pieces === PIECES - 3);
    run.child.kill('SIGTERM');
    const { code, stderr } = await run.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^enxame seed: file changed on the disk: 3 pieces lost, served no more; the rest is\n/,
    );
    expect(stderr).toMatch(/\nenxame seed: 3 of 40 pieces of [^\n]* were lost while it was seeded[^\n]*\n$/);
    expect((await stat(at('file'))).size).toBe(bytes.length);
    expect((await readFile(at('file'))).subarray(0, 9).toString()).toBe('ZZZZZZZZZ');
  });

  test('of a file that is gone ends by itself, once nothing is left to serve', async () => {
    const run = seed();
    const peer = await addressOf(run);
    await truncate(at('file'), 0);
    download('out', peer);
    const { code, stderr } = await run.ended;
    expect([code, stderr]).toEqual([1, expect.stringContaining('nothing is left of ')]);
  });
});
