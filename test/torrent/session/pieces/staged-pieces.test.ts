// Pieces for which there is no memory, from blocks to the storage.
import { beforeEach, expect, test } from '@jest/globals';
import { type MemoryAccount, MemoryShare } from '../../../../torrent/memory-ledger.ts';
import { StagedPieces } from '../../../../torrent/session/pieces/staged-pieces.ts';
import { MemoryStorage } from '../../../../torrent/storage/memory.ts';
import { makeTorrent } from '../../storage/content.ts';

const KIB = 1024;
const BLOCK = 16 * KIB;
const RUN = 256 * KIB;
const PIECE = 1024 * KIB;
const { metainfo, piece } = makeTorrent([{ path: 'a', length: 2 * PIECE - 1000 }], { pieceLength: PIECE });

/** Says what is written, and waits with it where the test wants that. */
class SlowStorage extends MemoryStorage {
  readonly stagedLengths: number[] = [];
  readonly unstaged: number[] = [];
  fault: Error | undefined;
  held: Promise<void> | undefined;

  override async stage(piece: number, begin: number, data: Buffer): Promise<void> {
    this.stagedLengths.push(data.length);
    await this.held;
    if (this.fault !== undefined) throw this.fault;
    await super.stage(piece, begin, data);
  }

  override unstage(piece: number): void {
    this.unstaged.push(piece);
    super.unstage(piece);
  }
}

let storage: SlowStorage;
let account: MemoryAccount;
let staged: StagedPieces;
let failures: unknown[];

function make(bytes: number): void {
  storage = new SlowStorage(metainfo);
  account = new MemoryShare(bytes).open();
  failures = [];
  staged = new StagedPieces(storage, account, (error) => failures.push(error));
}

beforeEach(() => make(4 * RUN));

/** Stores these blocks of a piece, or all. */
function store(index: number, blocks?: readonly number[]): void {
  const bytes = piece(index);
  const all = Array.from({ length: Math.ceil(bytes.length / BLOCK) }, (_, block) => block);
  for (const block of blocks ?? all)
    staged.store(index, block * BLOCK, bytes.subarray(block * BLOCK, (block + 1) * BLOCK));
}

test('blocks are written in runs, and the piece once all of them are', async () => {
  staged.begin(0, piece(0).length);
  store(0);
  expect(storage.stagedLengths).toEqual([RUN, RUN, RUN, RUN]);
  expect(await staged.write(0)).toBe('verified');
  expect(account.usedBytes).toBe(0);
  staged.drop(0);
  expect([storage.unstaged, staged.has(0), staged.isEmpty]).toEqual([[0], false, true]);
});

test('the last piece ends with a shorter run and a shorter block', async () => {
  staged.begin(1, piece(1).length);
  store(1);
  expect(storage.stagedLengths).toEqual([RUN, RUN, RUN, RUN - 1000]);
  expect(await staged.write(1)).toBe('verified');
});

test('without memory for a run its blocks are written singly, each once', async () => {
  make(RUN);
  let letGo = () => {};
  storage.held = new Promise((resolve) => {
    letGo = resolve;
  });
  staged.begin(0, piece(0).length);
  store(0, [0, 16, 17]);
  expect(storage.stagedLengths).toEqual([BLOCK, BLOCK]);
  store(
    0,
    [...Array(15).keys()].map((block) => block + 1),
  );
  letGo();
  await storage.held;
  await new Promise(setImmediate);
  expect(account.usedBytes).toBe(0);
  // The run of which two blocks are written already has memory now, and is never whole.
  store(
    0,
    [...Array(46).keys()].map((block) => block + 18),
  );
  expect(await staged.write(0)).toBe('verified');
  expect(account.usedBytes).toBe(0);
  expect(storage.stagedLengths.reduce((sum, bytes) => sum + bytes)).toBe(PIECE);
});

test('a part that cannot be kept costs the piece, and is told once it happens', async () => {
  storage.fault = new Error('no room');
  staged.begin(0, piece(0).length);
  store(0);
  await expect(staged.write(0)).rejects.toThrow('no room');
  expect(failures.length).toBeGreaterThan(0);
  staged.drop(0);
  storage.fault = undefined;
  staged.begin(0, piece(0).length);
  store(0);
  expect(await staged.write(0)).toBe('verified');
});

test('what is dropped while it is written hurts nobody', async () => {
  storage.fault = new Error('no room');
  staged.begin(0, piece(0).length);
  store(0, [...Array(20).keys()]);
  staged.drop(0);
  await staged.clear();
  expect([failures, account.usedBytes]).toEqual([[], 0]);
});

test('while a piece is staged no more is asked for than memory holds, and nothing while the disk is behind', async () => {
  expect([staged.mostOutstandingBytes, staged.isBehind]).toEqual([Number.POSITIVE_INFINITY, false]);
  let letGo = () => {};
  storage.held = new Promise((resolve) => {
    letGo = resolve;
  });
  staged.begin(0, piece(0).length);
  expect(staged.mostOutstandingBytes).toBe(2 * RUN);
  store(0, [...Array(32).keys()]);
  expect(staged.isBehind).toBe(true);
  letGo();
  await staged.clear();
  expect([staged.isBehind, staged.mostOutstandingBytes]).toEqual([false, Number.POSITIVE_INFINITY]);
});

test('digests of blocks are those of the piece', async () => {
  staged.begin(1, piece(1).length);
  store(1);
  await staged.write(1);
  const lengths = await staged.digests(1, (block) => String(block.length));
  expect(lengths).toEqual([...Array(63).fill(String(BLOCK)), String(BLOCK - 1000)]);
});
