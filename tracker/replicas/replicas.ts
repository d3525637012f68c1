/**
 * Several trackers as one. Each torrent is owned by the replica that comes first by rendezvous hashing; one that
 * is asked for another's torrent asks the owner and hands the answer on. While the owner is away it answers
 * itself, as the next by rank would.
 *
 * Invariant: an announce is handed on once at most; no client can make an owner count as away.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Pool } from 'undici';
import type { Logger } from '../../base/index.ts';
import { rankReplicas } from '../../torrent/index.ts';
import type { RawAnnounce } from '../announce/raw-announce.ts';
import { FORWARDED_HEADER, openAnnounce, sealAnnounce } from './forwarded-announce.ts';

const CONNECTIONS_PER_REPLICA = 8;
/** An announce is done within milliseconds; a replica that is gone must not hold its swarms up. */
const ANSWER_MILLISECONDS = 1_000;
/** A replica that gave no answer so often in a row is left alone for so long. */
const MAX_FAILURES = 3;
const AWAY_MILLISECONDS = 1_000;
/** An owner that has not heard of a torrent yet is asked so often, with these pauses. */
const UNKNOWN_ATTEMPTS = 4;
const UNKNOWN_PAUSE_MILLISECONDS = 250;
/** It has not heard of the torrent. */
const UNKNOWN = Symbol('unknown');
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
  /** Missing answers in a row, by owner. */
  readonly #failures = new Map<string, number>();
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

  /** True if another replica is to be asked for the torrent: its owner, unless that is away. */
  isElsewhere(announce: RawAnnounce, infoHashHex: string): boolean {
    const { host, isForwarded } = announce;
    if (host === undefined || isForwarded) return false;
    const owner = this.#ownerOf(infoHashHex);
    if (!this.#pools.has(owner) || this.#onTheirWay >= MAX_FORWARDED) return false;
    return (this.#awayUntil.get(owner) ?? 0) <= this.#now();
  }

  /** Asks the owner of a torrent. Returns its answer, one char a byte; undefined where this replica is to answer itself. */
  async forward(announce: RawAnnounce, infoHashHex: string): Promise<string | undefined> {
    const { host } = announce;
    if (host === undefined || !this.isElsewhere(announce, infoHashHex)) return undefined;
    this.#onTheirWay += 1;
    try {
      return await this.#ask(this.#ownerOf(infoHashHex), announce, host);
    } finally {
      this.#onTheirWay -= 1;
    }
  }

  /** What another replica handed on; undefined if it is not from one, not for this one, or old. */
  open(sealed: string): RawAnnounce | undefined {
    const { name, secret } = this.#settings;
    return openAnnounce(sealed, name, secret, Date.now() / 1000);
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
      this.#failures.delete(name);
      // Those that are on their way fail, and are answered here.
      void pool.destroy();
    }
    for (const [name, url] of urls)
      if (name !== own && !this.#pools.has(name)) this.#pools.set(name, { url, pool: poolOf(url) });
    this.#names = [...new Set([own, ...urls.keys()])];
    this.#owners.clear();
  }

  async #ask(owner: string, announce: RawAnnounce, host: Buffer): Promise<string | undefined> {
    const sealed = sealAnnounce(announce, host, owner, this.#settings.secret, Date.now() / 1000);
    if (sealed === undefined) return undefined;
    try {
      for (let attempt = 1; ; attempt += 1) {
        const answer = await this.#answerOf(owner, sealed);
        if (answer !== UNKNOWN) {
          this.counts[answer === undefined ? 'failed' : 'answered'] += 1;
          return answer;
        }
        if (attempt === UNKNOWN_ATTEMPTS) return undefined;
        await delay(UNKNOWN_PAUSE_MILLISECONDS);
      }
    } catch (error) {
      this.counts.failed += 1;
      this.#failed(owner, error);
      return undefined;
    }
  }

  /** @throws what the request failed of, Error for a failure of the owner's own */
  async #answerOf(owner: string, sealed: string): Promise<string | typeof UNKNOWN | undefined> {
    const pool = this.#pools.get(owner)?.pool;
    if (pool === undefined) return undefined;
    const { statusCode, body } = await pool.request({
      method: 'GET',
      path: '/announce',
      headers: { [FORWARDED_HEADER]: sealed },
      signal: AbortSignal.timeout(ANSWER_MILLISECONDS),
    });
    const bytes = Buffer.from(await body.arrayBuffer());
    if (statusCode >= 500) throw new Error(`HTTP status ${statusCode}`);
    this.#failures.delete(owner);
    if (statusCode === 200) return bytes.toString('latin1');
    if (statusCode === 404) return UNKNOWN;
    this.#logger.warn(
      { owner, statusCode },
      'a replica does not take what is handed on; it is answered here',
    );
    return undefined;
  }

  /** No answer came: one may be lost by itself, several in a row are the owner's. */
  #failed(owner: string, error: unknown): void {
    const failures = (this.#failures.get(owner) ?? 0) + 1;
    this.#failures.set(owner, failures);
    if (failures < MAX_FAILURES) return;
    this.#awayUntil.set(owner, this.#now() + AWAY_MILLISECONDS);
    this.#logger.warn({ err: error, owner }, 'a replica does not answer; its swarms are served here');
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
}
