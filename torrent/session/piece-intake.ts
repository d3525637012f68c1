// What becomes of blocks that have come: pieces in memory, handed to the storage, recorded in resume data.
// Invariants: a piece has a buffer here exactly while some of its blocks are here and it is not handed to the
// storage; after a disk error nothing is written until resume().
import { createHash } from 'node:crypto';
import { isTorrentError, TorrentError } from '../errors.ts';
import type { Metainfo } from '../metainfo.ts';
import type { PieceStorage } from '../storage/piece-storage.ts';
import { BLOCK_BYTES } from '../wire/messages.ts';
import { PieceBuffers } from './piece-buffers.ts';

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

/** The receiving side of one torrent, from block to disk. */
export class PieceIntake {
  readonly #metainfo: Metainfo;
  readonly #storage: PieceStorage;
  readonly #events: IntakeEvents;
  readonly #buffers: PieceBuffers;
  readonly #writes = new Set<Promise<void>>();
  /** The disk's failure, until resume(). */
  error: TorrentError | undefined;
  /** Bytes of pieces that are verified and written. */
  bytesHeld = 0;
  #receiveBuffer: Buffer = Buffer.alloc(0);
  #receiveStart = 0;
  #savedAt: number;
  #unsaved = false;
  #saving: Promise<void> | undefined;
  #isClosed = false;

  constructor(storage: PieceStorage, now: number, events: IntakeEvents) {
    const { metainfo, have } = storage;
    this.#metainfo = metainfo;
    this.#storage = storage;
    this.#events = events;
    this.#buffers = new PieceBuffers(metainfo.pieceLength, (length) => storage.allocatePiece(length));
    this.#savedAt = now;
    for (let piece = have.nextSet(0); piece >= 0; piece = have.nextSet(piece + 1)) {
      this.bytesHeld += metainfo.pieceLengthAt(piece);
    }
  }

  /** The block that the next store() is about. Hot. */
  receiving(buffer: Buffer, start: number): void {
    this.#receiveBuffer = buffer;
    this.#receiveStart = start;
  }

  /** Keeps the block that is being received. Hot. */
  store(piece: number, begin: number, length: number): void {
    const buffer = this.#buffers.of(piece, this.#metainfo.pieceLengthAt(piece));
    this.#receiveBuffer.copy(buffer, begin, this.#receiveStart, this.#receiveStart + length);
  }

  /** What is here of a piece is of no use any more. */
  drop(piece: number): void {
    this.#buffers.drop(piece);
  }

  /** All blocks of a piece are here: one of the events follows, later. */
  write(piece: number): void {
    const data = this.#buffers.take(piece);
    if (data === undefined) throw new Error(`piece ${piece} was received and has no buffer`);
    if (this.error !== undefined) {
      // What comes in after a failure is wanted again once the torrent is resumed.
      queueMicrotask(() => this.#events.unwritten(piece));
      return;
    }
    const written = this.#storage
      .writePiece(piece, data)
      .then(
        (outcome) => this.#written(piece, data, outcome),
        (error) => {
          this.#events.unwritten(piece);
          if (!this.#isClosed && !this.#events.fileChanged(error)) this.failed(error, 'writing');
        },
      )
      .finally(() => {
        this.#writes.delete(written);
        if (this.bytesHeld < this.#metainfo.totalBytes) this.#buffers.giveBack(data);
      });
    this.#writes.add(written);
  }

  #written(piece: number, data: Buffer, outcome: 'verified' | 'corrupt'): void {
    if (outcome === 'corrupt') {
      this.#events.corrupt(piece, blockDigests(data));
      return;
    }
    this.bytesHeld += data.length;
    this.#unsaved = true;
    this.#events.verified(piece, this.#events.wantsDigests(piece) ? blockDigests(data) : []);
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
    this.#buffers.clear();
    this.save(now);
  }

  /** Every 100 ms. */
  tick(now: number): void {
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
    this.#buffers.clear();
    await Promise.allSettled([...this.#writes, this.#saving]);
    await this.#storage.saveResume();
  }
}

/** Digest of each block of a piece. */
function blockDigests(data: Buffer): string[] {
  const digests: string[] = [];
  for (let begin = 0; begin < data.length; begin += BLOCK_BYTES) {
    const block = data.subarray(begin, begin + BLOCK_BYTES);
    digests.push(createHash('sha1').update(block).digest('base64'));
  }
  return digests;
}
