// The trackers of one torrent, in tiers (BEP 12). Invariant: of the trackers that may be asked now, the first of
// the first tier is asked first; one that answers moves to the front of its tier, one that fails is left alone
// for a while that doubles.
import { type BackoffBounds, backoffMilliseconds } from '../../base/index.ts';

/** What is remembered of one tracker. */
export interface Tracker {
  readonly url: string;
  /** It was told `started` and answered: it is owed a `stopped`. */
  isStarted: boolean;
  /** It has been told that the download is complete, or knows it from the start. */
  knowsCompleted: boolean;
  trackerId: Buffer | undefined;
  /** What it had to say so far (`warning message`) and what was odd in its replies: each is told once. */
  readonly told: Set<string>;
  /** Failures since the last answer. */
  failures: number;
  /** When it may be asked again, on the clock in milliseconds; Infinity for never (BEP 31). */
  notBeforeMilliseconds: number;
}

function newTracker(url: string): Tracker {
  return {
    url,
    isStarted: false,
    knowsCompleted: false,
    trackerId: undefined,
    told: new Set(),
    failures: 0,
    notBeforeMilliseconds: 0,
  };
}

/** Ordered tiers of trackers. */
export class TrackerTiers {
  readonly #backoff: BackoffBounds;
  readonly #random: () => number;
  #tiers: Tracker[][] = [];

  /** @param backoff how long a tracker that fails is left alone */
  constructor(tiers: readonly (readonly string[])[], backoff: BackoffBounds, random: () => number) {
    this.#backoff = backoff;
    this.#random = random;
    this.replace(tiers);
  }

  /** Replaces the tiers; what is known of trackers that stay is kept. Within a tier the order is random (BEP 12). */
  replace(tiers: readonly (readonly string[])[]): void {
    const known = new Map(this.#all().map((tracker) => [tracker.url, tracker]));
    const seen = new Set<string>();
    this.#tiers = [];
    for (const urls of tiers) {
      const fresh = urls.filter((url) => !seen.has(url) && seen.add(url));
      this.#shuffle(fresh);
      if (fresh.length > 0) this.#tiers.push(fresh.map((url) => known.get(url) ?? newTracker(url)));
    }
  }

  /** The trackers that may be asked at `nowMilliseconds`, in the order to ask them. */
  candidates(nowMilliseconds: number): Tracker[] {
    return this.#all().filter((tracker) => tracker.notBeforeMilliseconds <= nowMilliseconds);
  }

  /** The trackers that are asked before this one when all are well. */
  before(tracker: Tracker): Tracker[] {
    const all = this.#all();
    return all.slice(0, Math.max(0, all.indexOf(tracker)));
  }

  /** The tracker of a URL. */
  find(url: string): Tracker | undefined {
    return this.#all().find((tracker) => tracker.url === url);
  }

  /** The tracker that is asked first when all are well. */
  get first(): Tracker | undefined {
    return this.#tiers[0]?.[0];
  }

  /** Trackers that are owed a `stopped`. */
  get started(): Tracker[] {
    return this.#all().filter((tracker) => tracker.isStarted);
  }

  /** When the earliest tracker may be asked; Infinity if none ever. */
  earliestMilliseconds(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.#all().map((tracker) => tracker.notBeforeMilliseconds));
  }

  /** A tracker answered. */
  succeeded(tracker: Tracker): void {
    tracker.failures = 0;
    tracker.notBeforeMilliseconds = 0;
    for (const tier of this.#tiers) {
      const at = tier.indexOf(tracker);
      if (at > 0) tier.unshift(...tier.splice(at, 1));
    }
  }

  /** A tracker failed; it said when to come back, or is left alone by the backoff. */
  failed(tracker: Tracker, nowMilliseconds: number, retryInSeconds: number | undefined): void {
    tracker.failures++;
    const wait =
      retryInSeconds === undefined
        ? backoffMilliseconds(tracker.failures, this.#backoff, this.#random)
        : retryInSeconds * 1000;
    tracker.notBeforeMilliseconds = nowMilliseconds + wait;
  }

  #all(): Tracker[] {
    return this.#tiers.flat();
  }

  #shuffle(urls: string[]): void {
    for (let i = urls.length - 1; i > 0; i--) {
      const j = Math.floor(this.#random() * (i + 1));
      [urls[i], urls[j]] = [urls[j] ?? '', urls[i] ?? ''];
    }
  }
}
