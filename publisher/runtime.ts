// What the publisher takes from the world besides its source and its agent.
import { setTimeout as delay } from 'node:timers/promises';

/** Time, handed in so that tests need not wait for it. */
export interface Clock {
  /** Milliseconds from some fixed moment; never goes back. */
  now(): number;
  /** Resolves after so many milliseconds, rejects as soon as the signal aborts. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => performance.now(),
  sleep: async (milliseconds, signal) => {
    await delay(milliseconds, undefined, { signal });
  },
};

/** Milliseconds to wait before attempt number `failures` + 1: doubling, with jitter so that many do not go at once. */
export function backoffMs(failures: number, random: () => number, longestMs = 15_000): number {
  return Math.min(longestMs, 500 * 2 ** Math.max(0, failures - 1)) * (0.75 + random() / 2);
}
