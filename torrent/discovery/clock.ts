// Time, handed in, so that tests decide when it passes.

/** A clock that does not jump, and timers on it. */
export interface Clock {
  /** Milliseconds since some fixed moment; never goes back. */
  nowMilliseconds(): number;
  /** Calls back once after a delay; the returned function cancels it. */
  after(delayMilliseconds: number, callback: () => void): () => void;
}

/** The process's monotonic clock; its timers do not keep the process alive. */
export const systemClock: Clock = {
  nowMilliseconds: () => performance.now(),
  after(delayMilliseconds, callback) {
    const timer = setTimeout(callback, delayMilliseconds);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
