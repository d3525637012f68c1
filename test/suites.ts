/**
 * The suites of `npm test`: which files each holds, and what it needs. A test belongs to the suite of the
 * first pattern that its path matches.
 */

/** One suite of tests that jest runs. */
export interface Suite {
  readonly name: 'unit' | 'integration' | 'e2e';
  /** Regular expressions over the path of a test file, as jest takes them. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** How many test files run side by side. */
  readonly workers: number;
  /**
   * How long one test may take, in milliseconds, unless it says otherwise. Generous: it tells a test that hangs
   * from one on a machine that is busy, and no more.
   */
  readonly timeoutMilliseconds: number;
}

/** In the order in which `npm test` runs them: the quick ones first. */
export const SUITES: readonly Suite[] = [
  {
    name: 'unit',
    include: ['/test/'],
    exclude: ['/test/integration/', '/test/e2e/'],
    workers: 2,
    timeoutMilliseconds: 300_000,
  },
  // Integration tests start servers of their own (an API server each), and two cores hold one at a time.
  {
    name: 'integration',
    include: ['/test/integration/'],
    exclude: [],
    workers: 1,
    timeoutMilliseconds: 600_000,
  },
  // End-to-end tests share one cluster and cut its nodes off.
  { name: 'e2e', include: ['/test/e2e/'], exclude: [], workers: 1, timeoutMilliseconds: 900_000 },
];
