// How many blocks one peer should owe us: what its path holds, and no less. Invariants: the window is made of what was
// measured, the peer's rate and the least time in which it answered, and grows as long as it fills and the rate rises;
// no fixed time lies below it. Hot: answered() once a block; nothing allocates.

/** A rate that is so many times that of the span before still rises. */
const RISE = 1.2;

/** Room to grow: a rising rate doubles in a round trip only if the window is more than twice what the path held. */
const RISING_GAIN = 3;
const STEADY_GAIN = 1.25;

/** What comes within this share of its round trip comes at once: the path holds at least so many times as much. */
const BURST_SHARE = 1 / 8;

/**
 * While answers come at once the window becomes four times as large in a round trip: three blocks more for each, and
 * room for them. (Blocks of the first round trips come together, and the mean of their rates is half of the last one's.)
 */
const BURST_STEP = 3;
const BURST_GAIN = 8;

/** Rates are measured over the time of one answer, and at least so long. */
const MIN_SPAN_MILLISECONDS = 20;

/** The least time to answer is measured anew after this long: the path may have become another one. */
const RESPONSE_VALID_MILLISECONDS = 10_000;

/** While it is measured anew the window is this share of itself, so that no queue of ours adds to the time. */
const PROBE_SHARE = 0.6;

/** A response that came at once took this long, so that a rate is a number. */
const MIN_RESPONSE_MILLISECONDS = 0.01;

/** The window of one peer. Times in milliseconds, rates in bytes per millisecond. */
export class RequestWindow {
  /** Blocks that should be outstanding. */
  blocks = 1;
  /** From a request to its block, lately; infinite before the first. */
  #leastResponse = Number.POSITIVE_INFINITY;
  #measuredAt = 0;
  /** Since when the least time is measured anew; negative while it is not. */
  #probingSince = -1;
  /** Of the answers of this span of time: what came while each was awaited, and how long that was. */
  #bytes = 0;
  #took = 0;
  #spanEndsAt = 0;
  #rateBefore = 0;
  /** A round trip begins with the first block that was asked for since the one before began. */
  #roundBeganAt = Number.NEGATIVE_INFINITY;
  /** All that came in this round trip came at once, and fourfold growth is worth its memory. */
  #isBurst = false;

  /** Begins with so many blocks, before anything is known. */
  begin(blocks: number): void {
    this.blocks = Math.max(1, Math.trunc(blocks));
  }

  /**
   * A block came that was asked for.
   *
   * @param response since it was asked for
   * @param bytes that came since then, this block among them
   * @param floor of the window, in blocks, whatever the path holds
   * @param isOneOfFew so that what it does not give yet is given by nobody
   */
  answered(
    response: number,
    bytes: number,
    now: number,
    floor: number,
    blockBytes: number,
    isOneOfFew: boolean,
  ): void {
    const took = Math.max(response, MIN_RESPONSE_MILLISECONDS);
    this.#measureResponse(took, now);
    this.#measureRate(bytes, took, now);
    this.#measureSpread(response, now, isOneOfFew);
    const path = (this.#isBurst && this.#rises ? BURST_GAIN : this.#gain) * this.path(blockBytes);
    if (this.#probingSince >= 0) {
      this.blocks = Math.max(1, Math.trunc(Math.max(floor, PROBE_SHARE * path)));
      return;
    }
    const wanted = Math.max(floor, path);
    // One more for each block is twice as many in a round trip.
    const step = this.#isBurst ? BURST_STEP : 1;
    if (this.blocks < wanted) this.blocks += Math.min(step, Math.ceil(wanted - this.blocks));
    else this.blocks = Math.max(1, Math.trunc(wanted));
  }

  /** Nothing came for long: one block shows whether it lives. */
  collapse(): void {
    this.blocks = 1;
  }

  /** Blocks that must be outstanding so that answers come without a pause, with room to grow. Hot. */
  withoutPause(blockBytes: number): number {
    return this.#gain * this.path(blockBytes);
  }

  /** The least time from a request to its block, lately, in milliseconds; infinite before the first. */
  get leastResponse(): number {
    return this.#leastResponse;
  }

  /** Blocks that the path holds. Hot. */
  path(blockBytes: number): number {
    if (this.#took === 0) return 0;
    return (Math.max(this.#bytes / this.#took, this.#rateBefore) * this.#leastResponse) / blockBytes;
  }

  get #rises(): boolean {
    return this.#bytes / this.#took > RISE * this.#rateBefore;
  }

  get #gain(): number {
    return this.#rises ? RISING_GAIN : STEADY_GAIN;
  }

  #measureSpread(response: number, now: number, isOneOfFew: boolean): void {
    const spread = now - this.#roundBeganAt;
    if (spread >= response) this.#roundBeganAt = now;
    this.#isBurst = isOneOfFew && (spread >= response || spread < BURST_SHARE * response);
  }

  #measureResponse(took: number, now: number): void {
    if (took <= this.#leastResponse) {
      this.#leastResponse = took;
      this.#measuredAt = now;
      this.#probingSince = -1;
    } else if (this.#probingSince >= 0) {
      // What was asked for since the queue became shorter says how fast it can be now.
      if (now - took < this.#probingSince + this.#leastResponse) return;
      this.#leastResponse = took;
      this.#measuredAt = now;
      this.#probingSince = -1;
    } else if (now - this.#measuredAt > RESPONSE_VALID_MILLISECONDS) this.#probingSince = now;
  }

  #measureRate(bytes: number, took: number, now: number): void {
    if (now >= this.#spanEndsAt) {
      this.#rateBefore = this.#took === 0 ? 0 : this.#bytes / this.#took;
      this.#bytes = 0;
      this.#took = 0;
      this.#spanEndsAt = now + Math.max(MIN_SPAN_MILLISECONDS, this.#leastResponse);
    }
    this.#bytes += bytes;
    this.#took += took;
  }
}
