// When a status may be written: transitions at once, progress every 2 seconds a distribution at most, and all
// distributions together 20 times a second at most.

/** Least time between two writes of progress of one distribution. */
export const PROGRESS_INTERVAL_MILLISECONDS = 2_000;
const WRITES_PER_SECOND = 20;

/** Counts status writes. */
export class StatusThrottle {
  readonly #lastWrite = new Map<string, number>();
  #tokens = WRITES_PER_SECOND;
  #filledAt = 0;

  /**
   * Asks for a write, and counts it when it may be.
   *
   * @returns 0 when it may be done now, else how many milliseconds to wait
   */
  ask(uid: string, isTransition: boolean, nowMilliseconds: number): number {
    const last = this.#lastWrite.get(uid);
    if (!isTransition && last !== undefined) {
      const wait = last + PROGRESS_INTERVAL_MILLISECONDS - nowMilliseconds;
      if (wait > 0) return wait;
    }
    this.#fill(nowMilliseconds);
    if (this.#tokens < 1) return Math.ceil(((1 - this.#tokens) * 1000) / WRITES_PER_SECOND);
    this.#tokens -= 1;
    this.#lastWrite.set(uid, nowMilliseconds);
    return 0;
  }

  /** The distribution is gone. */
  forget(uid: string): void {
    this.#lastWrite.delete(uid);
  }

  #fill(now: number): void {
    const elapsed = Math.max(0, now - this.#filledAt);
    this.#tokens = Math.min(WRITES_PER_SECOND, this.#tokens + (elapsed * WRITES_PER_SECOND) / 1000);
    this.#filledAt = now;
  }
}
