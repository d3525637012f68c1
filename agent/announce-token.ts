// The token by which trackers know an agent. Invariant: what is sent is never older than a few seconds, because
// the kubelet replaces the file as the token ages.
import { readFileSync } from 'node:fs';
import type { Clock } from '../base/index.ts';

const READ_AGAIN_MILLISECONDS = 10_000;

/**
 * Gives the headers of announces to our own trackers: the token as the file has it now, or nothing where there is
 * no file.
 */
export function announceHeaders(path: string | undefined, clock: Clock): () => Record<string, string> {
  let headers: Record<string, string> = {};
  let readAgain = Number.NEGATIVE_INFINITY;
  return () => {
    if (path === undefined || clock.now() < readAgain) return headers;
    readAgain = clock.now() + READ_AGAIN_MILLISECONDS;
    try {
      const token = readFileSync(path, 'utf8').trim();
      headers = token === '' ? {} : { authorization: `Bearer ${token}` };
    } catch {
      // The last one may still be good; without it the tracker says why it refuses.
    }
    return headers;
  };
}
