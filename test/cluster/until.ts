/** Waiting for a condition, with a time-out whose error says what was waited for and why it is not there. */
import { within } from '../base/until.ts';
import { ClusterError } from './errors.ts';

/**
 * Asks again and again until the answer is yes. A question that fails counts as no and its reason is kept,
 * except for a ClusterError NotReady: that one ends the wait.
 *
 * @param what for the error: "the API server"
 * @throws {ClusterError} NotReady with the last reason
 */
export async function until(
  what: string,
  isSo: () => Promise<boolean>,
  { timeout, poll }: { timeout: number; poll: number },
): Promise<void> {
  let reason = 'not yet';
  let cause: unknown;
  const isReady = await within(timeout, poll, async () => {
    try {
      return await isSo();
    } catch (error) {
      if (error instanceof ClusterError && error.code === 'NotReady') throw error;
      reason = (error as Error).message;
      cause = error;
      return false;
    }
  });
  if (isReady) return;
  throw new ClusterError('NotReady', `not ready within ${timeout / 1000} s: ${what} (${reason})`, { cause });
}
