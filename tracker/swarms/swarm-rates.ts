/**
 * How fast swarms move: what their counters grew by since a moment 10 to 20 seconds ago. Two moments are kept for
 * each swarm that moved lately.
 */
import type { Swarm } from './swarm.ts';
import type { SwarmRates } from './swarm-summary.ts';

/** A new moment is noted this often. */
const WINDOW_MILLISECONDS = 10_000;
const STANDING: SwarmRates = { uploadRate: 0, downloadRate: 0 };

interface Moment {
  readonly at: number;
  readonly uploadedBytes: number;
  readonly downloadedBytes: number;
}

export class RateBook {
  readonly #moments = new WeakMap<Swarm, readonly [older: Moment, newer: Moment]>();
  #notedAt: number;

  /** @param now milliseconds of a monotonic clock */
  constructor(now: number) {
    this.#notedAt = now;
  }

  /** Notes where all swarms stand, if it is time. Call it every few seconds. */
  note(now: number, swarms: Iterable<Swarm>): void {
    if (now - this.#notedAt < WINDOW_MILLISECONDS) return;
    this.#notedAt = now;
    for (const swarm of swarms) {
      const { uploadedBytes, downloadedBytes } = swarm;
      const newer = { at: now, uploadedBytes, downloadedBytes };
      this.#moments.set(swarm, [this.#moments.get(swarm)?.[1] ?? newer, newer]);
    }
  }

  /** Bytes per second of a swarm; 0 while it is not known long enough. */
  of(swarm: Swarm, now: number): SwarmRates {
    const older = this.#moments.get(swarm)?.[0];
    if (older === undefined || now <= older.at) return STANDING;
    const seconds = (now - older.at) / 1000;
    return {
      uploadRate: Math.round((swarm.uploadedBytes - older.uploadedBytes) / seconds),
      downloadRate: Math.round((swarm.downloadedBytes - older.downloadedBytes) / seconds),
    };
  }
}
