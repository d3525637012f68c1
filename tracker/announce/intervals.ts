/**
 * How soon peers come back, and how long they are believed without an announce. Our own clients keep to what they
 * are told; leechers among them come often, because their announces are how progress is known. Foreign clients have
 * least intervals of their own, of 5 to 10 minutes (libtorrent 300 s, rtorrent 600 s), whatever they are told: none is
 * told less than the shortest of those, and all are believed beyond the longest. Leechers that grow in number are asked
 * to come less often, so that all of them together announce at a bounded rate. Jitter keeps those that came at once
 * from coming back at once.
 */

/** The interval of our own leechers while there are few. */
const LEECHER_INTERVAL_SECONDS = 10;
const LEECHER_JITTER = 0.1;
/** Our own leechers never wait longer: beyond that their progress says nothing. */
const MAX_LEECHER_INTERVAL_SECONDS = 300;
/** The interval of foreign leechers while there are few: no client comes earlier, so none is told less. */
const FOREIGN_LEECHER_INTERVAL_SECONDS = 300;
const MAX_FOREIGN_LEECHER_INTERVAL_SECONDS = 900;
const SEED_INTERVAL_SECONDS = 600;
const MAX_SEED_INTERVAL_SECONDS = 900;
/** The rate of announces that leechers' intervals are widened to keep to: of our own ones, and of foreign ones. */
const TARGET_ANNOUNCES_PER_SECOND = 1_000;
/** Peers in need of neighbours may come back after this part of their interval, but not before the bounds below. */
const MIN_INTERVAL_PART = 1 / 5;
const LEECHER_MIN_INTERVAL_SECONDS = 2;
const SEED_MIN_INTERVAL_SECONDS = 60;
/** The longest least interval of foreign clients: until then they are not late, whatever they were told. */
const FOREIGN_FLOOR_SECONDS = 600;
/** Announces may come so much later than they are due: jitter, retries, a network that is slow. */
const LATE_AFTER_INTERVALS = 1.2;
/** A peer is forgotten after so many of its intervals without an announce, a foreign one not before the bound below. */
const INTERVALS_UNTIL_EXPIRY = 2;
const FOREIGN_EXPIRY_SECONDS = 1_500;

/** The two intervals of BEP 3 and its extension `min interval`, in whole seconds, and what follows from them. */
export interface Intervals {
  readonly intervalSeconds: number;
  readonly minIntervalSeconds: number;
  /** After so long without an announce the peer is late, and others are rather told of those that are not. */
  readonly lateSeconds: number;
  /** After so long without an announce it is forgotten. */
  readonly expirySeconds: number;
}

/**
 * The intervals for one answer.
 *
 * @param isOwn it is a client of ours, which keeps to any interval
 * @param leecherCount how many leechers of its kind (our own, or foreign) this tracker knows, in all swarms
 * @param random uniform in [0, 1)
 */
export function announceIntervals(
  isSeed: boolean,
  isOwn: boolean,
  leecherCount: number,
  random: () => number,
): Intervals {
  const intervalSeconds = isSeed ? seedInterval(random()) : leecherInterval(isOwn, leecherCount, random());
  const minIntervalSeconds = isSeed
    ? SEED_MIN_INTERVAL_SECONDS
    : Math.max(LEECHER_MIN_INTERVAL_SECONDS, Math.round(intervalSeconds * MIN_INTERVAL_PART));
  const comesWithin = isOwn ? intervalSeconds : Math.max(intervalSeconds, FOREIGN_FLOOR_SECONDS);
  const expirySeconds = INTERVALS_UNTIL_EXPIRY * intervalSeconds;
  return {
    intervalSeconds,
    minIntervalSeconds,
    lateSeconds: LATE_AFTER_INTERVALS * comesWithin,
    expirySeconds: isOwn ? expirySeconds : Math.max(expirySeconds, FOREIGN_EXPIRY_SECONDS),
  };
}

/** @param spread in [0, 1) */
function seedInterval(spread: number): number {
  const most = MAX_SEED_INTERVAL_SECONDS - SEED_INTERVAL_SECONDS;
  return SEED_INTERVAL_SECONDS + Math.floor(spread * (most + 1));
}

/** @param spread in [0, 1) */
function leecherInterval(isOwn: boolean, leecherCount: number, spread: number): number {
  const underLoad = leecherCount / TARGET_ANNOUNCES_PER_SECOND;
  const least = isOwn ? LEECHER_INTERVAL_SECONDS : FOREIGN_LEECHER_INTERVAL_SECONDS;
  const most = isOwn ? MAX_LEECHER_INTERVAL_SECONDS : MAX_FOREIGN_LEECHER_INTERVAL_SECONDS;
  const mean = Math.min(most, Math.max(least, underLoad));
  // A foreign one is never told less: its own least interval would hold.
  const jitter = isOwn ? 2 * spread - 1 : spread;
  return Math.round(mean * (1 + LEECHER_JITTER * jitter));
}
