// For what a property test compares millions of times, which `expect` is too slow for.

/** Throws unless both are the same value. */
export function same<T>(what: string, actual: T, expected: T): void {
  if (!Object.is(actual, expected)) throw new Error(`${what}: ${actual} instead of ${expected}`);
}
