/**
 * Requests that came a moment too early: for a torrent that this tracker is about to hear of, or whose first
 * holder is about to announce. They wait for that moment, within bounds of time and number, instead of being
 * sent away to come back later.
 */

/** Starts a timer; returns what stops it. */
export type StartTimer = (milliseconds: number, done: () => void) => () => void;

/** The timers of Node. */
export const nodeTimer: StartTimer = (milliseconds, done) => {
  const timer = setTimeout(done, milliseconds);
  return () => clearTimeout(timer);
};

export class WaitingRoom {
  readonly #maxWaiting: number;
  readonly #startTimer: StartTimer;
  readonly #waiting = new Map<string, Set<(came: boolean) => void>>();
  #count = 0;
  #closed = false;

  constructor(options: { maxWaiting: number; startTimer: StartTimer }) {
    this.#maxWaiting = options.maxWaiting;
    this.#startTimer = options.startTimer;
  }

  /** How many wait. */
  get count(): number {
    return this.#count;
  }

  /**
   * Waits until `key` is called.
   *
   * @returns whether it was; false when the time is over, the room full or closed
   */
  wait(key: string, milliseconds: number): Promise<boolean> {
    if (this.#closed || milliseconds <= 0 || this.#count >= this.#maxWaiting) return Promise.resolve(false);
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(key) ?? new Set();
      this.#waiting.set(key, waiting);
      const leave = (came: boolean) => {
        stopTimer();
        waiting.delete(leave);
        if (waiting.size === 0) this.#waiting.delete(key);
        this.#count -= 1;
        resolve(came);
      };
      const stopTimer = this.#startTimer(milliseconds, () => leave(false));
      waiting.add(leave);
      this.#count += 1;
    });
  }

  /** Lets all go that wait for `key`. */
  call(key: string): void {
    for (const leave of [...(this.#waiting.get(key) ?? [])]) leave(true);
  }

  /** Sends everybody away; nobody waits from now on. */
  close(): void {
    this.#closed = true;
    for (const waiting of [...this.#waiting.values()]) for (const leave of [...waiting]) leave(false);
  }
}
