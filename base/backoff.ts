// How long to wait before something that failed is tried again: longer each time, and spread, so that a thousand agents
// do not ask a server that has just come back all at once.

/** Between what a wait grows. */
export interface BackoffBounds {
  readonly firstMilliseconds: number;
  readonly maxMilliseconds: number;
}

/** Waits never overflow, however often something failed. */
const MAX_DOUBLINGS = 30;

/**
 * The wait after so many failures in a row: the first, doubled each time up to the greatest, and drawn from the upper
 * half of that.
 *
 * @param failures from 1
 * @param random uniform in [0, 1); without it the wait is not spread
 */
export function backoffMilliseconds(
  failures: number,
  { firstMilliseconds, maxMilliseconds }: BackoffBounds,
  random: () => number = () => 1,
): number {
  const doublings = Math.min(Math.max(failures, 1) - 1, MAX_DOUBLINGS);
  const ceiling = Math.min(firstMilliseconds * 2 ** doublings, maxMilliseconds);
  return ceiling * (0.5 + random() / 2);
}
