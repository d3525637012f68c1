// Time, handed in, so that tests decide when it passes.

/** Two readings of time, and timers. */
export interface Clock {
  /** Milliseconds since 1970, for what is compared with times that others wrote. It goes back when it is set back. */
  now(): number;
  /** Milliseconds since some fixed moment, for durations and deadlines of our own. It never goes back. */
  monotonic(): number;
  /** Calls back once after a delay in milliseconds; the returned function cancels it. */
  after(delayMilliseconds: number, callback: () => void): () => void;
}

/** As much of a clock as measures how long something takes. */
export type Stopwatch = Pick<Clock, 'monotonic'>;

/** The machine's clock. Its timers keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMilliseconds, callback) {
    const timer = setTimeout(callback, delayMilliseconds);
    return () => clearTimeout(timer);
  },
};

/** Resolves after a delay, or at once when the signal aborts; never rejects. */
export function sleep(clock: Clock, delayMilliseconds: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(delayMilliseconds, done);
    signal?.addEventListener('abort', done, { once: true });
  });
}
