/**
 * Answers announces and scrapes: request in, bencoded answer out, whatever was asked. It knows no HTTP, so that
 * other ways in (UDP) answer alike.
 */

import { TrackerError, type TrackerErrorCode } from '../errors.ts';
import type { Replicas } from '../replicas/replicas.ts';
import type { AgentTokens } from '../rights/agent-tokens.ts';
import { type Credentials, OPEN_RIGHTS, type Rights } from '../rights/rights.ts';
import { compactHost, setPort } from '../swarms/peer-address.ts';
import type { PeerTable } from '../swarms/peer-table.ts';
import type { Announced, SwarmRegistry } from '../swarms/registry.ts';
import { NO_COUNTS, type PeerReport, type SwarmCounts } from '../swarms/swarm.ts';
import type { KnownTorrent, TorrentList } from '../torrents/torrents.ts';
import { type AnnounceEvent, type AnnounceRequest, parseAnnounce } from './announce-request.ts';
import { announceIntervals, type Intervals } from './intervals.ts';
import type { RawAnnounce } from './raw-announce.ts';
import { announceReply, failureReply, type RetryIn, scrapeReply } from './reply.ts';
import { parseScrape } from './scrape-request.ts';
import type { WaitingRoom } from './waiting-room.ts';

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

/** What an announce states, as the registry takes it: a class, since copies by spread cost more than all else. */
class StatedPeer implements PeerReport {
  readonly compact: Uint8Array;
  readonly peerId: Uint8Array;
  readonly key: number;
  readonly uploadedBytes: number;
  readonly downloadedBytes: number;
  readonly leftBytes: number;
  readonly node: string | undefined;
  readonly zone: string | undefined;
  readonly isOwn: boolean;

  /** @param isTrusted node and zone are believed */
  constructor(
    request: AnnounceRequest,
    leftBytes: number,
    compact: Uint8Array,
    isTrusted: boolean,
    isOwn: boolean,
  ) {
    this.compact = compact;
    this.peerId = request.peerId;
    this.key = request.key;
    this.uploadedBytes = request.uploadedBytes;
    this.downloadedBytes = request.downloadedBytes;
    this.leftBytes = leftBytes;
    this.node = isTrusted ? request.node : undefined;
    this.zone = isTrusted ? request.zone : undefined;
    this.isOwn = isOwn;
  }
}

/** Makes an answer of what an announce led to. */
type WriteAnswer<T> = (table: PeerTable, announced: Announced, intervals: Intervals) => T;

export class Announcer {
  readonly #torrents: TorrentList;
  readonly #registry: SwarmRegistry;
  readonly #arrivals: WaitingRoom;
  readonly #arrivalWaitMilliseconds: number;
  readonly #rights: Rights;
  readonly #tokens: AgentTokens | undefined;
  readonly #replicas: Replicas | undefined;
  readonly #random: () => number;
  readonly #now: () => number;

  /**
   * @param options.arrivals called with the info hash of each torrent that comes to the list
   * @param options.arrivalWaitMilliseconds how long an announce for an unknown torrent waits for it to come
   * @param options.tokens where it is given, only who shows an agent's token may state a node, zone and address
   * @param options.now milliseconds of a monotonic clock
   */
  constructor(options: {
    torrents: TorrentList;
    registry: SwarmRegistry;
    arrivals: WaitingRoom;
    arrivalWaitMilliseconds: number;
    rights?: Rights;
    tokens?: AgentTokens | undefined;
    replicas?: Replicas | undefined;
    random: () => number;
    now: () => number;
  }) {
    this.#torrents = options.torrents;
    this.#registry = options.registry;
    this.#arrivals = options.arrivals;
    this.#arrivalWaitMilliseconds = options.arrivalWaitMilliseconds;
    this.#rights = options.rights ?? OPEN_RIGHTS;
    this.#tokens = options.tokens;
    this.#replicas = options.replicas;
    this.#random = options.random;
    this.#now = options.now;
  }

  /**
   * Hot: answers an announce; one that has to wait for its torrent gets a promise. Bad ones are answered with a
   * failure reason (BEP 3, BEP 31).
   */
  announce(announce: RawAnnounce): Answer | Promise<Answer> {
    const judging = this.#judge(announce.credentials);
    return judging === undefined ? this.#announce(announce) : judging.then(() => this.#announce(announce));
  }

  /** Hot: has a token checked, unless what is known of it still holds; a promise where that takes time. */
  #judge(credentials: Credentials): Promise<void> | undefined {
    const { token, verdict } = credentials;
    if (this.#tokens === undefined || token === undefined) return undefined;
    if (verdict !== undefined && this.#tokens.holds(verdict)) return undefined;
    const found = this.#tokens.check(token);
    if (found instanceof Promise)
      return found.then((late) => {
        credentials.verdict = late;
      });
    credentials.verdict = found;
    return undefined;
  }

  #announce(announce: RawAnnounce): Answer | Promise<Answer> {
    let request: AnnounceRequest | undefined;
    try {
      request = parseAnnounce(announce.query);
      if (this.#replicas?.isElsewhere(announce, request.infoHashHex)) return this.#handOn(announce, request);
      return this.#answer(announce, request);
    } catch (error) {
      return this.#failure(error, request?.event);
    }
  }

  /** Asks the owner of the torrent, and answers where that gives no answer. */
  async #handOn(announce: RawAnnounce, request: AnnounceRequest): Promise<Answer> {
    const { infoHashHex } = request;
    try {
      // Nothing is handed on for strangers, nor for torrents that nobody knows.
      this.#rights.check(infoHashHex, announce.credentials);
      if (this.#torrents.get(infoHashHex) === undefined) await this.#arrival(infoHashHex);
      const body = await this.#replicas?.forward(announce, infoHashHex);
      if (body !== undefined) return { body, outcome: 'ok', event: request.event };
      return await this.#answer(announce, request);
    } catch (error) {
      return this.#failure(error, request.event);
    }
  }

  #answer(
    { host, credentials, isForwarded }: RawAnnounce,
    request: AnnounceRequest,
  ): Answer | Promise<Answer> {
    const { event } = request;
    const isHandedOn = isForwarded === true && request.isOwn;
    // Whoever handed it on has waited.
    if (isForwarded) this.#known(request.infoHashHex);
    const answer = this.admit(request, host, credentials, (table, announced, intervals) => ({
      body: announceReply(table, announced, intervals, request, isHandedOn),
      outcome: 'ok' as const,
      event,
    }));
    if (!(answer instanceof Promise)) return answer;
    return answer.catch((error: unknown) => this.#failure(error, event));
  }

  /**
   * Hot: takes in an announce, however it came; one that has to wait for its torrent gets a promise.
   *
   * @param host the compact address of the connection, the only one that is believed; its port is overwritten
   * @param write makes the answer, at once: what it is given changes with the next announce
   * @throws TrackerError, also by the promise, where it is refused
   */
  admit<T>(
    request: AnnounceRequest,
    host: Buffer | undefined,
    credentials: Credentials,
    write: WriteAnswer<T>,
  ): T | Promise<T> {
    this.#rights.check(request.infoHashHex, credentials);
    const torrent = this.#torrents.get(request.infoHashHex);
    if (torrent !== undefined) return this.#enter(request, torrent, host, credentials, write);
    return this.#arrival(request.infoHashHex).then((late) =>
      this.#enter(request, late, host, credentials, write),
    );
  }

  /** Counts of a swarm, for a scrape. */
  readonly countsOf = (infoHashHex: string): SwarmCounts => this.#registry.counts(infoHashHex) ?? NO_COUNTS;

  /**
   * Answers a scrape (BEP 48). Torrents that are not served are left out, and, where a key is shown, those that it
   * gives no right to; where it gives a right to none it is refused. Without a key counts are everybody's.
   */
  scrape(query: string, credentials: Credentials): Answer {
    try {
      const files = new Map<string, SwarmCounts>();
      for (const infoHashHex of this.#withRight(parseScrape(query), credentials)) {
        const counts = this.#registry.counts(infoHashHex);
        if (counts !== undefined) files.set(infoHashHex, counts);
        else if (this.#torrents.get(infoHashHex) !== undefined) files.set(infoHashHex, NO_COUNTS);
      }
      return { body: scrapeReply(files, MIN_SCRAPE_INTERVAL_SECONDS).toString('latin1'), outcome: 'ok' };
    } catch (error) {
      return this.#failure(error);
    }
  }

  /** @throws TrackerError where none is left */
  #withRight(infoHashes: readonly string[], credentials: Credentials): readonly string[] {
    if (credentials.key === undefined) return infoHashes;
    let refused: unknown;
    const allowed = infoHashes.filter((infoHashHex) => {
      try {
        this.#rights.check(infoHashHex, credentials);
        return true;
      } catch (error) {
        refused = error;
        return false;
      }
    });
    if (allowed.length === 0) throw refused;
    return allowed;
  }

  /** The torrent, if it comes to the list within the time that an announce may wait. */
  async #arrival(infoHashHex: string): Promise<KnownTorrent> {
    await this.#arrivals.wait(infoHashHex, this.#arrivalWaitMilliseconds);
    return this.#known(infoHashHex);
  }

  /** @throws TrackerError NotReady, UnknownTorrent */
  #known(infoHashHex: string): KnownTorrent {
    const torrent = this.#torrents.get(infoHashHex);
    if (torrent !== undefined) return torrent;
    if (!this.#torrents.isSynced)
      throw new TrackerError('NotReady', 'this tracker is starting and does not know its torrents yet');
    throw new TrackerError('UnknownTorrent', `this tracker does not serve the torrent ${infoHashHex}`);
  }

  #enter<T>(
    request: AnnounceRequest,
    torrent: KnownTorrent,
    connection: Buffer | undefined,
    { verdict }: Credentials,
    write: WriteAnswer<T>,
  ): T {
    const agent = verdict?.agent;
    const isTrusted = this.#tokens === undefined || agent !== undefined;
    if (agent?.node !== undefined && request.node !== undefined && agent.node !== request.node)
      throw new TrackerError('NoRight', `the token of this announce is not of the node ${request.node}`);
    const host = (agent && request.ip !== undefined ? compactHost(request.ip) : undefined) ?? connection;
    if (host === undefined) throw new TrackerError('BadParameter', 'the connection has no IP address');
    setPort(host, request.port);
    // What nobody can lack, nobody lacks: clients state huge numbers while they do not know the size yet.
    const leftBytes = Math.min(request.leftBytes, torrent.totalBytes ?? request.leftBytes);
    const isOwn = agent !== undefined || request.isOwn;
    const { ownLeecherCount, leecherCount } = this.#registry;
    const intervals = announceIntervals(
      leftBytes === 0,
      isOwn,
      isOwn ? ownLeecherCount : leecherCount - ownLeecherCount,
      this.#random,
    );
    const now = this.#now();
    const announced = this.#registry.announce(
      request.infoHashHex,
      new StatedPeer(request, leftBytes, host, isTrusted, isOwn),
      request.event,
      request.wantedPeers,
      now + intervals.expirySeconds * 1000,
      now + intervals.lateSeconds * 1000,
    );
    return write(this.#registry.table, announced, intervals);
  }

  #failure(error: unknown, event?: AnnounceEvent): Answer {
    if (!(error instanceof TrackerError)) throw error;
    const body = failureReply(error.message, retryIn(error.code)).toString('latin1');
    return { body, outcome: error.code, ...(event && { event }) };
  }
}

/** Minutes until a host that has too many peers here may have fewer. */
const TOO_MANY_RETRY_MINUTES = 15;
/** Minutes until a token that could not be checked may be shown again: the least that BEP 31 can say. */
const UNCHECKED_RETRY_MINUTES = 1;

/** After which failures a client may try again when it likes: a torrent may come to the list, a URL be mended. */
const NO_WORD_ON_RETRY: readonly TrackerErrorCode[] = [
  'UnknownTorrent',
  'NotReady',
  'NoRight',
  'RepeatedParameter',
];

/** A request that makes no sense never will. */
function retryIn(code: TrackerErrorCode): RetryIn | undefined {
  if (code === 'TooManyPeers') return TOO_MANY_RETRY_MINUTES;
  if (code === 'TokenUnchecked') return UNCHECKED_RETRY_MINUTES;
  return NO_WORD_ON_RETRY.includes(code) ? undefined : 'never';
}
