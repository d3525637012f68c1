/** Waiting for something to become so. */
import { setTimeout as delay } from 'node:timers/promises';
import { PATIENCE } from '../../patience.ts';

const POLL_MILLISECONDS = 200;

/**
 * Asks until an answer is as it should be.
 *
 * @param look its last answer, or failure, is part of the error
 * @throws after the time, saying what was waited for and what there was instead
 */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  isSo: (answer: T) => boolean = Boolean,
  seconds = 60,
): Promise<T> {
  const end = Date.now() + PATIENCE * seconds * 1000;
  let last: unknown;
  for (;;) {
    try {
      const answer = await look();
      if (isSo(answer)) return answer;
      last = JSON.stringify(answer);
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`not within ${PATIENCE * seconds} s: ${what}; at last: ${last}`);
    await delay(POLL_MILLISECONDS);
  }
}
