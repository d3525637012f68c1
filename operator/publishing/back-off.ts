// How long the operator waits before it tries something again.

/** Wait after the first failed attempt. */
const FIRST_RETRY_MILLISECONDS = 10_000;
/** Longest wait between two attempts. */
const LONGEST_RETRY_MILLISECONDS = 300_000;

/** Wait after attempt number `attempt` (from 1) failed, in milliseconds: 10 s, 20 s, … up to 5 minutes. */
export function retryDelay(attempt: number): number {
  const doublings = Math.min(Math.max(attempt, 1) - 1, 16);
  return Math.min(FIRST_RETRY_MILLISECONDS * 2 ** doublings, LONGEST_RETRY_MILLISECONDS);
}
