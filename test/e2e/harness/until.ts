/** Waiting for something on a cluster to become so. */
import * as base from '../../base/until.ts';

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
  let last: unknown;
  const lookOnce = async () => {
    try {
      const answer = await look();
      last = JSON.stringify(answer);
      return isSo(answer) && { answer };
    } catch (error) {
      last = error;
      return false;
    }
  };
  const found = await base.until(() => `${what}; at last: ${last}`, lookOnce, seconds, POLL_MILLISECONDS);
  return found.answer;
}
