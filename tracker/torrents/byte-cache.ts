/**
 * A cache of byte strings, bounded by their total size; what was used least recently goes first.
 *
 * Invariant: `sizeBytes` is the sum of what is held and at most `maxBytes`.
 */
export class ByteCache<T extends { readonly bytes: Uint8Array }> {
  readonly #maxBytes: number;
  /** In order of use, the least recent first. */
  readonly #entries = new Map<string, T>();
  #sizeBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get(key: string): T | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry;
  }

  /** Keeps an entry, unless it alone is larger than the cache. */
  set(key: string, entry: T): void {
    this.delete(key);
    if (entry.bytes.length > this.#maxBytes) return;
    this.#entries.set(key, entry);
    this.#sizeBytes += entry.bytes.length;
    for (const oldest of this.#entries.keys()) {
      if (this.#sizeBytes <= this.#maxBytes) break;
      this.delete(oldest);
    }
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#sizeBytes -= entry.bytes.length;
  }
}
