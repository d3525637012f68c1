/**
 * What a command shows a person while it works: one line that is drawn anew on a terminal, and whole lines now
 * and then elsewhere. Invariant: whatever else is printed goes through here, so that lines never mix.
 */
import { printable } from './printable.ts';

/** Where it is shown; process.stdout fits. */
export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** How often whole lines come where there is no terminal. */
const PLAIN_MILLISECONDS = 10_000;

/** Of terminals that do not say. */
const DEFAULT_COLUMNS = 80;

const CLEAR_LINE = '\r\u001b[K';

/** A line that changes, and lines that stay. */
export class Screen {
  readonly #output: Output;
  /** It can go back to the start of a line. */
  readonly #isTerminal: boolean;
  readonly #now: () => number;
  #isDrawn = false;
  #plainAt: number;

  constructor(output: Output, now: () => number = () => performance.now(), terminal = process.env.TERM) {
    this.#output = output;
    this.#isTerminal = output.isTTY === true && terminal !== 'dumb';
    this.#now = now;
    this.#plainAt = now() + PLAIN_MILLISECONDS;
  }

  /** Columns of the terminal; undefined where there is none. */
  get columns(): number | undefined {
    return this.#isTerminal ? this.#output.columns || DEFAULT_COLUMNS : undefined;
  }

  /** Replaces the line that changes. Without a terminal it is printed every 10 s. */
  status(text: string): void {
    if (this.columns !== undefined) {
      this.#output.write(`${CLEAR_LINE}${printable(text)}`);
      this.#isDrawn = true;
    } else if (this.#now() >= this.#plainAt) {
      this.#plainAt = this.#now() + PLAIN_MILLISECONDS;
      this.#output.write(`${printable(text)}\n`);
    }
  }

  /** Prints a line that stays, by another stream if one is given. */
  line(text: string, other: Output = this.#output): void {
    this.clear();
    other.write(`${printable(text)}\n`);
  }

  /** Takes the line that changes away. */
  clear(): void {
    if (this.#isDrawn) this.#output.write(CLEAR_LINE);
    this.#isDrawn = false;
  }
}
