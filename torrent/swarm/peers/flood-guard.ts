// How often one peer may say what is of no use. Invariant: what is tolerated is a matter of time alone: who pauses may
// speak again.
import { LOST_PIECES_PER_SECOND, MAX_IDLE_MESSAGES_PER_SECOND, MAX_LOST_PIECES } from '../tunables.ts';

/** The account of one peer. Times in milliseconds. */
export class FloodGuard {
  #idleMessages = 0;
  #idleSince: number;
  /** Pieces that it lost lately, and when the last one was. */
  #lostPieces = 0;
  #lostAt = 0;

  constructor(now: number) {
    this.#idleSince = now;
  }

  /** It says nothing new, or what it may say only so often. False if that is too often. */
  allowsIdle(now: number): boolean {
    if (now - this.#idleSince > 1000) {
      this.#idleSince = now;
      this.#idleMessages = 0;
    }
    return ++this.#idleMessages <= MAX_IDLE_MESSAGES_PER_SECOND;
  }

  /** It loses a piece, which is looked for elsewhere. False if that is again and again. */
  allowsLoss(now: number): boolean {
    const forgotten = ((now - this.#lostAt) / 1000) * LOST_PIECES_PER_SECOND;
    this.#lostPieces = Math.max(0, this.#lostPieces - forgotten) + 1;
    this.#lostAt = now;
    return this.#lostPieces <= MAX_LOST_PIECES;
  }
}
