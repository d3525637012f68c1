// What somebody else does to the files of a storage while it is open.
import { execFileSync } from 'node:child_process';
import { hash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { MemoryShare } from '../../../../torrent/memory-ledger.ts';
import { openStorage, type StorageOptions } from '../../../../torrent/storage/open-storage.ts';
import type { PieceStorage } from '../../../../torrent/storage/piece-storage.ts';
import { ReadCache } from '../../../../torrent/storage/reading/read-cache.ts';
import { PieceThread } from '../../../../torrent/storage/writing/piece-thread.ts';
import { rejectionOf } from '../../failure.ts';
import { makeFolder, makeTorrent, PIECE } from '../content.ts';
import { FaultyDisk } from './faulty-disk.ts';

const { metainfo, piece, content } = makeTorrent([
  { path: 'sub/file', length: 8 * PIECE },
  { path: 'other', length: 4 * PIECE },
  { path: 'empty', length: 0 },
]);

let folder: string;
let remove: () => void;
let root: string;
let file: string;
let opened: PieceStorage[];
const thread = new PieceThread({ worthBytesPerSecond: 0 });

beforeEach(() => {
  ({ folder, remove } = makeFolder());
  root = join(folder, 'root');
  file = join(root, 'sub', 'file');
  opened = [];
});

afterEach(async () => {
  await Promise.all(opened.map((storage) => storage.close()));
  await thread.close();
  remove();
});

async function open(options: Partial<StorageOptions> = {}): Promise<PieceStorage> {
  const storage = await openStorage({ metainfo, root, readCache: new ReadCache(), ...options });
  opened.push(storage);
  return storage;
}

async function fill(storage: PieceStorage, pieces: Iterable<number>): Promise<void> {
  for (const index of pieces) {
    const data = storage.allocatePiece(PIECE);
    piece(index).copy(data);
    expect(await storage.writePiece(index, data)).toBe('verified');
  }
}

const missing = ({ have }: PieceStorage) =>
  [...Array(metainfo.pieceCount).keys()].filter((index) => !have.get(index));

function overwrite(path: string, at = 0, length = 2 * PIECE): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.alloc(length, 'Z'), 0, length, at);
  closeSync(fd);
}

/** What is done to sub/file, of which pieces 0 to 5 are held, and which of them are lost with it. */
const DAMAGES: [string, () => void, number[]][] = [
  ['removed', () => unlinkSync(file), [0, 1, 2, 3, 4, 5]],
  ['cut', () => truncateSync(file, 2 * PIECE + 5), [2, 3, 4, 5]],
  ['emptied', () => truncateSync(file, 0), [0, 1, 2, 3, 4, 5]],
  ['renamed', () => renameSync(file, `${file}.away`), [0, 1, 2, 3, 4, 5]],
  ['overwritten in place', () => overwrite(file), [0, 1]],
  [
    'overwritten in place and given another mode',
    () => {
      overwrite(file);
      chmodSync(file, 0o600);
    },
    [0, 1],
  ],
  [
    'overwritten in place with its time kept',
    () => {
      writeFileSync(join(folder, 'time'), '');
      execFileSync('touch', ['-r', file, join(folder, 'time')]);
      overwrite(file);
      execFileSync('touch', ['-r', join(folder, 'time'), file]);
    },
    [0, 1],
  ],
  [
    'replaced by an empty file',
    () => {
      unlinkSync(file);
      writeFileSync(file, '');
    },
    [0, 1, 2, 3, 4, 5],
  ],
  [
    'replaced by another of the same length',
    () => {
      writeFileSync(`${file}.new`, Buffer.alloc(8 * PIECE));
      renameSync(`${file}.new`, file);
    },
    [0, 1, 2, 3, 4, 5],
  ],
  ['gone with its folder', () => rmSync(join(root, 'sub'), { recursive: true }), [0, 1, 2, 3, 4, 5]],
];

/** What leaves the bytes as they are. */
const HARMLESS: [string, () => void][] = [
  ['touched', () => utimesSync(file, 1000, 1000)],
  ['given another mode', () => chmodSync(file, 0o600)],
  ['linked to by another name', () => linkSync(file, join(folder, 'link'))],
  ['made longer', () => writeFileSync(file, 'more', { flag: 'a' })],
  [
    'replaced by a copy',
    () => {
      writeFileSync(`${file}.new`, readFileSync(file));
      renameSync(`${file}.new`, file);
    },
  ],
];

describe.each([
  ['written where we are', {}],
  ['written by a thread', { pieceThread: thread }],
])('a file in mid-download, %s', (_, options) => {
  test.each(DAMAGES)('%s: what is lost is known and written again', async (_name, act, lost) => {
    const storage = await open(options);
    await fill(storage, [0, 1, 2, 3, 4, 5, 8, 9, 10, 11]);
    act();
    // Whatever the next write says, nothing that is not there counts as held in the end.
    await fill(storage, [6]).catch(() => undefined);
    await fill(storage, [6, 7]);
    expect((await rejectionOf(storage.finalize())).code).toBe('FileChanged');
    const told: number[] = [];
    const { isSettled } = await storage.look({ onLost: (index) => told.push(index) });
    expect(isSettled).toBe(true);
    // Of the pieces written after it, some may have gone the same way; of the others none.
    expect(missing(storage).filter((index) => index !== 6 && index !== 7)).toEqual(lost);
    expect(told.sort((a, b) => a - b)).toEqual(missing(storage));
    await fill(storage, missing(storage));
    await storage.finalize();
    expect(readFileSync(file).equals(content.subarray(0, 8 * PIECE))).toBe(true);
    expect(readFileSync(join(root, 'other')).equals(content.subarray(8 * PIECE))).toBe(true);
  });

  test.each(HARMLESS)('%s: nothing is lost', async (_name, act) => {
    const storage = await open(options);
    await fill(storage, [0, 1, 2, 3, 4, 5]);
    act();
    // To a file of another length or identity, nothing is written before it was looked at.
    await fill(storage, [6]).catch(() => storage.look());
    await fill(storage, [6, 7, 8, 9, 10, 11]);
    await storage.finalize();
    expect(readFileSync(file).equals(content.subarray(0, 8 * PIECE))).toBe(true);
  });
});

test.each<[string, () => void]>([
  ['a folder', () => mkdirSync(file)],
  ['a symlink', () => symlinkSync(join(folder, 'precious'), file)],
  ['a pipe', () => execFileSync('mkfifo', [file])],
])('a file that became %s is lost, and nothing is written in its place', async (_, act) => {
  const storage = await open();
  await fill(storage, Array(12).keys());
  writeFileSync(join(folder, 'precious'), Buffer.alloc(8 * PIECE));
  unlinkSync(file);
  act();
  expect((await rejectionOf(storage.finalize())).code).toBe('FileChanged');
  const told: number[] = [];
  await storage.look({ onLost: (index) => told.push(index) });
  expect(told).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect((await rejectionOf(storage.writePiece(0, piece(0)))).code).toBe('UnsafePath');
  expect(readFileSync(join(folder, 'precious')).every((byte) => byte === 0)).toBe(true);
});

test.each<[string, () => void]>([
  ['moved', () => renameSync(root, `${root}.away`)],
  ['removed', () => rmSync(root, { recursive: true })],
  [
    'replaced by a copy, as by a mount',
    () => {
      renameSync(root, `${root}.away`);
      execFileSync('cp', ['-a', `${root}.away`, root]);
    },
  ],
])('a root that was %s is an error', async (_, act) => {
  const storage = await open();
  await fill(storage, Array(12).keys());
  act();
  const { code, message } = await rejectionOf(storage.finalize());
  expect([code, message]).toEqual([
    'FileChanged',
    expect.stringContaining(`${root} was moved, removed or replaced`),
  ]);
});

test('what is changed after it is finished is found by finishing once more', async () => {
  const storage = await open();
  await fill(storage, Array(12).keys());
  await storage.finalize();
  await storage.finalize();
  unlinkSync(join(root, 'empty'));
  writeFileSync(join(root, 'empty'), 'not so');
  await storage.finalize();
  expect(statSync(join(root, 'empty')).size).toBe(0);
  unlinkSync(file);
  expect((await rejectionOf(storage.finalize())).code).toBe('FileChanged');
});

test('a touched file is served, each piece hashed before it is read', async () => {
  await fill(await open(), Array(12).keys());
  let hashed = 0;
  const storage = await open({
    alreadyVerified: true,
    hash: (data) => {
      hashed++;
      return hash('sha1', data, 'buffer');
    },
  });
  utimesSync(file, 1000, 1000);
  expect((await storage.readBlock(3, 5, 100)).equals(piece(3).subarray(5, 105))).toBe(true);
  expect(hashed).toBe(1);
  expect((await storage.readBlock(3, 200, 100)).equals(piece(3).subarray(200, 300))).toBe(true);
  expect(hashed).toBe(1);
  expect((await storage.look()).isSettled).toBe(true);
  expect(hashed).toBe(8);
  expect(storage.have.isFull).toBe(true);
});

test('of a file changed in part the rest is served, and what is lost is never given out', async () => {
  await fill(await open(), Array(12).keys());
  const storage = await open({ alreadyVerified: true });
  // In memory before the change.
  await storage.readBlock(0, 0, 100);
  overwrite(file);
  expect((await storage.readBlock(4, 0, 100)).equals(piece(4).subarray(0, 100))).toBe(true);
  expect((await rejectionOf(storage.readBlock(0, 0, 100))).code).toBe('FileChanged');
  expect(storage.cachedBlock(0, 0, 100)).toBeUndefined();
  const told: number[] = [];
  const { damaged } = await storage.look({ onLost: (index) => told.push(index) });
  expect([told, damaged]).toEqual([[0, 1], ['sub/file']]);
});

test('a look that is ended leaves in doubt what it did not reach, also in resume data', async () => {
  const resumeFile = join(folder, 'resume');
  const storage = await open({ resumeFile });
  await fill(storage, Array(12).keys());
  await storage.saveResume();
  overwrite(file);
  expect((await storage.look({ signal: AbortSignal.abort() })).isSettled).toBe(false);
  await storage.saveResume();
  await storage.close();
  const again = await open({ resumeFile });
  expect(missing(again)).toEqual([0, 1]);
});

test('a file that changes between the read and the look at it is hashed once more', async () => {
  await fill(await open(), Array(12).keys());
  const disk = new FaultyDisk();
  const storage = await open({ alreadyVerified: true, disk });
  utimesSync(file, 1, 1);
  const read = disk.read.bind(disk);
  let reads = 0;
  disk.read = async (...args) => {
    const count = await read(...args);
    // The second one is that of the hash.
    if (reads++ === 1) overwrite(file);
    return count;
  };
  expect((await rejectionOf(storage.readBlock(0, 0, 10))).code).toBe('FileChanged');
  expect(storage.have.get(0)).toBe(false);
});

/** The file is touched at each of these reads; returns how many there were. */
function touchedAt(disk: FaultyDisk, isTouched: (read: number) => boolean): () => number {
  let reads = 0;
  disk.before = async (operation) => {
    if (operation === 'read' && isTouched(reads++)) utimesSync(file, 1000, 1000 + reads);
  };
  return () => reads;
}

test('a block is read three times at most, where its file changes each time', async () => {
  await fill(await open(), Array(12).keys());
  const disk = new FaultyDisk();
  const storage = await open({ alreadyVerified: true, disk });
  // The reads in between are those of the hash.
  const reads = touchedAt(disk, (read) => read % 2 === 0);
  expect((await rejectionOf(storage.readBlock(0, 0, 10))).message).toContain('are being changed');
  expect(reads()).toBe(5);
});

test('what goes on changing is hashed three times, in each of three rounds', async () => {
  await fill(await open(), Array(12).keys());
  const disk = new FaultyDisk();
  const storage = await open({ alreadyVerified: true, disk });
  const reads = touchedAt(disk, () => true);
  utimesSync(file, 1, 1);
  expect((await storage.look()).isSettled).toBe(false);
  expect(reads()).toBe(8 * 3 * 3);
});

test('eight files are looked at at the same time', async () => {
  const many = makeTorrent(Array.from({ length: 20 }, (_, i) => ({ path: `${i}`, length: PIECE })));
  const disk = new FaultyDisk();
  const storage = await open({ metainfo: many.metainfo, disk });
  for (let i = 0; i < 20; i++) await storage.writePiece(i, many.piece(i));
  let running = 0;
  let most = 0;
  disk.before = async () => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
  };
  expect((await storage.look()).isSettled).toBe(true);
  expect(most).toBe(8);
});

test('a file that changes whenever it is read ends the look', async () => {
  await fill(await open(), Array(12).keys());
  const disk = new FaultyDisk();
  const storage = await open({ alreadyVerified: true, disk });
  let time = 1000;
  disk.before = async (operation) => {
    if (operation === 'read') utimesSync(file, time, time++);
  };
  utimesSync(file, 1, 1);
  expect((await storage.look()).isSettled).toBe(false);
  expect((await rejectionOf(storage.readBlock(0, 0, 10))).code).toBe('FileChanged');
  disk.before = undefined;
  expect((await storage.look()).isSettled).toBe(true);
  expect((await storage.readBlock(0, 0, 10)).length).toBe(10);
});

test('a file that was replaced by one of its length and time is found by a look', async () => {
  const storage = await open();
  await fill(storage, Array(12).keys());
  writeFileSync(`${file}.new`, Buffer.alloc(8 * PIECE), { mode: 0o600 });
  execFileSync('touch', ['-r', file, `${file}.new`]);
  renameSync(`${file}.new`, file);
  expect((await storage.look()).damaged).toEqual([]);
  expect(missing(storage)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
});

test('content that is only served is not written to, and is reached over symlinks', async () => {
  await fill(await open(), Array(12).keys());
  renameSync(join(root, 'sub'), join(folder, 'elsewhere'));
  symlinkSync(join(folder, 'elsewhere'), join(root, 'sub'));
  const storage = await open({ readOnly: true });
  expect(storage.have.isFull).toBe(true);
  expect((await storage.readBlock(0, 0, 10)).equals(piece(0).subarray(0, 10))).toBe(true);
  unlinkSync(join(folder, 'elsewhere', 'file'));
  await storage.look();
  expect(missing(storage)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect((await rejectionOf(storage.writePiece(0, piece(0)))).code).toBe('ReadOnly');
  expect((await rejectionOf(open({ readOnly: true, root: join(folder, 'nowhere') }))).code).toBe(
    'FileChanged',
  );
});

test.each(['slow', 'distant'])(
  'what we write ourselves, while a block is read, is nobody else’s change (%s disk)',
  async (kind) => {
    const disk = new FaultyDisk();
    // Every write takes two parts and lasts.
    disk.mostBytes = PIECE / 2;
    disk.isDistant = kind === 'distant';
    let hashes = 0;
    const storage = await open({
      disk,
      // Nothing is kept: every block is read from the file.
      readCache: new ReadCache(new MemoryShare(1)),
      hash: async (data) => {
        hashes++;
        return hash('sha1', data, 'buffer');
      },
    });
    await fill(storage, [0, 1]);
    disk.before = async (operation) => {
      if (operation === 'write') await nextTurn();
    };
    hashes = 0;
    let isWriting = true;
    const written = fill(storage, [2, 3, 4, 5, 6, 7]).finally(() => {
      isWriting = false;
    });
    while (isWriting) {
      storage.release(await storage.readBlock(1, 0, 100));
      storage.release(await storage.readBlock(0, 0, 100));
      await nextTurn();
    }
    await written;
    expect(await storage.look()).toEqual({ isSettled: true, damaged: [] });
    // Each piece once, when it was written.
    expect(hashes).toBe(6);
  },
);
