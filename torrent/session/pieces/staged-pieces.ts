// Pieces for which there is no memory: their blocks are gathered into runs, and the runs go to the disk until all of the
// piece is here. Invariants: memory for runs is bounded by the account, but for the block that is just received; a piece
// is read only after all that was written of it.
import type { MemoryAccount } from '../../memory-ledger.ts';
import type { PieceStorage } from '../../storage/piece-storage.ts';
import { BLOCK_BYTES } from '../../wire/messages.ts';

/** What is written at once, where memory allows. */
const RUN_BYTES = 256 * 1024;

/** Blocks that came of a run. */
interface Run {
  readonly buffer: Buffer;
  /** Where its blocks begin that are here; others of it may have been written singly. */
  readonly begins: number[];
}

interface StagedPiece {
  readonly length: number;
  /** Runs that are not whole, by number. */
  readonly runs: Map<number, Run>;
  readonly writes: Set<Promise<void>>;
  failure: unknown;
}

/** The staged pieces of one torrent. */
export class StagedPieces {
  readonly #storage: PieceStorage;
  readonly #account: MemoryAccount;
  readonly #failed: (error: unknown) => void;
  readonly #pieces = new Map<number, StagedPiece>();
  /** Writes under way, of dropped pieces too. */
  readonly #underWay = new Set<Promise<void>>();
  #unwrittenBytes = 0;

  /** @param failed is told of each part that could not be kept */
  constructor(storage: PieceStorage, account: MemoryAccount, failed: (error: unknown) => void) {
    this.#storage = storage;
    this.#account = account;
    this.#failed = failed;
  }

  /** True while no piece is staged. */
  get isEmpty(): boolean {
    return this.#pieces.size === 0;
  }

  /** What may be outstanding at all peers together: half of the memory, for what comes needs a place. */
  get mostOutstandingBytes(): number {
    return this.isEmpty ? Number.POSITIVE_INFINITY : this.#account.fairBytes / 2;
  }

  /** True while the disk is so far behind that nothing more should be asked for. */
  get isBehind(): boolean {
    return this.#unwrittenBytes > this.#account.fairBytes / 4;
  }

  /** True if the piece is staged. */
  has(piece: number): boolean {
    return this.#pieces.has(piece);
  }

  /** Takes up a piece of so many bytes. */
  begin(piece: number, length: number): void {
    this.#pieces.set(piece, { length, runs: new Map(), writes: new Set(), failure: undefined });
  }

  /** Keeps a block of a staged piece, which is received once. */
  store(piece: number, begin: number, block: Buffer): void {
    const staged = this.#pieces.get(piece);
    if (staged === undefined || staged.failure !== undefined) return;
    const number = Math.trunc(begin / RUN_BYTES);
    const start = number * RUN_BYTES;
    const length = Math.min(RUN_BYTES, staged.length - start);
    let run = staged.runs.get(number);
    if (run === undefined && this.#account.take(length)) {
      run = { buffer: Buffer.allocUnsafeSlow(length), begins: [] };
      staged.runs.set(number, run);
    }
    if (run === undefined) {
      this.#account.charge(block.length);
      this.#write(piece, staged, begin, Buffer.from(block));
      return;
    }
    block.copy(run.buffer, begin - start);
    run.begins.push(begin - start);
    if (run.begins.length < Math.ceil(length / BLOCK_BYTES)) return;
    staged.runs.delete(number);
    this.#write(piece, staged, start, run.buffer);
  }

  /** Writes what is gathered of a piece, and hands the piece to the storage. @throws what a write of a part threw */
  async write(piece: number): Promise<'verified' | 'corrupt'> {
    const staged = this.#pieces.get(piece) as StagedPiece;
    for (const [number, { buffer, begins }] of staged.runs)
      for (const begin of begins) {
        const block = buffer.subarray(begin, begin + BLOCK_BYTES);
        this.#account.charge(block.length);
        this.#write(piece, staged, number * RUN_BYTES + begin, block);
      }
    for (const { buffer } of staged.runs.values()) this.#account.giveBack(buffer.length);
    staged.runs.clear();
    await Promise.all(staged.writes);
    if (staged.failure !== undefined) throw staged.failure;
    return this.#storage.writeStaged(piece);
  }

  /** The digests of a piece's blocks, as they lie on the disk. */
  async digests(piece: number, digest: (block: Buffer) => string): Promise<string[]> {
    const digests: string[] = [];
    await this.#storage.readStaged(piece, (chunk) => {
      for (let at = 0; at < chunk.length; at += BLOCK_BYTES)
        digests.push(digest(chunk.subarray(at, at + BLOCK_BYTES)));
    });
    return digests;
  }

  /** What was kept of the piece is of no use any more. */
  drop(piece: number): void {
    const staged = this.#pieces.get(piece);
    if (staged === undefined) return;
    this.#pieces.delete(piece);
    for (const { buffer } of staged.runs.values()) this.#account.giveBack(buffer.length);
    this.#storage.unstage(piece);
  }

  /** Drops all, and waits for what is being written. */
  async clear(): Promise<void> {
    for (const piece of [...this.#pieces.keys()]) this.drop(piece);
    await Promise.all(this.#underWay);
  }

  #write(piece: number, staged: StagedPiece, begin: number, bytes: Buffer): void {
    this.#unwrittenBytes += bytes.length;
    const write = this.#storage
      .stage(piece, begin, bytes)
      .catch((error: unknown) => {
        staged.failure ??= error;
        if (this.#pieces.get(piece) === staged) this.#failed(error);
      })
      .finally(() => {
        this.#unwrittenBytes -= bytes.length;
        this.#account.giveBack(bytes.length);
        staged.writes.delete(write);
        this.#underWay.delete(write);
      });
    staged.writes.add(write);
    this.#underWay.add(write);
  }
}
