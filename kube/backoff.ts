// Delays between tries that grow and are spread, so that a thousand agents do not ask a server that has just
// come back all at once.

/** Bounds of a back-off, in milliseconds. */
export interface BackoffOptions {
  readonly initialMilliseconds: number;
  readonly maxMilliseconds: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** Doubles from the initial delay to the greatest; each delay is drawn from its upper half. */
export class Backoff {
  readonly #options: BackoffOptions;
  #failures = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** Milliseconds to wait before the next try. */
  next(): number {
    const { initialMilliseconds, maxMilliseconds, random } = this.#options;
    const ceiling = Math.min(initialMilliseconds * 2 ** Math.min(this.#failures, 30), maxMilliseconds);
    this.#failures += 1;
    return ceiling * (0.5 + random() / 2);
  }

  /** Something worked: begin anew. */
  reset(): void {
    this.#failures = 0;
  }
}
