/**
 * What a command shows a person while it works: one line that is drawn anew on a terminal, and whole lines now
 * and then elsewhere. Invariant: whatever else is printed goes through here, so that lines never mix.
 */

/** Where it is shown; process.stdout fits. */
export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** How often whole lines come where there is no terminal. */
const PLAIN_MILLISECONDS = 10_000;

const CLEAR_LINE = '\r\u001b[K';

/** A line that changes, and lines that stay. */
export class Screen {
  readonly #output: Output;
  readonly #now: () => number;
  #isDrawn = false;
  #plainAt: number;

  constructor(output: Output, now: () => number = () => performance.now()) {
    this.#output = output;
    this.#now = now;
    this.#plainAt = now() + PLAIN_MILLISECONDS;
  }

  /** Columns of the terminal; undefined where there is none. */
  get columns(): number | undefined {
    return this.#output.isTTY ? (this.#output.columns ?? 80) : undefined;
  }

  /** Replaces the line that changes. Without a terminal it is printed every 10 s. */
  status(text: string): void {
    if (this.columns !== undefined) {
      this.#output.write(`${CLEAR_LINE}${text}`);
      this.#isDrawn = true;
    } else if (this.#now() >= this.#plainAt) {
      this.#plainAt = this.#now() + PLAIN_MILLISECONDS;
      this.#output.write(`${text}\n`);
    }
  }

  /** Prints a line that stays, by another stream if one is given. */
  line(text: string, other: Output = this.#output): void {
    this.clear();
    other.write(`${text}\n`);
  }

  /** Takes the line that changes away. */
  clear(): void {
    if (this.#isDrawn) this.#output.write(CLEAR_LINE);
    this.#isDrawn = false;
  }
}
