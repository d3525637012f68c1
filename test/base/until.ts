// Waiting for what comes by itself, instead of sleeping.
import { setTimeout as delay } from 'node:timers/promises';
import { PATIENCE } from '../patience.ts';

/**
 * Looks again and again. What `look` throws ends it.
 *
 * @returns what `look` gave once that was neither false nor undefined; undefined when the time was over
 */
export async function within<T>(
  milliseconds: number,
  pollMilliseconds: number,
  look: () => T | false | undefined | Promise<T | false | undefined>,
): Promise<T | undefined> {
  const end = performance.now() + milliseconds;
  for (;;) {
    const seen = await look();
    if (seen !== false && seen !== undefined) return seen;
    if (performance.now() > end) return undefined;
    await delay(pollMilliseconds);
  }
}

/**
 * Resolves with what `look` gives once that is neither false nor undefined.
 *
 * @param what for the error: what is waited for, or a function that says how things stand
 * @param seconds what a quiet machine keeps with room
 * @throws Error that says what did not come, and what `look` throws
 */
export async function until<T>(
  what: string | (() => string),
  look: () => T | false | undefined | Promise<T | false | undefined>,
  seconds = 30,
  pollMilliseconds = 10,
): Promise<T> {
  const seen = await within(PATIENCE * seconds * 1000, pollMilliseconds, look);
  if (seen !== undefined) return seen;
  throw new Error(`not within ${PATIENCE * seconds} s: ${typeof what === 'string' ? what : what()}`);
}
