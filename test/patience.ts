/**
 * A bound on waiting tells what hangs from what is slow. Each says what a quiet machine keeps with room; this many times
 * that is what a busy one is given.
 */
export const PATIENCE = 4;
