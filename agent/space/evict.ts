// Which revision goes first where room lacks. A pure function. Invariant: only what is neither wanted, active nor
// in use goes, and nothing goes for a promise that could not be kept anyway.

/** A revision on this disk. */
export interface Evictable {
  uid: string;
  revision: string;
  /** What it has on the disk at most. */
  sizeBytes: number;
  /** Since when it is held, in milliseconds since 1970; undefined for a download that was given up. */
  heldAt: number | undefined;
}

/** The one that goes next: what is not complete, then what has been here longest. */
export function nextToEvict<E extends Evictable>(
  candidates: readonly E[],
  neededBytes: number,
): E | undefined {
  const roomBytes = candidates.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (roomBytes < neededBytes) return undefined;
  return [...candidates].sort((a, b) => (a.heldAt ?? 0) - (b.heldAt ?? 0))[0];
}
