/**
 * The metainfo of the torrents that a tracker serves. It is taken when it is first asked for: from the list of
 * torrents where that has it, else from a holder; then checked and kept, within a bound of bytes.
 *
 * Invariant: what is handed out is valid metainfo of exactly the info hash asked for. For one torrent at most
 * one search runs at a time, whoever asks.
 */
import { createHash } from 'node:crypto';
import type { Logger } from '../../base/index.ts';
import { parseMetainfo } from '../../torrent/index.ts';
import { TrackerError } from '../errors.ts';
import type { SwarmRegistry } from '../swarms/registry.ts';
import { ByteCache } from './byte-cache.ts';
import type { AskHolder } from './holder.ts';
import type { TorrentList } from './torrents.ts';

/** Bytes of metainfo kept in memory. */
const CACHE_BYTES = 64 * 1024 * 1024;
/** Holders that one search asks, one after the other. */
const HOLDERS_ASKED = 4;
/** A search that found nothing is not repeated sooner. */
const NOTHING_FOUND_MILLISECONDS = 500;
/** Searches at a time; beyond it, whoever asks has to come back. Bounds memory to this many files. */
const MAX_SEARCHES = 16;

/** A .torrent file and its ETag. */
export interface StoredMetainfo {
  readonly bytes: Uint8Array;
  /** With quotes, as the header has it. */
  readonly etag: string;
}

export class MetainfoStore {
  readonly #torrents: TorrentList;
  readonly #registry: SwarmRegistry;
  readonly #askHolder: AskHolder;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #cache = new ByteCache<StoredMetainfo>(CACHE_BYTES);
  readonly #searches = new Map<string, Promise<StoredMetainfo | undefined>>();
  readonly #nothingUntil = new Map<string, number>();
  readonly #ending = new AbortController();

  /** @param options.now milliseconds of a monotonic clock */
  constructor(options: {
    torrents: TorrentList;
    registry: SwarmRegistry;
    askHolder: AskHolder;
    logger: Logger;
    now: () => number;
  }) {
    this.#torrents = options.torrents;
    this.#registry = options.registry;
    this.#askHolder = options.askHolder;
    this.#logger = options.logger;
    this.#now = options.now;
    options.registry.onFirstSeed((infoHashHex) => this.#nothingUntil.delete(infoHashHex));
  }

  get cachedBytes(): number {
    return this.#cache.sizeBytes;
  }

  /**
   * The metainfo of a torrent that is served.
   *
   * @returns undefined if nobody could give it (yet)
   */
  async get(infoHashHex: string): Promise<StoredMetainfo | undefined> {
    const cached = this.#cache.get(infoHashHex);
    if (cached !== undefined) return cached;
    const running = this.#searches.get(infoHashHex);
    if (running !== undefined) return running;
    if ((this.#nothingUntil.get(infoHashHex) ?? Number.NEGATIVE_INFINITY) > this.#now()) return undefined;
    if (this.#searches.size >= MAX_SEARCHES) return undefined;
    const search = this.#search(infoHashHex).finally(() => this.#searches.delete(infoHashHex));
    this.#searches.set(infoHashHex, search);
    return search;
  }

  /** Forgets a torrent that is served no longer. */
  forget(infoHashHex: string): void {
    this.#cache.delete(infoHashHex);
    this.#nothingUntil.delete(infoHashHex);
  }

  /** Breaks off the searches that run. */
  close(): void {
    this.#ending.abort();
  }

  async #search(infoHashHex: string): Promise<StoredMetainfo | undefined> {
    try {
      const listed = await this.#torrents.readMetainfo?.(infoHashHex);
      if (listed !== undefined) return this.#keep(infoHashHex, listed);
    } catch (error) {
      this.#logger.error({ err: error, infoHash: infoHashHex }, 'the metainfo of a listed torrent is bad');
    }
    for (const { host } of this.#registry.seeds(infoHashHex, HOLDERS_ASKED)) {
      if (this.#ending.signal.aborted) return undefined;
      try {
        const bytes = await this.#askHolder(host, infoHashHex, this.#ending.signal);
        return this.#keep(infoHashHex, bytes);
      } catch (error) {
        this.#logger.warn({ err: error, infoHash: infoHashHex, holder: host }, 'no metainfo from a holder');
      }
    }
    this.#noteNothing(infoHashHex);
    return undefined;
  }

  #keep(infoHashHex: string, bytes: Uint8Array): StoredMetainfo {
    const { infoHashHex: found } = parseMetainfo(bytes);
    if (found !== infoHashHex)
      throw new TrackerError('BadMetainfo', `the metainfo has info hash ${found}, not ${infoHashHex}`);
    const etag = `"${createHash('sha256').update(bytes).digest('hex').slice(0, 32)}"`;
    const stored = { bytes, etag };
    // It may have left the list while the search ran.
    if (this.#torrents.get(infoHashHex) !== undefined) this.#cache.set(infoHashHex, stored);
    return stored;
  }

  #noteNothing(infoHashHex: string): void {
    const now = this.#now();
    for (const [infoHash, until] of this.#nothingUntil) if (until <= now) this.#nothingUntil.delete(infoHash);
    this.#nothingUntil.set(infoHashHex, now + NOTHING_FOUND_MILLISECONDS);
  }
}
