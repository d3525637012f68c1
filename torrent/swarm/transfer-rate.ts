// How fast bytes have come or gone lately. Invariant: an exponential average whose weight is that of the time
// really seen, so that it is right from the second block on and not only after its time constant.

const FIRST_BLOCK_TOOK_MILLISECONDS = 5;

/** An average rate. Hot: add() once a block; nothing allocates. */
export class TransferRate {
  readonly #windowMilliseconds: number;
  #sum = 0;
  #since = -1;
  #at = 0;

  constructor(windowMilliseconds: number) {
    this.#windowMilliseconds = windowMilliseconds;
  }

  add(bytes: number, now: number): void {
    if (this.#since < 0) {
      this.#since = now - FIRST_BLOCK_TOOK_MILLISECONDS;
      this.#at = now;
    }
    this.#decay(now);
    this.#sum += bytes;
  }

  /** Bytes per millisecond; 0 if there was never anything. */
  perMillisecond(now: number): number {
    if (this.#since < 0) return 0;
    this.#decay(now);
    const seen = now - this.#since;
    return this.#sum / (this.#windowMilliseconds * (1 - Math.exp(-seen / this.#windowMilliseconds)));
  }

  #decay(now: number): void {
    if (now <= this.#at) return;
    this.#sum *= Math.exp(-(now - this.#at) / this.#windowMilliseconds);
    this.#at = now;
  }
}
