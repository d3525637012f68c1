// What a seed told one peer to fetch. Invariant: a piece that was suggested and not asked for yet is assigned too;
// as many suggestions are on their way as it takes so that the uplink has something to send, and no more.

/** Suggestions on their way to one peer, whatever its path holds. */
const MAX_SUGGESTED = 1024;

/** Suggestions are at most so many times what the path holds: the rate is an average, and lags behind one that doubles. */
const PATH_GAIN = 8;

/**
 * Who is alone may be told of more, since nobody else could be told of it: its window may be four times as large a round
 * trip later, so that there are so many more for each piece that it takes, and room for them before the rate is known.
 */
const ALONE_STEP = 3;
const ALONE_GAIN = 4 * PATH_GAIN;

/** Before a peer acted on a suggestion nothing is known of its path, and it may be busy with others. */
const FIRST_REACTION_MILLISECONDS = 3000;

/** The pieces that were suggested to one peer. Times in milliseconds. */
export class SuggestedPieces {
  /** Not asked for yet, with when each was suggested; the oldest first. */
  readonly #waiting = new Map<number, number>();
  /** Assigned and not there yet. */
  readonly #assigned = new Set<number>();
  /** How many may wait. */
  #limit = 1;
  /** From a suggestion to the first request of its piece: the least, and lately. */
  #leastReaction = Number.POSITIVE_INFINITY;
  #reaction = 0;
  /** Nothing is suggested before this time. */
  restsUntil = 0;

  /** Whether one more may be suggested. */
  get hasRoom(): boolean {
    return this.#waiting.size < this.#limit;
  }

  isAssigned(piece: number): boolean {
    return this.#assigned.has(piece);
  }

  /** All that is assigned. */
  get assigned(): Iterable<number> {
    return this.#assigned;
  }

  assign(piece: number): void {
    this.#assigned.add(piece);
  }

  /** It is assigned, and the peer is told. */
  suggest(piece: number, now: number): void {
    this.#assigned.add(piece);
    this.#waiting.set(piece, now);
  }

  /**
   * The peer asks for a block of the piece.
   *
   * @param idleAt when the uplink last had nothing to send: since this suggestion, more has to be on its way
   * @param pieces that are sent to the peer in a millisecond
   * @param isAlone whether nobody else is told what to fetch
   * @returns whether it acts on a suggestion by that
   */
  taken(piece: number, idleAt: number, pieces: number, now: number, isAlone: boolean): boolean {
    const at = this.#waiting.get(piece);
    if (at === undefined) return false;
    this.#waiting.delete(piece);
    const took = now - at;
    this.#reaction = this.#reaction === 0 ? took : this.#reaction + (took - this.#reaction) / 8;
    this.#leastReaction = Math.min(this.#leastReaction, took);
    this.restsUntil = 0;
    const path = pieces * this.#leastReaction;
    const room = isAlone ? ALONE_STEP + ALONE_GAIN * path : PATH_GAIN * path;
    const most = Math.min(MAX_SUGGESTED, 1 + Math.trunc(room));
    const step = isAlone ? ALONE_STEP : 1;
    if (idleAt >= at && this.#limit < most) this.#limit = Math.min(this.#limit + step, most);
    return true;
  }

  /** The peer has it, or nobody can have it of us. */
  forget(piece: number): void {
    this.#assigned.delete(piece);
    this.#waiting.delete(piece);
  }

  /** A suggestion that has waited for longer than the peer needs; -1 if none has. */
  overdue(patience: number, now: number): number {
    const most = this.#reaction === 0 ? FIRST_REACTION_MILLISECONDS : Math.max(patience, 4 * this.#reaction);
    for (const [piece, at] of this.#waiting) return now - at < most ? -1 : piece;
    return -1;
  }

  /** It was not acted on: fewer are on their way from here on, and none for a while if it was the only one. */
  overlooked(piece: number, restsUntil: number): void {
    this.forget(piece);
    if (this.#limit === 1) this.restsUntil = restsUntil;
    this.#limit = Math.max(1, Math.trunc(this.#limit / 2));
  }

  clear(): void {
    this.#waiting.clear();
    this.#assigned.clear();
  }
}
