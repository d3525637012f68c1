// Time, handed in, so that tests decide when it passes.

/** The calendar's time and timers. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls back once after a delay in milliseconds; the returned function cancels it. */
  after(delayMilliseconds: number, callback: () => void): () => void;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
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

/** MicroTime of the API: RFC 3339 with six decimals. */
export function microTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('Z', '000Z');
}
