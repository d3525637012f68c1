// Bytes that were read just now, for all torrents of a process, so that one read from disk serves
// every peer that asks. Invariant: the cache holds at most two thirds of its share of the ledger, and has the use of what it holds.
import { type MemoryShare, processMemory } from '../../memory-ledger.ts';
import { SpanMemory } from './span-memory.ts';

/** Part of the share that is kept for the next readers; the rest is for what is lent and for spare buffers. */
const CACHE_PART = 2 / 3;

/** What nobody asks for any more for so long is given back. */
const IDLE_MILLISECONDS = 20_000;

/** Buffers by number, the least recently used ones go first. */
export class ReadCache {
  /** Where the buffers come from, and go to when they are dropped here. */
  readonly memory: SpanMemory;
  readonly #share: MemoryShare;
  readonly #buffers = new Map<number, Buffer>();
  #bytes = 0;
  #latestKey = -1;
  #torrents = 0;
  readonly #idleMilliseconds: number;
  /** Asked since the last look whether nobody asks. */
  #isAsked = false;
  #looking: NodeJS.Timeout | undefined;

  /** @param idleMilliseconds for tests */
  constructor(share: MemoryShare = processMemory.reads, idleMilliseconds = IDLE_MILLISECONDS) {
    this.#share = share;
    this.#idleMilliseconds = idleMilliseconds;
    this.memory = new SpanMemory(share);
  }

  get #maxBytes(): number {
    return this.#share.limitBytes * CACHE_PART;
  }

  /** Bytes held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The first of 2^32 keys that belong to one torrent alone. */
  nextKeys(): number {
    return this.#torrents++ * 2 ** 32;
  }

  /** Hot: asked for every block that is served. */
  get(key: number): Buffer | undefined {
    this.#isAsked = true;
    const buffer = this.#buffers.get(key);
    if (buffer !== undefined && key !== this.#latestKey) {
      this.#buffers.delete(key);
      this.#buffers.set(key, buffer);
      this.#latestKey = key;
    }
    return buffer;
  }

  set(key: number, buffer: Buffer): void {
    this.delete(key);
    if (buffer.length > this.#maxBytes) return;
    this.#looking ??= setInterval(() => this.#look(), this.#idleMilliseconds).unref();
    this.memory.retain(buffer);
    this.#buffers.set(key, buffer);
    this.#latestKey = key;
    this.#bytes += buffer.length;
    for (const oldest of this.#buffers.keys()) {
      if (this.#bytes <= this.#maxBytes) break;
      this.delete(oldest);
    }
  }

  delete(key: number): void {
    const buffer = this.#buffers.get(key);
    if (buffer === undefined) return;
    this.#buffers.delete(key);
    this.#bytes -= buffer.length;
    this.memory.release(buffer);
  }

  /** Drops all keys of one torrent. */
  deleteAll(firstKey: number): void {
    for (const key of [...this.#buffers.keys()]) {
      if (key >= firstKey && key < firstKey + 2 ** 32) this.delete(key);
    }
  }

  #look(): void {
    if (this.#isAsked) {
      this.#isAsked = false;
      return;
    }
    for (const key of [...this.#buffers.keys()]) this.delete(key);
    this.memory.clearSpare();
    clearInterval(this.#looking);
    this.#looking = undefined;
  }
}
