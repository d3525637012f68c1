/**
 * How soon peers come back. Leechers come often, because their announces are how progress is known; seeds
 * seldom. As leechers grow in number they are asked to come less often, so that all of them together announce at
 * a bounded rate. Jitter keeps those that came at once from coming back at once.
 */

/** Leechers' interval while there are few. */
const LEECHER_INTERVAL_SECONDS = 10;
const LEECHER_JITTER = 0.1;
/** Leechers never wait longer: beyond that their progress says nothing. */
const MAX_LEECHER_INTERVAL_SECONDS = 300;
const SEED_INTERVAL_SECONDS = 600;
const MAX_SEED_INTERVAL_SECONDS = 900;
/** The rate of announces that leechers' intervals are widened to keep to. */
const TARGET_ANNOUNCES_PER_SECOND = 1_000;
/** Peers in need of neighbours may come back this early. */
const LEECHER_MIN_INTERVAL_SECONDS = 2;
const SEED_MIN_INTERVAL_SECONDS = 60;

/** The two intervals of BEP 3 and its extension `min interval`, in whole seconds. */
export interface Intervals {
  readonly intervalSeconds: number;
  readonly minIntervalSeconds: number;
}

/**
 * The intervals for one answer.
 *
 * @param leecherCount how many leechers this tracker knows, in all swarms
 * @param random uniform in [0, 1)
 */
export function announceIntervals(isSeed: boolean, leecherCount: number, random: () => number): Intervals {
  if (isSeed) {
    const spread = MAX_SEED_INTERVAL_SECONDS - SEED_INTERVAL_SECONDS;
    return {
      intervalSeconds: SEED_INTERVAL_SECONDS + Math.floor(random() * (spread + 1)),
      minIntervalSeconds: SEED_MIN_INTERVAL_SECONDS,
    };
  }
  const underLoad = leecherCount / TARGET_ANNOUNCES_PER_SECOND;
  const mean = Math.min(MAX_LEECHER_INTERVAL_SECONDS, Math.max(LEECHER_INTERVAL_SECONDS, underLoad));
  return {
    intervalSeconds: Math.round(mean * (1 + LEECHER_JITTER * (2 * random() - 1))),
    minIntervalSeconds: Math.max(LEECHER_MIN_INTERVAL_SECONDS, Math.round(mean / 5)),
  };
}
