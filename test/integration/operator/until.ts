// Waiting for a condition of something that runs by itself.
import { setTimeout as delay } from 'node:timers/promises';
import { PATIENCE } from '../../patience.ts';

const POLL_MILLISECONDS = 50;

/** Resolves with what `look` gives, once that is neither false nor undefined; an error says what did not come. */
export async function until<T>(
  what: string,
  look: () => T | false | undefined | Promise<T | false | undefined>,
  seconds = 30,
): Promise<T> {
  const end = Date.now() + PATIENCE * seconds * 1000;
  for (;;) {
    const seen = await look();
    if (seen !== false && seen !== undefined) return seen;
    if (Date.now() > end) throw new Error(`not within ${PATIENCE * seconds} s: ${what}`);
    await delay(POLL_MILLISECONDS);
  }
}
