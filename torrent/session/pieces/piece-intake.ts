// What becomes of blocks that have come: pieces in memory, handed to the storage, recorded in resume data.
// Invariants: a started piece either has memory here or is staged, until it is dropped or the storage has dealt with it;
// after a disk error nothing is written until resume().
import { createHash } from 'node:crypto';
import { isTorrentError, TorrentError } from '../../errors.ts';
import type { MemoryAccount, MemoryLedger } from '../../memory-ledger.ts';
import type { Metainfo } from '../../metainfo.ts';
import type { PieceStorage } from '../../storage/piece-storage.ts';
import type { BlockIntake, PieceMemory } from '../../swarm/host.ts';
import { BLOCK_BYTES } from '../../wire/messages.ts';
import { PieceBuffers } from './piece-buffers.ts';
import { StagedPieces } from './staged-pieces.ts';

/** Resume data is saved this often while pieces come in. */
const RESUME_MILLISECONDS = 15_000;

/** Who hears what became of pieces. */
export interface IntakeEvents {
  /** True if `verified` wants the digests of the piece's blocks. */
  wantsDigests(piece: number): boolean;
  /** The piece passed its hash and is written. */
  verified(piece: number, blockDigests: readonly string[]): void;
  corrupt(piece: number, blockDigests: readonly string[]): void;
  /** The piece could not be written. */
  unwritten(piece: number): void;
  /** True if the error says that somebody else changed a file, and that is dealt with. */
  fileChanged(error: unknown): boolean;
  /** The disk failed, for the first time since resume(). */
  diskFailed(error: TorrentError): void;
}

/** Spare memory is given back when no piece was on its way for this long. */
const IDLE_MILLISECONDS = 5_000;

/** The receiving side of one torrent, from block to disk. */
export class PieceIntake implements PieceMemory, BlockIntake {
  readonly #metainfo: Metainfo;
  readonly #storage: PieceStorage;
  readonly #events: IntakeEvents;
  readonly #account: MemoryAccount;
  readonly #buffers: PieceBuffers;
  readonly #staged: StagedPieces;
  readonly #writes = new Set<Promise<void>>();
  /** The disk's failure, until resume(). */
  error: TorrentError | undefined;
  /** Bytes of pieces that are verified and written. */
  bytesHeld = 0;
  #savedAt: number;
  #unsaved = false;
  #saving: Promise<void> | undefined;
  #isClosed = false;
  #busyAt: number;

  constructor(storage: PieceStorage, ledger: MemoryLedger, now: number, events: IntakeEvents) {
    const { metainfo, have } = storage;
    this.#metainfo = metainfo;
    this.#storage = storage;
    this.#events = events;
    this.#account = ledger.pieces.open();
    this.#buffers = new PieceBuffers(metainfo.pieceLength, this.#account, (length) =>
      storage.allocatePiece(length),
    );
    this.#staged = new StagedPieces(storage, ledger.staging.open(), (error) => this.#writeFailed(error));
    this.#savedAt = now;
    this.#busyAt = now;
    for (let piece = have.nextSet(0); piece >= 0; piece = have.nextSet(piece + 1)) {
      this.bytesHeld += metainfo.pieceLengthAt(piece);
    }
  }

  hasRoomFor(bytes: number): boolean {
    return this.#buffers.hasRoomFor(bytes);
  }

  started(piece: number): void {
    const length = this.#metainfo.pieceLengthAt(piece);
    if (!this.#buffers.reserve(piece, length)) this.#staged.begin(piece, length);
  }

  get mostOutstandingBytes(): number {
    return this.#staged.mostOutstandingBytes;
  }

  /** True while the disk is so far behind that nothing more should be asked for. */
  get isBehind(): boolean {
    return this.#staged.isBehind;
  }

  /** Hot. See BlockIntake. */
  keep(piece: number, begin: number, from: Buffer, start: number, length: number, isLast: boolean): void {
    const end = start + length;
    if (this.#buffers.has(piece)) {
      from.copy(this.#buffers.of(piece, this.#metainfo.pieceLengthAt(piece)), begin, start, end);
    } else this.#staged.store(piece, begin, from.subarray(start, end));
    if (isLast) this.#write(piece);
  }

  /** What is here of a piece is of no use any more. */
  drop(piece: number): void {
    this.#buffers.drop(piece, this.#metainfo.pieceLengthAt(piece));
    this.#staged.drop(piece);
  }

  /** All blocks of a piece are here: one of the events follows, later. */
  #write(piece: number): void {
    const isStaged = this.#staged.has(piece);
    if (this.error !== undefined) {
      // What comes in after a failure is wanted again once the torrent is resumed.
      this.drop(piece);
      queueMicrotask(() => this.#events.unwritten(piece));
      return;
    }
    const written = isStaged ? this.#writeStaged(piece) : this.#writeBuffer(piece);
    const settled = written
      .catch((error) => {
        this.#events.unwritten(piece);
        this.#writeFailed(error);
      })
      .finally(() => this.#writes.delete(settled));
    this.#writes.add(settled);
  }

  async #writeBuffer(piece: number): Promise<void> {
    const data = this.#buffers.take(piece);
    if (data === undefined) throw new Error(`piece ${piece} was received and has no buffer`);
    try {
      const outcome = await this.#storage.writePiece(piece, data);
      const isWanted = outcome === 'corrupt' || this.#events.wantsDigests(piece);
      this.#written(piece, outcome, isWanted ? blockDigests(data) : []);
    } finally {
      this.#buffers.giveBack(data);
      if (this.bytesHeld === this.#metainfo.totalBytes || this.#isClosed) this.#buffers.clearSpare();
    }
  }

  async #writeStaged(piece: number): Promise<void> {
    let outcome: 'verified' | 'corrupt';
    let digests: string[] = [];
    try {
      outcome = await this.#staged.write(piece);
      if (outcome === 'corrupt' || this.#events.wantsDigests(piece))
        digests = await this.#staged.digests(piece, digestOf);
    } finally {
      // Before anybody is told: the piece may be started again at once.
      this.#staged.drop(piece);
    }
    this.#written(piece, outcome, digests);
  }

  #written(piece: number, outcome: 'verified' | 'corrupt', digests: readonly string[]): void {
    if (outcome === 'corrupt') {
      this.#events.corrupt(piece, digests);
      return;
    }
    this.bytesHeld += this.#metainfo.pieceLengthAt(piece);
    this.#unsaved = true;
    this.#events.verified(piece, digests);
  }

  #writeFailed(error: unknown): void {
    if (!this.#isClosed && !this.#events.fileChanged(error)) this.failed(error, 'writing');
  }

  /** A piece that was held is not on the disk any more. */
  lost(piece: number): void {
    this.bytesHeld -= this.#metainfo.pieceLengthAt(piece);
    this.#unsaved = true;
  }

  /** The disk failed. */
  failed(error: unknown, doing: string): void {
    if (this.#isClosed || this.error !== undefined) return;
    this.error = isTorrentError(error)
      ? error
      : new TorrentError('DiskIo', `${doing} failed: ${String(error)}`, { cause: error });
    this.#events.diskFailed(this.error);
  }

  /** The disk is tried again. */
  resume(): void {
    this.error = undefined;
  }

  /** Every piece is held: the memory is given back, and resume data saved. */
  completed(now: number): void {
    this.#buffers.clearSpare();
    this.save(now);
  }

  /** Every 100 ms. */
  tick(now: number): void {
    if (this.#account.usedBytes > this.#buffers.spareBytes) this.#busyAt = now;
    else if (now - this.#busyAt > IDLE_MILLISECONDS) this.#buffers.clearSpare();
    if (this.#unsaved && now - this.#savedAt > RESUME_MILLISECONDS) this.save(now);
  }

  /** Saves resume data, unless that is under way. */
  save(now: number): void {
    if (this.#saving !== undefined) return;
    this.#savedAt = now;
    this.#unsaved = false;
    this.#saving = this.#storage
      .saveResume()
      .catch((error: unknown) => this.failed(error, 'saving resume data'))
      .finally(() => {
        this.#saving = undefined;
      });
  }

  /** Waits for what is under way and saves resume data. @throws what the storage throws. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled([...this.#writes, this.#saving]);
    await this.#staged.clear();
    this.#buffers.clear();
    await this.#storage.saveResume();
  }
}

function digestOf(block: Buffer): string {
  return createHash('sha1').update(block).digest('base64');
}

/** Digest of each block of a piece. */
function blockDigests(data: Buffer): string[] {
  const digests: string[] = [];
  for (let begin = 0; begin < data.length; begin += BLOCK_BYTES)
    digests.push(digestOf(data.subarray(begin, begin + BLOCK_BYTES)));
  return digests;
}
