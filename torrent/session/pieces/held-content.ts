// What is held of one torrent's content: what comes in, what is lost, and when it is all there. Invariant: nobody is
// told that a torrent is complete before its files were looked at, and nobody is told twice.
import type { Stopwatch } from '../../../base/index.ts';
import { TorrentError } from '../../errors.ts';
import type { MemoryLedger } from '../../memory-ledger.ts';
import type { PieceStorage } from '../../storage/piece-storage.ts';
import type { LossPolicy } from '../types.ts';
import { LostPieces } from './lost-pieces.ts';
import { type IntakeEvents, PieceIntake } from './piece-intake.ts';

/** Who hears what becomes of it. */
export interface HeldContentEvents extends Omit<IntakeEvents, 'fileChanged'> {
  /** The piece is held no more. */
  lost(piece: number): void;
  /** So many pieces are held no more, in these files; after lost() of each. */
  damaged(pieces: number, files: readonly string[]): void;
  /** False as soon as a piece is missing again. */
  isComplete(): boolean;
  /** Every piece is verified and written, and all files are as we left them; once. */
  complete(): void;
}

/** The content of one torrent. */
export class HeldContent {
  /** Takes blocks, and has memory for them. */
  readonly intake: PieceIntake;
  readonly #totalBytes: number;
  readonly #losses: LostPieces;
  readonly #lossPolicy: LossPolicy;
  readonly #clock: Stopwatch;
  readonly #events: HeldContentEvents;
  #hasCompleted = false;
  #isStopped = false;

  constructor(
    storage: PieceStorage,
    lossPolicy: LossPolicy | undefined,
    around: { memory: MemoryLedger; clock: Stopwatch },
    events: HeldContentEvents,
  ) {
    this.#totalBytes = storage.metainfo.totalBytes;
    this.#clock = around.clock;
    this.#events = events;
    this.intake = new PieceIntake(storage, around.memory, around.clock.monotonic(), {
      wantsDigests: (piece) => events.wantsDigests(piece),
      verified: (piece, digests) => events.verified(piece, digests),
      corrupt: (piece, digests) => events.corrupt(piece, digests),
      unwritten: (piece) => events.unwritten(piece),
      fileChanged: (error) => this.#losses.accessFailed(error),
      diskFailed: (error) => events.diskFailed(error),
    });
    this.#lossPolicy = lossPolicy ?? (storage.have.isFull ? 'fail' : 'fetch');
    this.#losses = new LostPieces(storage, this.#lossPolicy, {
      lost: (piece) => {
        this.intake.lost(piece);
        events.lost(piece);
      },
      damaged: (pieces, files) => events.damaged(pieces, files),
      failed: (error) => this.intake.failed(error, 'checking'),
    });
  }

  /** The disk's failure, until resume(). */
  get error(): TorrentError | undefined {
    return this.intake.error;
  }

  /** Bytes of pieces that are not verified and written. */
  get bytesLeft(): number {
    return this.#totalBytes - this.intake.bytesHeld;
  }

  /** False while nothing more is to be asked for: what is lost is not fetched again, or the disk is behind. */
  get takesMore(): boolean {
    return this.#lossPolicy !== 'withdraw' && !this.intake.isBehind;
  }

  /** A held piece could not be read. True if the torrent goes on without it. */
  readFailed(error: unknown): boolean {
    if (this.#losses.accessFailed(error)) return true;
    this.intake.failed(error, 'reading');
    return false;
  }

  /** Looks whether all files are as they were left. Never rejects. */
  async look(): Promise<void> {
    await this.#losses.look();
  }

  /** The disk is tried again. */
  resume(): void {
    this.intake.resume();
  }

  /** Every piece is held: complete() follows once the files were looked at; what is lost is fetched again first. */
  completed(): void {
    this.intake.completed(this.#clock.monotonic());
    if (!this.#hasCompleted) void this.#confirm();
  }

  /** Every 100 ms. */
  tick(now: number): void {
    this.intake.tick(now);
  }

  /** Waits for what is under way and saves resume data. @throws what the storage throws */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const looked = this.#losses.stop();
    const closed = this.intake.close();
    await Promise.allSettled([looked, closed]);
    await closed;
  }

  async #confirm(): Promise<void> {
    const isSettled = await this.#losses.confirm();
    if (!this.#events.isComplete() || this.#hasCompleted || this.error !== undefined || this.#isStopped)
      return;
    if (!isSettled) {
      this.intake.failed(
        new TorrentError('FileChanged', 'files go on being changed by somebody else'),
        'checking',
      );
      return;
    }
    this.#hasCompleted = true;
    this.#events.complete();
  }
}
