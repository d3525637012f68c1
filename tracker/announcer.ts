/**
 * Answers announces and scrapes: request in, bencoded answer out, whatever was asked. It knows no HTTP, so that
 * other ways in (UDP) answer alike.
 */
import { type AnnounceEvent, type AnnounceRequest, parseAnnounce } from './announce-request.ts';
import { TrackerError, type TrackerErrorCode } from './errors.ts';
import { announceIntervals } from './intervals.ts';
import { setPort } from './peer-address.ts';
import type { SwarmRegistry } from './registry.ts';
import { announceReply, failureReply, type RetryIn, scrapeReply } from './reply.ts';
import { parseScrape } from './scrape-request.ts';
import { NO_COUNTS, type SwarmCounts } from './swarm.ts';
import type { KnownTorrent, TorrentList } from './torrents.ts';
import type { WaitingRoom } from './waiting-room.ts';

/** A peer is forgotten after this many of its intervals without an announce. */
const INTERVALS_UNTIL_EXPIRY = 2;
/** The least that clients shall leave between two scrapes (BEP 48's flag). */
const MIN_SCRAPE_INTERVAL_SECONDS = 60;

/** How an announce or scrape ended, for the metrics. */
export type Outcome = 'ok' | TrackerErrorCode;

/** An answer and what to count it as. */
export interface Answer {
  /** One char a byte. */
  readonly body: string;
  readonly outcome: Outcome;
  /** Undefined for scrapes and for announces that could not be read. */
  readonly event?: AnnounceEvent;
}

export class Announcer {
  readonly #torrents: TorrentList;
  readonly #registry: SwarmRegistry;
  readonly #arrivals: WaitingRoom;
  readonly #arrivalWaitMilliseconds: number;
  readonly #random: () => number;
  readonly #now: () => number;

  /**
   * @param options.arrivals called with the info hash of each torrent that comes to the list
   * @param options.arrivalWaitMilliseconds how long an announce for an unknown torrent waits for it to come
   * @param options.now milliseconds of a monotonic clock
   */
  constructor(options: {
    torrents: TorrentList;
    registry: SwarmRegistry;
    arrivals: WaitingRoom;
    arrivalWaitMilliseconds: number;
    random: () => number;
    now: () => number;
  }) {
    this.#torrents = options.torrents;
    this.#registry = options.registry;
    this.#arrivals = options.arrivals;
    this.#arrivalWaitMilliseconds = options.arrivalWaitMilliseconds;
    this.#random = options.random;
    this.#now = options.now;
  }

  /**
   * Hot: answers an announce; one that has to wait for its torrent gets a promise. Bad ones are answered with a
   * failure reason (BEP 3, BEP 31).
   *
   * @param query the part after `?`, one char a byte
   * @param host the compact address of the connection, the only one that is believed; its port is overwritten
   */
  announce(query: string, host: Buffer | undefined): Answer | Promise<Answer> {
    let request: AnnounceRequest | undefined;
    try {
      request = parseAnnounce(query);
      const torrent = this.#torrents.get(request.infoHashHex);
      if (torrent === undefined) return this.#announceLate(request, host);
      return { body: this.#admit(request, torrent, host), outcome: 'ok', event: request.event };
    } catch (error) {
      return this.#failure(error, request?.event);
    }
  }

  async #announceLate(request: AnnounceRequest, host: Buffer | undefined): Promise<Answer> {
    try {
      const torrent = await this.#arrival(request.infoHashHex);
      return { body: this.#admit(request, torrent, host), outcome: 'ok', event: request.event };
    } catch (error) {
      return this.#failure(error, request.event);
    }
  }

  /** Answers a scrape (BEP 48). Torrents that are not served are left out. */
  scrape(query: string): Answer {
    try {
      const files = new Map<string, SwarmCounts>();
      for (const infoHashHex of parseScrape(query)) {
        const counts = this.#registry.counts(infoHashHex);
        if (counts !== undefined) files.set(infoHashHex, counts);
        else if (this.#torrents.get(infoHashHex) !== undefined) files.set(infoHashHex, NO_COUNTS);
      }
      return { body: scrapeReply(files, MIN_SCRAPE_INTERVAL_SECONDS).toString('latin1'), outcome: 'ok' };
    } catch (error) {
      return this.#failure(error);
    }
  }

  /** The torrent, if it comes to the list within the time that an announce may wait. */
  async #arrival(infoHashHex: string): Promise<KnownTorrent> {
    await this.#arrivals.wait(infoHashHex, this.#arrivalWaitMilliseconds);
    const torrent = this.#torrents.get(infoHashHex);
    if (torrent !== undefined) return torrent;
    if (!this.#torrents.isSynced)
      throw new TrackerError('NotReady', 'this tracker is starting and does not know its torrents yet');
    throw new TrackerError('UnknownTorrent', `this tracker does not serve the torrent ${infoHashHex}`);
  }

  #admit(request: AnnounceRequest, torrent: KnownTorrent, host: Buffer | undefined): string {
    if (host === undefined) throw new TrackerError('BadParameter', 'the connection has no IP address');
    setPort(host, request.port);
    // What nobody can lack, nobody lacks: clients state huge numbers while they do not know the size yet.
    const leftBytes = Math.min(request.leftBytes, torrent.totalBytes ?? request.leftBytes);
    const intervals = announceIntervals(leftBytes === 0, this.#registry.leecherCount, this.#random);
    const announced = this.#registry.announce(
      request.infoHashHex,
      { ...request, leftBytes, compact: host },
      request.event,
      request.wantedPeers,
      this.#now() + INTERVALS_UNTIL_EXPIRY * intervals.intervalSeconds * 1000,
    );
    return announceReply(this.#registry.table, announced, intervals, request);
  }

  #failure(error: unknown, event?: AnnounceEvent): Answer {
    if (!(error instanceof TrackerError)) throw error;
    const body = failureReply(error.message, retryIn(error.code)).toString('latin1');
    return { body, outcome: error.code, ...(event && { event }) };
  }
}

/** Minutes until a host that has too many peers here may have fewer. */
const TOO_MANY_RETRY_MINUTES = 15;

/** A request that makes no sense never will; one for a torrent that is not served (yet) may. */
function retryIn(code: TrackerErrorCode): RetryIn | undefined {
  if (code === 'TooManyPeers') return TOO_MANY_RETRY_MINUTES;
  return code === 'UnknownTorrent' || code === 'NotReady' ? undefined : 'never';
}
