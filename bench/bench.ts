/** What a bench is, and what comes out of it. */

/** How a bench is run. */
export interface BenchOptions {
  /** How often each contender runs; they take turns. */
  readonly runs: number;
  /** Bytes of content, where a bench takes them; its own default otherwise. */
  readonly size: number | undefined;
  /** Says how far it is, to people. */
  log(line: string): void;
}

/** One line of the table. */
export interface Row {
  /** The row of the project's list of targets. */
  readonly number: string;
  /** What was measured, with its unit. */
  readonly work: string;
  /** Ours, and each peer's by name; every value of every run. */
  readonly ours: readonly number[];
  readonly peers: Readonly<Record<string, readonly number[]>>;
  readonly digits: number;
  /** What is to be reached, in words. */
  readonly target: string;
  /** Whether it is, by the medians. */
  readonly isReached: boolean;
}

/** A comparison that runs alone. */
export interface Bench {
  readonly name: string;
  /** What it does and how large it is by default, in a line. */
  readonly about: string;
  run(options: BenchOptions): Promise<BenchResult>;
}

/** What a bench found: lines of the table, and text to stand as it is. */
export interface BenchResult {
  readonly rows: readonly Row[];
  readonly text?: string;
}
