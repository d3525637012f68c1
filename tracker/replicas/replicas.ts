/**
 * Several trackers as one. Each torrent is owned by the replica that comes first by rendezvous hashing; one that
 * is asked for another's torrent asks the owner and hands the answer on. While the owner is away it answers
 * itself, as the next by rank would.
 *
 * Invariant: an announce is handed on once at most, and a replica believes what another says of a peer's address
 * only with a proof made of the secret that all of them share.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { Pool } from 'undici';
import type { Logger } from '../../base/index.ts';
import { rankReplicas } from '../../torrent/index.ts';
import type { RawAnnounce } from '../announce/announcer.ts';

/** The header by which a replica tells another who asks: the compact address, a space, the proof; in hex. */
export const FORWARDED_HEADER = 'x-enxame-forwarded';

const CONNECTIONS_PER_REPLICA = 8;
/** An announce is done within milliseconds; a replica that is gone must not hold its swarms up. */
const ANSWER_MILLISECONDS = 1_000;
/** A replica that did not answer is left alone for so long. */
const AWAY_MILLISECONDS = 1_000;
/** The longest answer: 200 peers in the list form. */
const MAX_ANSWER_BYTES = 64 * 1024;
/** Announces on their way at a time; beyond it they are answered here. */
const MAX_FORWARDED = 1_000;
const MAX_KNOWN_OWNERS = 10_000;

/** The replicas, as each of them is told. */
export interface ReplicaSettings {
  /** The name of this one. */
  readonly name: string;
  /** Base URLs by name; this one's is not used. */
  readonly urls: ReadonlyMap<string, string>;
  /** Where they come and go: calls back with all that are there, at once and after each change; ends that. */
  readonly follow?: (listener: (urls: ReadonlyMap<string, string>) => void) => () => void;
  readonly secret: Uint8Array;
}

/** How many announces were handed on, by what came of it. */
export interface ForwardCounts {
  answered: number;
  failed: number;
}

function poolOf(url: string): Pool {
  return new Pool(url, {
    connections: CONNECTIONS_PER_REPLICA,
    headersTimeout: ANSWER_MILLISECONDS,
    bodyTimeout: ANSWER_MILLISECONDS,
    connect: { timeout: ANSWER_MILLISECONDS },
    maxResponseSize: MAX_ANSWER_BYTES,
  });
}

export class Replicas {
  readonly #settings: ReplicaSettings;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #pools = new Map<string, { readonly url: string; readonly pool: Pool }>();
  readonly #unfollow: () => void;
  #names: readonly string[] = [];
  /** Owners by info hash, the longest known first. */
  readonly #owners = new Map<string, string>();
  readonly #awayUntil = new Map<string, number>();
  readonly counts: ForwardCounts = { answered: 0, failed: 0 };
  #onTheirWay = 0;

  /** @param now milliseconds of a monotonic clock */
  constructor(settings: ReplicaSettings, logger: Logger, now: () => number) {
    this.#settings = settings;
    this.#logger = logger;
    this.#now = now;
    this.#set(settings.urls);
    this.#unfollow = settings.follow?.((urls) => this.#set(urls)) ?? (() => {});
  }

  /**
   * Asks the owner of a torrent.
   *
   * @returns undefined where this replica is to answer itself; a promise of the owner's answer, one char a byte,
   *   that is undefined where the owner gave none
   */
  forward(announce: RawAnnounce, infoHashHex: string): Promise<string | undefined> | undefined {
    const { host, isForwarded } = announce;
    if (host === undefined || isForwarded) return undefined;
    const owner = this.#ownerOf(infoHashHex);
    const pool = this.#pools.get(owner)?.pool;
    if (pool === undefined || this.#onTheirWay >= MAX_FORWARDED) return undefined;
    if ((this.#awayUntil.get(owner) ?? 0) > this.#now()) return undefined;
    this.#onTheirWay += 1;
    return this.#ask(owner, pool, announce, host).finally(() => {
      this.#onTheirWay -= 1;
    });
  }

  /** Who asks, by the header of a replica; undefined if the proof is not good. */
  readForwarded(header: string, query: string): Buffer | undefined {
    const [, hostHex, proof] = /^((?:[0-9a-f]{12}|[0-9a-f]{36})) ([0-9a-f]{64})$/.exec(header) ?? [];
    if (hostHex === undefined || proof === undefined) return undefined;
    const host = Buffer.from(hostHex, 'hex');
    return timingSafeEqual(Buffer.from(proof, 'hex'), this.#proof(host, query)) ? host : undefined;
  }

  /** Closes the connections to the others. */
  async close(): Promise<void> {
    this.#unfollow();
    await Promise.all([...this.#pools.values()].map(({ pool }) => pool.destroy()));
  }

  /** Takes the replicas as they are now; connections to those that stay are kept. */
  #set(urls: ReadonlyMap<string, string>): void {
    const { name: own } = this.#settings;
    for (const [name, { url, pool }] of this.#pools) {
      if (urls.get(name) === url) continue;
      this.#pools.delete(name);
      this.#awayUntil.delete(name);
      // Those that are on their way fail, and are answered here.
      void pool.destroy();
    }
    for (const [name, url] of urls)
      if (name !== own && !this.#pools.has(name)) this.#pools.set(name, { url, pool: poolOf(url) });
    this.#names = [...new Set([own, ...urls.keys()])];
    this.#owners.clear();
  }

  async #ask(
    owner: string,
    pool: Pool,
    { query, credentials }: RawAnnounce,
    host: Buffer,
  ): Promise<string | undefined> {
    const proof = this.#proof(host, query).toString('hex');
    const key = credentials.key === undefined ? '' : `/${credentials.key}`;
    try {
      const { statusCode, body } = await pool.request({
        method: 'GET',
        path: `/announce${key}?${query}`,
        headers: {
          [FORWARDED_HEADER]: `${host.toString('hex')} ${proof}`,
          // The owner checks the token itself: a replica cannot make an agent of anybody.
          ...(credentials.token !== undefined && { authorization: `Bearer ${credentials.token}` }),
        },
        signal: AbortSignal.timeout(ANSWER_MILLISECONDS),
      });
      const bytes = Buffer.from(await body.arrayBuffer());
      if (statusCode !== 200) throw new Error(`HTTP status ${statusCode}`);
      this.counts.answered += 1;
      return bytes.toString('latin1');
    } catch (error) {
      this.counts.failed += 1;
      this.#awayUntil.set(owner, this.#now() + AWAY_MILLISECONDS);
      this.#logger.warn({ err: error, owner }, 'a replica does not answer; its swarms are served here');
      return undefined;
    }
  }

  #ownerOf(infoHashHex: string): string {
    const known = this.#owners.get(infoHashHex);
    if (known !== undefined) return known;
    const owner = rankReplicas(infoHashHex, this.#names)[0] ?? this.#settings.name;
    const [oldest] = this.#owners.keys();
    if (this.#owners.size >= MAX_KNOWN_OWNERS && oldest !== undefined) this.#owners.delete(oldest);
    this.#owners.set(infoHashHex, owner);
    return owner;
  }

  #proof(host: Uint8Array, query: string): Buffer {
    return createHmac('sha256', this.#settings.secret)
      .update('forwarded\n')
      .update(Buffer.from([host.length]))
      .update(host)
      .update(query, 'latin1')
      .digest();
  }
}
