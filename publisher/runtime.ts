// What the publisher takes from the world besides its source and its agent.

/** Milliseconds to wait before attempt number `failures` + 1: doubling, with jitter so that many do not go at once. */
export function backoffMs(failures: number, random: () => number, longestMs = 15_000): number {
  return Math.min(longestMs, 500 * 2 ** Math.max(0, failures - 1)) * (0.75 + random() / 2);
}
