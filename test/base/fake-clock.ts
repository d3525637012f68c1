// A clock that moves only when a test moves it. Invariant: callbacks run in the order of their time, each at its time,
// and what one set going has settled before the next one runs.
import type { Clock } from '../../base/index.ts';

/** Lets everything that is under way without timers, and I/O that is at hand, come to rest. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

export class FakeClock implements Clock {
  readonly #startedAt: number;
  /** Milliseconds since the start; they alone are added up, because fractions of them get lost in a date. */
  #elapsed = 0;
  readonly #timers = new Set<{ at: number; callback: () => void }>();

  /** @param startedAt milliseconds since 1970 */
  constructor(startedAt = Date.parse('2026-01-01T00:00:00Z')) {
    this.#startedAt = startedAt;
  }

  now(): number {
    return this.#startedAt + this.#elapsed;
  }

  /** Begins at 0, so that it is not taken for the time of day. */
  monotonic(): number {
    return this.#elapsed;
  }

  after(delayMilliseconds: number, callback: () => void): () => void {
    const timer = { at: this.#elapsed + Math.max(0, delayMilliseconds), callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Timers that are set. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Milliseconds until the next timer; undefined if there is none. */
  get nextIn(): number | undefined {
    if (this.#timers.size === 0) return undefined;
    return Math.min(...[...this.#timers].map(({ at }) => at)) - this.#elapsed;
  }

  /** Moves on, and calls back what is due. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.#elapsed + milliseconds;
    await settle();
    for (;;) {
      const [next] = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#elapsed = Math.max(this.#elapsed, next.at);
      next.callback();
      await settle();
    }
    this.#elapsed = end;
  }

  /** Moves on at once and calls nothing back: for what only reads the clock. */
  skip(milliseconds: number): void {
    this.#elapsed += milliseconds;
  }
}
