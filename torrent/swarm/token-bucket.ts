// A rate limit. Invariant: over any span it lets through at most rate × span + burst + one block; it never waits,
// it only answers, so that nobody polls faster than the tick that refills it.

/** A burst is what the rate gives in this time, and at least one block. */
const BURST_MILLISECONDS = 250;
const LEAST_BURST_BYTES = 16 * 1024;

/** Tokens are bytes. Without a rate it lets everything through. */
export class TokenBucket {
  #bytesPerMillisecond = Number.POSITIVE_INFINITY;
  #burst = Number.POSITIVE_INFINITY;
  #tokens = Number.POSITIVE_INFINITY;
  #at: number;

  constructor(bytesPerSecond: number | undefined, now: number) {
    this.#at = now;
    this.setRate(bytesPerSecond, now);
  }

  /** Undefined or 0 = no limit. */
  setRate(bytesPerSecond: number | undefined, now: number): void {
    if (bytesPerSecond === undefined || !(bytesPerSecond > 0)) {
      this.#bytesPerMillisecond = Number.POSITIVE_INFINITY;
      this.#burst = Number.POSITIVE_INFINITY;
      this.#tokens = Number.POSITIVE_INFINITY;
      return;
    }
    this.#bytesPerMillisecond = bytesPerSecond / 1000;
    this.#burst = Math.max(LEAST_BURST_BYTES, this.#bytesPerMillisecond * BURST_MILLISECONDS);
    this.#tokens = Math.min(this.#tokens, this.#burst);
    this.#at = now;
  }

  /** False if nothing may pass now. */
  isOpen(now: number): boolean {
    if (this.#tokens === Number.POSITIVE_INFINITY) return true;
    if (now > this.#at) {
      this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) * this.#bytesPerMillisecond);
      this.#at = now;
    }
    return this.#tokens > 0;
  }

  /** Counts what passes; a block is never cut, so the account may go below zero by one. */
  spend(bytes: number): void {
    this.#tokens -= bytes;
  }

  /** Gives back what was counted and did not come. */
  refund(bytes: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + bytes);
  }
}
