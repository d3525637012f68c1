// Pieces that are kept on disk until they are whole.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { OpenFiles } from '../../../../torrent/storage/disk/open-files.ts';
import { MemoryStorage } from '../../../../torrent/storage/memory.ts';
import { openStorage, type StorageOptions } from '../../../../torrent/storage/open-storage.ts';
import type { PieceStorage } from '../../../../torrent/storage/piece-storage.ts';
import { ReadCache } from '../../../../torrent/storage/reading/read-cache.ts';
import { rejectionOf } from '../../failure.ts';
import { makeFolder, makeTorrent } from '../content.ts';
import { FaultyDisk } from '../disk/faulty-disk.ts';

const KIB = 1024;
const PIECE = 512 * KIB;
const { metainfo, content, piece } = makeTorrent(
  [
    { path: 'a', length: 300 * KIB },
    { path: '.pad/1', length: 12_000, padding: true },
    { path: 'b', length: 900 * KIB + 3 },
  ],
  { pieceLength: PIECE },
);
const LAST = metainfo.pieceCount - 1;

let root: string;
let remove: () => void;
let disk: FaultyDisk;
const opened: PieceStorage[] = [];

beforeEach(() => {
  const made = makeFolder();
  root = join(made.folder, 'root');
  remove = made.remove;
  disk = new FaultyDisk();
});

afterEach(async () => {
  disk.faults.clear();
  await Promise.all(opened.splice(0).map((storage) => storage.close()));
  expect([...disk.opened]).toEqual([]);
  remove();
});

async function open(options: Partial<StorageOptions> = {}): Promise<PieceStorage> {
  const storage = await openStorage({
    metainfo,
    root,
    disk,
    openFiles: new OpenFiles(),
    readCache: new ReadCache(),
    ...options,
  });
  opened.push(storage);
  return storage;
}

/** Stages a piece in runs, the last one first. */
async function stage(storage: PieceStorage, index: number, bytes: Buffer = piece(index)): Promise<void> {
  const runs: Promise<void>[] = [];
  const RUN = 100 * KIB;
  for (let begin = Math.floor((bytes.length - 1) / RUN) * RUN; begin >= 0; begin -= RUN)
    runs.push(storage.stage(index, begin, bytes.subarray(begin, begin + RUN)));
  await Promise.all(runs);
}

test.each(['disk', 'memory'] as const)(
  'are written where they belong once they pass their hash (%s)',
  async (kind) => {
    const storage = kind === 'disk' ? await open() : new MemoryStorage(metainfo);
    const pieces = Array.from({ length: metainfo.pieceCount }, (_, index) => index);
    await Promise.all(pieces.map((index) => stage(storage, index)));
    expect(storage.have.count).toBe(0);
    for (const index of pieces) {
      const chunks: Buffer[] = [];
      await storage.readStaged(index, (chunk) => chunks.push(Buffer.from(chunk)));
      expect(Buffer.concat(chunks).equals(piece(index))).toBe(true);
      expect(await storage.writeStaged(index)).toBe('verified');
      expect(await storage.writeStaged(index)).toBe('verified');
      storage.unstage(index);
    }
    expect(storage.have.isFull).toBe(true);
    for (const index of pieces) {
      const block = await storage.readBlock(index, 0, 1000);
      expect(block.equals(piece(index).subarray(0, 1000))).toBe(true);
      storage.release(block);
    }
    if (kind === 'memory') return;
    await storage.finalize();
    expect(readFileSync(join(root, 'a')).equals(content.subarray(0, 300 * KIB))).toBe(true);
    expect(readFileSync(join(root, 'b')).equals(content.subarray(300 * KIB + 12_000))).toBe(true);
  },
);

test('that fail their hash are written nowhere', async () => {
  const storage = await open();
  const bytes = Buffer.from(piece(0));
  bytes[PIECE - 1] = (bytes[PIECE - 1] as number) ^ 1;
  await stage(storage, 0, bytes);
  expect(await storage.writeStaged(0)).toBe('corrupt');
  expect(storage.have.count).toBe(0);
  expect(readdirSync(root)).toEqual([]);
});

test('lie in a file without a name, which is there only while one of them is', async () => {
  const storage = await open();
  const openBefore = [...disk.opened];
  await stage(storage, 0);
  const [unnamed] = [...disk.opened].filter((fd) => !openBefore.includes(fd));
  // Bytes that nobody has checked are nobody else's business.
  expect(disk.statusNow(unnamed as number)).toMatchObject({ links: 0, mode: 0o600, sizeBytes: PIECE });
  await stage(storage, 1);
  expect(readdirSync(root)).toEqual([]);
  const before = disk.opened.size;
  storage.unstage(0);
  expect(disk.opened.size).toBe(before);
  storage.unstage(1);
  storage.unstage(1);
  await stage(storage, LAST);
  expect(await storage.writeStaged(LAST)).toBe('verified');
  storage.unstage(LAST);
});

test('do not get in the way of one that takes the place of a forgotten one', async () => {
  const storage = await open();
  await stage(storage, 0);
  let letGo = () => {};
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  disk.before = async (operation) => {
    if (operation === 'write') await held;
  };
  const late = storage.stage(1, 0, Buffer.alloc(PIECE, 'x'));
  storage.unstage(1);
  disk.before = undefined;
  await stage(storage, LAST);
  letGo();
  await late;
  expect(await storage.writeStaged(LAST)).toBe('verified');
  expect(await storage.writeStaged(0)).toBe('verified');
});

test('say what the disk says, and are tried anew', async () => {
  const storage = await open();
  disk.fail('open', 'EROFS', 1);
  expect(await rejectionOf(stage(storage, 0))).toMatchObject({ code: 'ReadOnly' });
  disk.fail('write', 'ENOSPC', 1);
  expect(await rejectionOf(storage.stage(0, 0, piece(0)))).toMatchObject({ code: 'NoSpace' });
  await stage(storage, 0);
  expect(await storage.writeStaged(0)).toBe('verified');
});

test('are refused where nothing is written, and after the end', async () => {
  const storage = await open();
  await storage.close();
  await expect(async () => storage.stage(0, 0, piece(0))).rejects.toMatchObject({ code: 'Closed' });
  const served = await open({ readOnly: true });
  await expect(async () => served.stage(0, 0, piece(0))).rejects.toMatchObject({ code: 'ReadOnly' });
});
