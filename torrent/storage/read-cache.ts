// Bytes that were read just now, for all torrents of a process, so that one read from disk serves
// every peer that asks. Invariant: the cache holds at most `maxBytes`, and has the use of what it holds.
import { SpanMemory } from './span-memory.ts';

/** Bytes kept for the next readers. */
const READ_CACHE_BYTES = 32 * 1024 * 1024;

/** Buffers by number, the least recently used ones go first. */
export class ReadCache {
  /** Where the buffers come from, and go to when they are dropped here. */
  readonly memory = new SpanMemory();
  readonly #maxBytes: number;
  readonly #buffers = new Map<number, Buffer>();
  #bytes = 0;
  #latestKey = -1;
  #torrents = 0;

  constructor(maxBytes: number = READ_CACHE_BYTES) {
    this.#maxBytes = maxBytes;
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
}
