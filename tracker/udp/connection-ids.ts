/**
 * The connection ids of UDP trackers (BEP 15). An id proves that its bearer receives at the address it sends from;
 * it is a keyed hash of that address and the time, so nothing is remembered for it and nobody can make one up.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

export const CONNECTION_ID_BYTES = 8;
/** Ids are made anew so often. */
const PERIOD_MILLISECONDS = 30_000;
/**
 * An id is good in the period it was made in and so many that follow: for two minutes at least, which BEP 15 asks of
 * trackers, and two and a half at most.
 */
const FURTHER_PERIODS = 4;

export class ConnectionIds {
  readonly #secret = randomBytes(32);
  readonly #now: () => number;

  /** @param now milliseconds of a monotonic clock */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The id for an address: its bytes, without the port, which routers change. */
  make(host: Uint8Array): Buffer {
    return this.#of(host, this.#period());
  }

  /** Whether an id was made for this address lately; the time it takes tells no more than its age. */
  isGood(id: Uint8Array, host: Uint8Array): boolean {
    const period = this.#period();
    for (let age = 0; age <= FURTHER_PERIODS; age += 1)
      if (timingSafeEqual(id, this.#of(host, period - age))) return true;
    return false;
  }

  #period(): number {
    return Math.floor(this.#now() / PERIOD_MILLISECONDS);
  }

  #of(host: Uint8Array, period: number): Buffer {
    const time = Buffer.alloc(8);
    time.writeDoubleBE(period);
    return createHmac('sha256', this.#secret)
      .update(time)
      .update(host)
      .digest()
      .subarray(0, CONNECTION_ID_BYTES);
  }
}
