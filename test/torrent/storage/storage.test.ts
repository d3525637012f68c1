import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { encodeBencode } from '../../../torrent/bencode.ts';
import { parseInfo } from '../../../torrent/metainfo.ts';
import { OpenFiles } from '../../../torrent/storage/disk/open-files.ts';
import { openStorage, type StorageOptions } from '../../../torrent/storage/open-storage.ts';
import type { PieceStorage } from '../../../torrent/storage/piece-storage.ts';
import { ReadCache } from '../../../torrent/storage/reading/read-cache.ts';
import type { PieceThread } from '../../../torrent/storage/writing/piece-thread.ts';
import type { PieceWrite } from '../../../torrent/storage/writing/piece-write.ts';
import { rejectionOf } from '../failure.ts';
import { makeFolder, makeTorrent, PIECE } from './content.ts';
import { FaultyDisk } from './disk/faulty-disk.ts';

const torrent = makeTorrent([
  { path: 'bin/run', length: 20_000, executable: true },
  { path: 'empty', length: 0 },
  { path: 'deep/er/one', length: 1 },
  { path: '.pad/1', length: 12_000, padding: true },
  { path: 'deep/large file é', length: 100_000 },
]);
const { metainfo, content, piece } = torrent;

let folder: string;
let remove: () => void;
let root: string;
let resumeFile: string;
let disk: FaultyDisk;
let opened: PieceStorage[];

beforeEach(() => {
  ({ folder, remove } = makeFolder());
  root = join(folder, 'root');
  resumeFile = join(folder, 'state', 'test.resume');
  disk = new FaultyDisk();
  opened = [];
});

afterEach(async () => {
  disk.faults.clear();
  await Promise.all(opened.map((storage) => storage.close()));
  // Whatever happened: every descriptor was closed, once.
  expect([...disk.opened]).toEqual([]);
  remove();
});

async function open(options: Partial<StorageOptions> = {}): Promise<PieceStorage> {
  const storage = await openStorage({
    metainfo,
    root,
    resumeFile,
    disk,
    openFiles: new OpenFiles(),
    readCache: new ReadCache(),
    ...options,
  });
  opened.push(storage);
  return storage;
}

/** Opens and counts the pieces that had to be hashed. */
async function openCounting(
  options: Partial<StorageOptions> = {},
): Promise<{ storage: PieceStorage; hashed: number }> {
  let hashed = 0;
  const storage = await open({ onChecked: () => hashed++, ...options });
  return { storage, hashed };
}

async function fill(
  storage: PieceStorage,
  pieces: Iterable<number> = Array(metainfo.pieceCount).keys(),
): Promise<void> {
  for (const index of pieces) expect(await storage.writePiece(index, piece(index))).toBe('verified');
}

async function expectContent(storage: PieceStorage): Promise<void> {
  for (let index = 0; index < metainfo.pieceCount; index++) {
    const block = await storage.readBlock(index, 0, metainfo.pieceLengthAt(index));
    expect(block.equals(piece(index))).toBe(true);
  }
}

const onDisk = (path: string) => readFileSync(join(root, path));

describe('writing', () => {
  test('puts every byte where it belongs, over borders of files, without padding', async () => {
    const storage = await open();
    expect(storage.have.isEmpty).toBe(true);
    await fill(storage);
    expect(storage.have.isFull).toBe(true);
    await storage.finalize();
    expect(onDisk('bin/run').equals(content.subarray(0, 20_000))).toBe(true);
    expect(onDisk('deep/er/one').equals(content.subarray(20_000, 20_001))).toBe(true);
    expect(onDisk('deep/large file é').equals(content.subarray(32_001))).toBe(true);
    expect(onDisk('empty')).toHaveLength(0);
    expect(readdirSync(root).sort()).toEqual(['bin', 'deep', 'empty']);
    expect(statSync(join(root, 'bin/run')).mode & 0o777).toBe(0o755);
    expect(statSync(join(root, 'empty')).mode & 0o777).toBe(0o644);
    await expectContent(storage);
  });

  test('in any order and at the same time', async () => {
    const storage = await open();
    await Promise.all([5, 2, 7, 0, 1, 3, 6, 4, 8].map((index) => storage.writePiece(index, piece(index))));
    expect(storage.have.isFull).toBe(true);
    await expectContent(storage);
  });

  test('gives files their length at once, sparse, and makes nothing before it is needed', async () => {
    const storage = await open();
    expect(readdirSync(root)).toEqual([]);
    await fill(storage, [6]);
    expect(statSync(join(root, 'deep/large file é')).size).toBe(100_000);
    expect(existsSync(join(root, 'bin'))).toBe(false);
  });

  test('leaves a corrupt piece unwritten', async () => {
    const storage = await open();
    const corrupt = piece(3);
    corrupt[100] = (corrupt[100] ?? 0) ^ 1;
    expect(await storage.writePiece(3, corrupt)).toBe('corrupt');
    expect(storage.have.get(3)).toBe(false);
    expect(readdirSync(root)).toEqual([]);
    expect(await storage.writePiece(3, piece(3))).toBe('verified');
  });

  test('does not write a held piece again, not even with other bytes', async () => {
    const storage = await open();
    await fill(storage, [3]);
    const before = disk.count('write');
    expect(await storage.writePiece(3, Buffer.alloc(PIECE))).toBe('verified');
    expect(disk.count('write')).toBe(before);
  });

  test('refuses pieces of another length or beyond the end', async () => {
    const storage = await open();
    expect((await rejectionOf(storage.writePiece(0, Buffer.alloc(PIECE - 1)))).code).toBe('InvalidRequest');
    expect((await rejectionOf(storage.writePiece(metainfo.pieceCount, Buffer.alloc(1)))).code).toBe(
      'InvalidRequest',
    );
    expect((await rejectionOf(storage.writePiece(-1, Buffer.alloc(1)))).code).toBe('InvalidRequest');
  });

  test('goes on where the disk takes less than it is given', async () => {
    disk.mostBytes = 777;
    const storage = await open();
    await fill(storage);
    expect(onDisk('bin/run').equals(content.subarray(0, 20_000))).toBe(true);
    await expectContent(storage);
  });
});

describe('reading', () => {
  test('gives any bytes of a held piece', async () => {
    const storage = await open();
    await fill(storage);
    for (const [index, offset, length] of [
      [0, 0, 1],
      [1, 3000, 9000],
      [8, metainfo.pieceLengthAt(8) - 1, 1],
    ] as const) {
      const expected = piece(index).subarray(offset, offset + length);
      expect((await storage.readBlock(index, offset, length)).equals(expected)).toBe(true);
      expect(storage.cachedBlock(index, offset, length)?.equals(expected)).toBe(true);
    }
  });

  test('refuses pieces that are not held and bytes outside', async () => {
    const storage = await open();
    await fill(storage, [0]);
    for (const [index, offset, length] of [
      [1, 0, 1],
      [0, 0, PIECE + 1],
      [0, PIECE, 1],
      [0, -1, 1],
      [0, 0, 0],
      [0, 0, -1],
      [99, 0, 1],
    ] as const) {
      expect((await rejectionOf(storage.readBlock(index, offset, length))).code).toBe('InvalidRequest');
      expect(storage.cachedBlock(index, offset, length)).toBeUndefined();
    }
  });

  test('of one neighbourhood costs one read, for all who ask at the same time and later', async () => {
    await fill(await open());
    const storage = await open();
    const before = disk.count('read');
    await Promise.all(Array.from({ length: 20 }, (_, i) => storage.readBlock(4, i * 100, 100)));
    await storage.readBlock(4, 8000, 100);
    // A read that fills its buffer is the last; piece 4 lies in one file.
    expect(disk.count('read') - before).toBe(1);
    expect(storage.cachedBlock(4, 0, PIECE)?.equals(piece(4))).toBe(true);
    expect(storage.cachedBlock(4, 1, PIECE)).toBeUndefined();
    expect(storage.cachedBlock(5, 0, 1)).toBeUndefined();
  });

  test('of pieces longer than what is read at once, over the borders in between', async () => {
    const large = makeTorrent([{ path: 'a', length: 3_000_000 }], { pieceLength: 2 * 1024 * 1024 });
    const storage = await open({ metainfo: large.metainfo, resumeFile: undefined });
    await storage.writePiece(0, large.piece(0));
    await storage.writePiece(1, large.piece(1));
    const block = await storage.readBlock(0, 500_000, 700_000);
    expect(block.equals(large.content.subarray(500_000, 1_200_000))).toBe(true);
    expect((await storage.readBlock(1, 900_000, 2848)).equals(large.content.subarray(-2848))).toBe(true);
  });

  test('reads 512 KiB at once, of the piece in question alone', async () => {
    const large = makeTorrent([{ path: 'a', length: 3_000_000 }], { pieceLength: 2 * 1024 * 1024 });
    const storage = await open({ metainfo: large.metainfo, resumeFile: undefined });
    for (const index of [0, 1]) await storage.writePiece(index, large.piece(index));
    const reads: [number, number][] = [];
    const read = disk.read.bind(disk);
    disk.read = (fd, into, position) => {
      reads.push([position, into.length]);
      return read(fd, into, position);
    };
    await storage.readBlock(0, 600_000, PIECE);
    await storage.readBlock(1, 2 ** 19, PIECE);
    expect(reads).toEqual([
      [2 ** 19, 2 ** 19],
      [2 ** 21 + 2 ** 19, 3_000_000 - 2 ** 21 - 2 ** 19],
    ]);
  });

  test('finds out that a file was truncated', async () => {
    await fill(await open());
    const storage = await open();
    truncateSync(join(root, 'deep/large file é'), 50_000);
    const error = await rejectionOf(storage.readBlock(8, 0, 100));
    expect([error.code, error.message]).toEqual([
      'FileChanged',
      expect.stringContaining('large file é was truncated'),
    ]);
  });

  test('finds out that a file was removed', async () => {
    await fill(await open());
    const storage = await open({ openFiles: new OpenFiles(0) });
    renameSync(join(root, 'deep/large file é'), join(folder, 'elsewhere'));
    expect((await rejectionOf(storage.readBlock(8, 0, 100))).code).toBe('FileChanged');
  });

  test('finds out that a file was changed in place or replaced', async () => {
    await fill(await open());
    const storage = await open();
    const path = join(root, 'deep/large file é');
    writeFileSync(path, Buffer.alloc(100_000), { flag: 'r+' });
    expect((await rejectionOf(storage.readBlock(5, 0, 100))).message).toContain('changed by somebody else');
    const other = await open({ resumeFile: undefined });
    expect(other.have.count).toBeLessThan(metainfo.pieceCount);
  });

  test('ends in an error of the disk, and works again when the disk does', async () => {
    await fill(await open());
    const storage = await open();
    disk.fail('read', 'EIO');
    expect((await rejectionOf(storage.readBlock(4, 0, 100))).code).toBe('DiskIo');
    disk.faults.clear();
    expect((await storage.readBlock(4, 0, 100)).length).toBe(100);
  });

  test('from a descriptor that has become stale happens anew, and is an error of the disk if that is stale too', async () => {
    await fill(await open());
    const storage = await open();
    disk.fail('read', 'ESTALE', 1);
    expect((await storage.readBlock(4, 0, 100)).length).toBe(100);
    expect(disk.count('read')).toBeGreaterThan(1);
    disk.fail('read', 'ESTALE');
    const other = (4 + metainfo.pieceCount / 2) | 0;
    expect((await rejectionOf(storage.readBlock(other, 0, 100))).code).toBe('DiskIo');
  });
});

describe('a disk that fails', () => {
  test.each([
    ['ENOSPC', 'NoSpace'],
    ['EDQUOT', 'NoSpace'],
    ['EIO', 'DiskIo'],
    ['EROFS', 'ReadOnly'],
  ])(
    'with %s on a write is %s: the piece is not held, and can be written later',
    async (systemCode, code) => {
      const storage = await open();
      await fill(storage, [0]);
      disk.fail('write', systemCode, 1);
      const error = await rejectionOf(storage.writePiece(5, piece(5)));
      expect(error.code).toBe(code);
      expect(error.message).toContain('large file');
      expect([...Array(9).keys()].map((i) => storage.have.get(i))).toEqual([true, ...Array(8).fill(false)]);
      expect(await storage.writePiece(5, piece(5))).toBe('verified');
      await fill(storage);
      await expectContent(storage);
    },
  );

  test('with ENOSPC when a file is made or extended', async () => {
    const storage = await open();
    disk.fail('truncate', 'ENOSPC', 1);
    expect((await rejectionOf(storage.writePiece(0, piece(0)))).code).toBe('NoSpace');
    disk.fail('makeFolder', 'ENOSPC', 1);
    expect((await rejectionOf(storage.writePiece(8, piece(8)))).code).toBe('NoSpace');
    expect(storage.have.isEmpty).toBe(true);
    await fill(storage);
  });

  test('that takes no bytes and gives no reason', async () => {
    const storage = await open();
    disk.mostBytes = 0;
    expect((await rejectionOf(storage.writePiece(0, piece(0)))).code).toBe('DiskIo');
    expect(storage.have.isEmpty).toBe(true);
  });

  test('half way through a piece over several files leaves it unheld', async () => {
    const storage = await open();
    let writes = 0;
    disk.faults.set('write', () =>
      ++writes === 2 ? Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' }) : undefined,
    );
    // Piece 1 lies in bin/run, deep/er/one and (behind the padding) the large file.
    expect((await rejectionOf(storage.writePiece(1, piece(1)))).code).toBe('NoSpace');
    expect(storage.have.isEmpty).toBe(true);
  });

  test('is asked to flush eight files at a time', async () => {
    const many = makeTorrent(Array.from({ length: 20 }, (_, i) => ({ path: `f${i}`, length: PIECE })));
    const storage = await open({ metainfo: many.metainfo });
    for (let i = 0; i < 20; i++) await storage.writePiece(i, many.piece(i));
    let running = 0;
    let most = 0;
    disk.before = async (operation) => {
      if (operation !== 'sync') return;
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
    };
    await storage.saveResume();
    expect(most).toBe(8);
  });

  test('on flushing: nothing is recorded, and the next save does it all', async () => {
    const storage = await open();
    await fill(storage, [0, 1, 2]);
    disk.fail('sync', 'EIO', 1);
    expect((await rejectionOf(storage.saveResume())).code).toBe('DiskIo');
    expect(existsSync(resumeFile)).toBe(false);
    await storage.saveResume();
    await storage.close();
    const { storage: again, hashed } = await openCounting();
    expect([again.have.count, hashed]).toEqual([3, 0]);
  });

  test('what was written is flushed before a record says so', async () => {
    const storage = await open();
    await fill(storage, [0, 1, 2]);
    disk.log.length = 0;
    await storage.saveResume();
    const recorded = disk.log.indexOf('rename test.resume');
    expect(recorded).toBeGreaterThan(0);
    expect(disk.log.slice(0, recorded).sort()).toEqual([
      'sync large file é',
      'sync one',
      'sync run',
      'sync test.resume.new',
    ]);
    // Of what was not written since, nothing is flushed again.
    await fill(storage, [6]);
    disk.log.length = 0;
    await storage.saveResume();
    expect(disk.log.slice(0, disk.log.indexOf('rename test.resume')).sort()).toEqual([
      'sync large file é',
      'sync test.resume.new',
    ]);
  });

  test('on saving: the old resume data stays, whole', async () => {
    const storage = await open();
    await fill(storage, [5, 6]);
    await storage.saveResume();
    const before = readFileSync(resumeFile);
    await fill(storage, [7]);
    for (const operation of ['write', 'rename'] as const) {
      disk.fail(operation, 'ENOSPC', 1);
      expect((await rejectionOf(storage.saveResume())).code).toBe('NoSpace');
      expect(readFileSync(resumeFile).equals(before)).toBe(true);
      expect(readdirSync(join(folder, 'state'))).toEqual(['test.resume']);
    }
  });

  test('when it is opened', async () => {
    disk.fail('open', 'EIO');
    expect((await rejectionOf(open())).code).toBe('DiskIo');
  });
});

describe('resuming', () => {
  test('believes what was recorded, and hashes nothing', async () => {
    const storage = await open();
    await fill(storage, [0, 5, 6]);
    await storage.saveResume();
    await storage.close();
    const { storage: again, hashed } = await openCounting();
    expect([...Array(9).keys()].filter((i) => again.have.get(i))).toEqual([0, 5, 6]);
    expect(hashed).toBe(0);
  });

  test('without saving finds what was written by hashing it', async () => {
    await fill(await open(), [0, 5, 6]);
    const { storage, hashed } = await openCounting();
    expect([...Array(9).keys()].filter((i) => storage.have.get(i))).toEqual([0, 5, 6]);
    // Piece 1 lies partly in a file that was never made, and cannot be there.
    expect(hashed).toBe(8);
  });

  test('hashes only the files written to since, and finds the pieces written since', async () => {
    const storage = await open();
    await fill(storage, [0, 1, 2, 5]);
    await storage.saveResume();
    await fill(storage, [7]);
    await storage.close();
    const { storage: again, hashed } = await openCounting();
    expect([...Array(9).keys()].filter((i) => again.have.get(i))).toEqual([0, 1, 2, 5, 7]);
    // Piece 0 lies in a file that was left alone.
    expect(hashed).toBe(8);
  });

  test('does not believe a file that was changed, even if its size is the same', async () => {
    const storage = await open();
    await fill(storage);
    await storage.saveResume();
    await storage.close();
    const path = join(root, 'deep/large file é');
    const bytes = readFileSync(path);
    bytes[60_000] = (bytes[60_000] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const { storage: again } = await openCounting();
    const changed = Math.floor((32_001 + 60_000) / PIECE);
    expect([...Array(9).keys()].filter((i) => !again.have.get(i))).toEqual([changed]);
  });

  test('does not believe a file that lost its end or is gone', async () => {
    const storage = await open();
    await fill(storage);
    await storage.saveResume();
    await storage.close();
    truncateSync(join(root, 'deep/large file é'), 50_000);
    const { storage: cut } = await openCounting();
    expect([...Array(9).keys()].filter((i) => cut.have.get(i))).toEqual([0, 1, 2, 3, 4]);
    await fill(cut);
    await cut.finalize();
    await expectContent(cut);
    await cut.close();

    renameSync(join(root, 'bin/run'), join(folder, 'gone'));
    const { storage: without } = await openCounting();
    expect([...Array(9).keys()].filter((i) => !without.have.get(i))).toEqual([0, 1]);
  });

  test.each([
    ['of another torrent', () => makeTorrent([{ path: 'x', length: 130_000 }], { seed: 9 })],
    ['of a torrent of the same shape', () => makeTorrent(filesOf(), { seed: 9 })],
  ])('ignores resume data %s', async (_, make) => {
    const other = make();
    const storage = await open({ metainfo: other.metainfo, root: join(folder, 'other') });
    for (let i = 0; i < other.metainfo.pieceCount; i++) await storage.writePiece(i, other.piece(i));
    await storage.saveResume();
    await storage.close();
    renameSync(join(folder, 'other'), root);
    const { storage: mine } = await openCounting();
    expect(mine.have.isEmpty).toBe(true);
  });

  test.each([
    ['empty', (bytes: Buffer) => bytes.subarray(0, 0)],
    ['cut off', (bytes: Buffer) => bytes.subarray(0, bytes.length - 1)],
    [
      'with a flipped bit',
      (bytes: Buffer) => Buffer.from(bytes.map((byte, i) => (i === 60 ? byte ^ 1 : byte))),
    ],
    ['random', () => Buffer.from('not resume data at all')],
  ])('ignores resume data that is %s', async (_, damage) => {
    const storage = await open();
    await fill(storage, [5]);
    await storage.saveResume();
    await storage.close();
    writeFileSync(resumeFile, damage(readFileSync(resumeFile)));
    const { storage: again, hashed } = await openCounting();
    expect([again.have.count, hashed > 0]).toEqual([1, true]);
  });

  test('notices a write in the same second as the save, on a file system that counts in seconds', async () => {
    disk.hasCoarseClock = true;
    const storage = await open();
    await fill(storage, [5]);
    await storage.saveResume();
    await fill(storage, [6]);
    await storage.close();
    const { storage: again } = await openCounting();
    expect([...Array(9).keys()].filter((i) => again.have.get(i))).toEqual([5, 6]);
  });

  test('finds the pieces written between two saves of one second, if the second save is not done', async () => {
    const storage = await open();
    await fill(storage, [5]);
    await storage.saveResume();
    // As a process finds it that begins after the files were stamped and before the save was done.
    for (const index of [6, 7]) {
      await fill(storage, [index]);
      disk.fail('rename', 'EIO', 1);
      expect((await rejectionOf(storage.saveResume())).code).toBe('DiskIo');
      const { storage: again } = await openCounting();
      expect(again.have.get(index)).toBe(true);
      await again.close();
    }
  });

  test('finds the pieces of a second life in the same second, likewise', async () => {
    const first = await open();
    await fill(first, [5]);
    await first.saveResume();
    await first.close();
    const second = await open();
    await fill(second, [6]);
    disk.fail('rename', 'EIO', 1);
    expect((await rejectionOf(second.saveResume())).code).toBe('DiskIo');
    await second.close();
    const { storage } = await openCounting();
    expect([...Array(9).keys()].filter((i) => storage.have.get(i))).toEqual([5, 6]);
  });

  test('works when the clock jumps back', async () => {
    const storage = await open();
    await fill(storage, [5]);
    await storage.saveResume();
    await fill(storage, [6]);
    await storage.close();
    // The write of piece 6 happened "before" the save: another time is another time, earlier or later.
    utimesSync(join(root, 'deep/large file é'), 1000, 1000);
    const { storage: again } = await openCounting();
    expect([...Array(9).keys()].filter((i) => again.have.get(i))).toEqual([5, 6]);
  });

  test('of files on which the time cannot be set still never claims too much', async () => {
    disk.fail('setModified', 'EPERM');
    const storage = await open();
    await fill(storage, [5]);
    await storage.saveResume();
    await storage.close();
    const { storage: again } = await openCounting();
    expect([...Array(9).keys()].filter((i) => again.have.get(i))).toEqual([5]);
  });

  test('saves nothing where nothing changed', async () => {
    const storage = await open();
    await fill(storage, [5]);
    await storage.saveResume();
    const renames = disk.count('rename');
    await storage.saveResume();
    expect(disk.count('rename')).toBe(renames);
  });

  test('records a consistent state while pieces are being written', async () => {
    const storage = await open();
    const writes = [...Array(9).keys()].map((index) => storage.writePiece(index, piece(index)));
    await Promise.all([storage.saveResume(), storage.saveResume(), ...writes]);
    await storage.close();
    const { storage: again } = await openCounting();
    expect(again.have.isFull).toBe(true);
  });

  test('takes the word of a caller who has just hashed the files, if the lengths are right', async () => {
    const storage = await open();
    await fill(storage);
    await storage.close();
    const { storage: trusted, hashed } = await openCounting({ alreadyVerified: true });
    expect([trusted.have.isFull, hashed]).toEqual([true, 0]);
    await trusted.saveResume();
    await trusted.close();
    expect((await openCounting()).hashed).toBe(0);
    truncateSync(join(root, 'bin/run'), 5);
    expect((await rejectionOf(open({ alreadyVerified: true }))).code).toBe('FileChanged');
  });

  test('can be given up', async () => {
    await fill(await open());
    expect((await rejectionOf(open({ resumeFile: undefined, signal: AbortSignal.abort() }))).code).toBe(
      'Closed',
    );
  });
});

function statOf(path: string) {
  const { mtimeMs, ctimeMs, mode, size } = statSync(path, { throwIfNoEntry: false }) ?? {};
  return { mtimeMs, ctimeMs, mode, size };
}

function filesOf() {
  return metainfo.files.map(({ path, lengthBytes, padding }) => ({
    path: path.join('/'),
    length: lengthBytes,
    padding,
  }));
}

describe('verifyAll', () => {
  test('finds what rotted and what came back', async () => {
    const storage = await open();
    await fill(storage);
    await storage.saveResume();
    const path = join(root, 'bin/run');
    const good = readFileSync(path);
    const bad = Buffer.from(good);
    bad[5] = (bad[5] ?? 0) ^ 1;
    writeFileSync(path, bad);
    expect(await storage.verifyAll()).toBe(8);
    expect(storage.have.get(0)).toBe(false);
    expect((await rejectionOf(storage.readBlock(0, 0, 10))).code).toBe('InvalidRequest');
    expect(storage.cachedBlock(0, 0, 10)).toBeUndefined();
    writeFileSync(path, good);
    expect(await storage.verifyAll()).toBe(9);
    await expectContent(storage);
  });

  test('while pieces are written loses none', async () => {
    const storage = await open();
    await fill(storage, [0, 1]);
    const [count] = await Promise.all([storage.verifyAll(), fill(storage, [2, 3, 4, 5, 6, 7, 8])]);
    expect(count).toBeGreaterThanOrEqual(2);
    expect(storage.have.isFull).toBe(true);
  });
});

describe('finalize', () => {
  test('is refused while a piece is missing', async () => {
    const storage = await open();
    await fill(storage, [0]);
    expect((await rejectionOf(storage.finalize())).code).toBe('InvalidRequest');
  });

  test('cuts files that are too long', async () => {
    const storage = await open();
    await fill(storage);
    await storage.close();
    writeFileSync(join(root, 'bin/run'), Buffer.concat([onDisk('bin/run'), Buffer.alloc(10)]));
    writeFileSync(join(root, 'empty'), 'not so empty');
    const again = await open();
    expect(again.have.isFull).toBe(true);
    await again.finalize();
    expect([statSync(join(root, 'bin/run')).size, statSync(join(root, 'empty')).size]).toEqual([20_000, 0]);
    await expectContent(again);
  });

  test('flushes every file and folder', async () => {
    const storage = await open();
    await fill(storage);
    const before = disk.count('sync');
    await storage.finalize();
    // bin/run, empty, deep/er/one, the large file; deep/er, bin, deep, the root.
    expect(disk.count('sync') - before).toBe(8);
  });

  test.each([
    [0o022, 0o755, 0o644],
    [0o002, 0o775, 0o664],
    [0o077, 0o700, 0o600],
  ])('with umask %o: what is new has the modes that its user wants', async (umask, folderMode, fileMode) => {
    const modeOf = (...path: string[]) => statSync(join(root, ...path)).mode & 0o777;
    const before = process.umask(umask);
    try {
      const storage = await open();
      await fill(storage);
      await storage.finalize();
    } finally {
      process.umask(before);
    }
    expect([modeOf(), modeOf('deep', 'er'), modeOf('bin', 'run')]).toEqual(Array(3).fill(folderMode));
    expect([modeOf('empty'), modeOf('deep', 'large file é')]).toEqual([fileMode, fileMode]);
    expect(statSync(resumeFile, { throwIfNoEntry: false })).toBeUndefined();
  });

  test.each([
    [0o640, 0o750],
    [0o644, 0o755],
    [0o641, 0o751],
    [0o744, 0o744],
  ])(
    'files that were there keep their mode; to %o only execution is added, for those who may read',
    async (mode, finished) => {
      mkdirSync(join(root, 'bin'), { recursive: true });
      mkdirSync(join(root, 'deep'));
      writeFileSync(join(root, 'bin/run'), '');
      chmodSync(join(root, 'bin/run'), mode);
      writeFileSync(join(root, 'deep/large file é'), '', { mode: 0o600 });
      const storage = await open();
      await fill(storage);
      await storage.finalize();
      expect(statSync(join(root, 'bin/run')).mode & 0o777).toBe(finished);
      expect(statSync(join(root, 'deep/large file é')).mode & 0o777).toBe(0o600);
    },
  );

  test('of content that was whole when it was opened writes nothing, whatever its modes', async () => {
    const first = await open({ resumeFile: undefined });
    await fill(first);
    await first.finalize();
    await first.close();
    for (const path of ['bin/run', 'empty', 'deep/er/one', 'deep/large file é'])
      chmodSync(join(root, path), 0o444);
    const writes = ['write', 'truncate', 'sync', 'setMode', 'setModified', 'makeFolder', 'rename'] as const;
    for (const operation of writes) disk.fail(operation, 'EROFS');
    const flags = new Set<number>();
    const openNow = disk.open.bind(disk);
    disk.open = (path, flag, mode) => {
      flags.add(flag & (constants.O_WRONLY | constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC));
      return openNow(path, flag, mode);
    };
    const times = () => JSON.stringify(metainfo.files.map(({ path }) => statOf(join(root, ...path))));
    const before = times();
    const counts = writes.map((operation) => disk.count(operation));
    const storage = await open({ recordWhole: false });
    expect(storage.have.isFull).toBe(true);
    await storage.finalize();
    await storage.saveResume();
    await storage.look();
    expect([...flags]).toEqual([0]);
    expect(writes.map((operation) => disk.count(operation))).toEqual(counts);
    expect([times(), existsSync(resumeFile)]).toEqual([before, false]);
  });

  test('and resume data saved after it are believed', async () => {
    const storage = await open();
    await fill(storage);
    await storage.finalize();
    await storage.saveResume();
    await storage.close();
    for (const path of ['bin/run', 'empty', 'deep/er/one', 'deep/large file é'])
      chmodSync(join(root, path), 0o444);
    const { storage: again, hashed } = await openCounting();
    expect([again.have.isFull, hashed]).toEqual([true, 0]);
    await expectContent(again);
  });
});

describe('relocate', () => {
  test('follows a renamed folder: reads, writes and resumes go on', async () => {
    const storage = await open();
    await fill(storage, [0, 5]);
    const moved = join(folder, 'moved');
    renameSync(root, moved);
    // Even before anybody is told.
    expect(await storage.writePiece(6, piece(6))).toBe('verified');
    await storage.relocate(moved);
    await fill(storage);
    await storage.finalize();
    await expectContent(storage);
    expect(existsSync(root)).toBe(false);
    await storage.saveResume();
    await storage.close();
    const { storage: again, hashed } = await openCounting({ root: moved });
    expect([again.have.isFull, hashed]).toEqual([true, 0]);
  });

  test('to a copy reads the copy', async () => {
    const storage = await open();
    await fill(storage);
    await storage.saveResume();
    const copy = join(folder, 'copy');
    for (const { path, padding } of metainfo.files) {
      if (padding || path.join('/') === 'empty') continue;
      mkdirSync(join(copy, ...path.slice(0, -1)), { recursive: true });
      writeFileSync(join(copy, ...path), readFileSync(join(root, ...path)));
    }
    await storage.relocate(copy);
    renameSync(root, join(folder, 'old'));
    await expectContent(storage);
  });

  test('to nowhere is an error and changes nothing', async () => {
    const storage = await open();
    await fill(storage);
    expect((await rejectionOf(storage.relocate(join(folder, 'nowhere')))).code).toBe('FileChanged');
    await expectContent(storage);
  });
});

describe('never leaves the root', () => {
  test('through a symlink in place of a file', async () => {
    const outside = join(folder, 'outside');
    writeFileSync(outside, 'precious');
    mkdirSync(join(root, 'bin'), { recursive: true });
    symlinkSync(outside, join(root, 'bin/run'));
    expect((await rejectionOf(open())).code).toBe('UnsafePath');
    expect(readFileSync(outside, 'utf8')).toBe('precious');
  });

  test('through a symlink in place of a folder that appears later', async () => {
    const storage = await open();
    const outside = join(folder, 'outside');
    mkdirSync(outside);
    symlinkSync(outside, join(root, 'deep'));
    const error = await rejectionOf(storage.writePiece(8, piece(8)));
    expect([error.code, error.message]).toEqual(['UnsafePath', expect.stringContaining('symlink')]);
    expect(readdirSync(outside)).toEqual([]);
    expect(storage.have.get(8)).toBe(false);
  });

  test('through a dangling symlink in place of a file', async () => {
    const storage = await open();
    mkdirSync(join(root, 'bin'));
    symlinkSync(join(folder, 'made'), join(root, 'bin/run'));
    expect((await rejectionOf(storage.writePiece(0, piece(0)))).code).toBe('UnsafePath');
    expect(existsSync(join(folder, 'made'))).toBe(false);
  });

  test.each<[string, (path: string) => void]>([
    ['folder', (path) => mkdirSync(path)],
    ['pipe', (path) => execFileSync('mkfifo', [path])],
  ])('and opens nothing that is no regular file: a %s', async (_, make) => {
    mkdirSync(join(root, 'bin'), { recursive: true });
    make(join(root, 'bin/run'));
    expect((await rejectionOf(open())).code).toBe('UnsafePath');
  });
});

describe('open files', () => {
  test('stay within their bound', async () => {
    const many = makeTorrent(
      Array.from({ length: 60 }, (_, i) => ({ path: `d${i % 7}/f${i}`, length: 3000 })),
    );
    const openFiles = new OpenFiles(4);
    const storage = await open({ metainfo: many.metainfo, resumeFile: undefined, openFiles });
    for (let i = 0; i < many.metainfo.pieceCount; i++) await storage.writePiece(i, many.piece(i));
    expect(openFiles.size).toBeLessThanOrEqual(4);
    // The root, and what is kept.
    expect(disk.opened.size).toBeLessThanOrEqual(5);
    expect(await storage.verifyAll()).toBe(many.metainfo.pieceCount);
    await storage.finalize();
    expect(readFileSync(join(root, 'd3/f59')).equals(many.content.subarray(59 * 3000))).toBe(true);
  });

  test('are closed by close(), also while a read is under way', async () => {
    await fill(await open());
    const storage = await open();
    const reading = storage.readBlock(8, 0, 100);
    await storage.close();
    expect((await reading).length).toBe(100);
    expect((await rejectionOf(storage.readBlock(7, 0, 100))).code).toBe('Closed');
    expect((await rejectionOf(storage.writePiece(0, piece(0)))).code).toBe('Closed');
    expect((await rejectionOf(storage.saveResume())).code).toBe('Closed');
    expect(storage.cachedBlock(8, 0, 100)).toBeUndefined();
  });
});

describe('the thread for pieces', () => {
  test.each([
    ['less than 32 MiB', 2 ** 25 - 1, false],
    ['32 MiB', 2 ** 25, true],
  ])('is there for content of %s or more', async (_, totalBytes, isThere) => {
    const info = { name: 'a', length: totalBytes, 'piece length': 2 ** 24, pieces: Buffer.alloc(40) };
    const storage = await openStorage({ metainfo: parseInfo(encodeBencode(info)), root });
    opened.push(storage);
    expect(storage.allocatePiece(10).buffer instanceof SharedArrayBuffer).toBe(isThere);
  });

  test.each([
    ['of 8 files writes it', 8, 8],
    ['of 9 files hashes it only: they would all be open at once', 9, 0],
  ])('given a piece %s', async (_, files, parts) => {
    const { metainfo, piece } = makeTorrent(
      Array.from({ length: files }, (_, i) => ({ path: `f${i}`, length: 1000 })),
    );
    const given: PieceWrite[] = [];
    const pieceThread = {
      wants: () => true,
      write: async (write: PieceWrite) => {
        given.push(write);
        return 'verified';
      },
    } as unknown as PieceThread;
    const storage = await open({ metainfo, pieceThread });
    const data = storage.allocatePiece(files * 1000);
    piece(0).copy(data);
    expect(await storage.writePiece(0, data)).toBe('verified');
    expect(given.map((write) => write.parts.length)).toEqual([parts]);
  });

  test('and a piece that it hashes only and that fails is not written', async () => {
    const { metainfo } = makeTorrent(Array.from({ length: 9 }, (_, i) => ({ path: `f${i}`, length: 1000 })));
    const pieceThread = { wants: () => true, write: async () => 'corrupt' } as unknown as PieceThread;
    const storage = await open({ metainfo, pieceThread });
    expect(await storage.writePiece(0, storage.allocatePiece(9000))).toBe('corrupt');
    expect([storage.have.isEmpty, existsSync(join(root, 'f0'))]).toEqual([true, false]);
  });
});
