// A clock that moves only when a test moves it. Invariant: callbacks run in the order of their time, and what a
// callback set going has settled before the next one runs.
import type { Clock } from '../../../torrent/discovery/clock.ts';

export class FakeClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ at: number; callback: () => void }>();

  nowMilliseconds(): number {
    return this.#now;
  }

  after(delayMilliseconds: number, callback: () => void): () => void {
    const timer = { at: this.#now + delayMilliseconds, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Timers that are set. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Lets time pass. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    await settle();
    for (;;) {
      const next = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
      await settle();
    }
    this.#now = end;
  }
}

/** Lets everything that is under way without timers or sockets come to rest. */
async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}
