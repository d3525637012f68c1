// Looks at how something failed. Invariant: what did not fail, or failed with another class of error, fails the test.
import { TorrentError } from '../../torrent/errors.ts';

/** The TorrentError that `work` throws. */
export function failureOf(work: () => unknown): TorrentError {
  try {
    work();
  } catch (error) {
    if (error instanceof TorrentError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

/** The TorrentError that a promise rejects with. */
export async function rejectionOf(promise: Promise<unknown>): Promise<TorrentError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof TorrentError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}
