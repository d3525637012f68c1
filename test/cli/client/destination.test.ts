import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Destination, meetingPaths } from '../../../cli/client/destination.ts';
import { UsageError } from '../../../cli/errors.ts';
import { buildInfoDictionary, type Metainfo, PieceHasher, parseInfo } from '../../../torrent/index.ts';

const PIECE = 16_384;
const GOOD = Buffer.alloc(2 * PIECE, 7);
const OTHER = Buffer.alloc(3 * PIECE, 9);

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'enxame-destination-'));
});

afterEach(() => rm(folder, { recursive: true }));

function metainfo(): Metainfo {
  const hasher = new PieceHasher(PIECE);
  hasher.update(GOOD);
  hasher.update(OTHER);
  const files = [
    { path: 'good', lengthBytes: GOOD.length, executable: false },
    { path: 'other', lengthBytes: OTHER.length, executable: false },
  ];
  return parseInfo(
    buildInfoDictionary({ name: 'n', private: false, pieceLength: PIECE, pieces: hasher.finish(), files }),
  );
}

async function put(name: string, bytes: Uint8Array): Promise<void> {
  await mkdir(join(folder, 'n'), { recursive: true });
  await writeFile(join(folder, 'n', name), bytes);
}

async function open(replace = false, of: Metainfo = metainfo()): Promise<number> {
  const storage = await new Destination(folder, of).open({
    replace,
    signal: new AbortController().signal,
    onChecked: () => {},
  });
  await storage.close();
  return storage.have.count;
}

test.each<[string, Buffer]>([
  ['is longer than ours', Buffer.concat([OTHER, Buffer.from('my notes')])],
  ['is shorter and has nothing of ours', Buffer.from('my notes')],
])('a file that %s is left alone, also beside good ones, unless it may be replaced', async (_, bytes) => {
  await put('good', GOOD);
  await put('other', bytes);
  await expect(open()).rejects.toThrow(UsageError);
  await expect(open()).rejects.toThrow(/n\/other exists and holds something else; move it away/);
  expect(await readFile(join(folder, 'n', 'other'))).toEqual(bytes);
  expect((await readdir(folder)).sort()).toEqual(['n']);
  expect(await open(true)).toBeGreaterThanOrEqual(2);
});

test('a file of the same length with nothing of ours is left alone where nothing else is ours', async () => {
  await put('other', Buffer.alloc(OTHER.length));
  await expect(open()).rejects.toThrow(/exists and holds something else/);
  await put('good', GOOD);
  expect(await open()).toBe(2);
});

test('a part of the content is gone on with', async () => {
  await put('other', OTHER.subarray(0, PIECE + 5));
  expect(await open()).toBe(1);
});

test('what was begun is ours, also before the first piece is here', async () => {
  expect(await open()).toBe(0);
  // As a crash in the first write leaves it.
  await put('other', Buffer.alloc(OTHER.length));
  expect(await open()).toBe(0);
});

/** Root may write anywhere: it does the work as nobody. */
async function withoutPower(work: () => Promise<void>): Promise<void> {
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65_534);
  try {
    await work();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}

test('where nobody may write, complete content is taken as it is, and a part of it is refused', async () => {
  await put('good', GOOD);
  await put('other', OTHER);
  await chmod(folder, 0o555);
  await chmod(join(folder, 'n'), 0o555);
  await withoutPower(async () => expect(await open()).toBe(5));
  expect(await readdir(folder)).toEqual(['n']);
  await chmod(join(folder, 'n'), 0o755);
  await rm(join(folder, 'n', 'other'));
  await chmod(join(folder, 'n'), 0o555);
  await withoutPower(() =>
    expect(open()).rejects.toThrow(
      /n may not be written to \(EACCES\), and 3 of 5 pieces are missing; name a folder that may be written to/,
    ),
  );
  await chmod(join(folder, 'n'), 0o755);
  await chmod(folder, 0o755);
});

test.each<[string[], [string, string] | undefined]>([
  [['a/b', 'a/c'], undefined],
  [
    ['a/b', 'a/B'],
    ['a/b', 'a/B'],
  ],
  [
    ['Deep/b', 'deep/c'],
    ['Deep', 'deep'],
  ],
  [
    ['\u00e9', 'e\u0301x', 'E\u0301'],
    ['\u00e9', 'E\u0301'],
  ],
])('of the paths %j, %j are one where case is no difference', (paths, meeting) => {
  const [file] = metainfo().files;
  expect(meetingPaths(paths.map((path) => ({ ...file!, path: path.split('/') })))).toEqual(meeting);
});

test('names that differ only in case are no matter where the file system tells them apart', async () => {
  const { files, ...rest } = metainfo();
  const same = files.map((file, index) => ({ ...file, path: [index === 0 ? 'name' : 'NAME'] }));
  expect(await open(false, { ...rest, files: same } as Metainfo)).toBe(0);
});

test('a download that cannot fit is refused with the numbers, and leaves nothing to go on with', async () => {
  const pieceLength = 64 * 1024 * 1024;
  const pieces = 100_000;
  const info = buildInfoDictionary({
    name: 'n',
    private: false,
    pieceLength,
    pieces: Buffer.alloc(pieces * 20),
    files: [{ path: 'huge', lengthBytes: pieces * pieceLength, executable: false }],
  });
  await expect(open(false, parseInfo(info))).rejects.toThrow(/free and 6\.1 TiB are needed; free some space/);
  expect(await readdir(folder)).toEqual(['n']);
});
