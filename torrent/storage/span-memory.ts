// Memory for what is read from disk, used anew once nobody reads it any more. Invariant: bytes that somebody still
// has the use of are never written to; who forgets to give back costs a new buffer and nothing else.
// A new buffer for every span was measured to cost a seed a third of its CPU time: memory outside of the heap sets
// off full garbage collections.

/** Spare buffers kept for the next spans, in bytes. */
const SPARE_BYTES = 8 * 1024 * 1024;

/** Buffers whose users are counted. */
export class SpanMemory {
  readonly #maxSpareBytes: number;
  /** How many use a buffer, by its memory. */
  readonly #users = new WeakMap<ArrayBufferLike, { count: number }>();
  /** By length. */
  readonly #spare = new Map<number, Buffer[]>();
  #spareBytes = 0;

  constructor(maxSpareBytes: number = SPARE_BYTES) {
    this.#maxSpareBytes = maxSpareBytes;
  }

  /** A buffer with anything in it; the caller is its one user. */
  take(length: number): Buffer {
    const spare = this.#spare.get(length)?.pop();
    if (spare !== undefined) this.#spareBytes -= length;
    const buffer = spare ?? Buffer.allocUnsafeSlow(length);
    this.#users.set(buffer.buffer, { count: 1 });
    return buffer;
  }

  /** One user more of the buffer that `view` is a part of. Hot: once a block. */
  retain(view: Buffer): void {
    const users = this.#users.get(view.buffer);
    if (users !== undefined) users.count++;
  }

  /** One user less; nothing for memory that is not from here. Hot: once a block. */
  release(view: Buffer): void {
    const users = this.#users.get(view.buffer);
    if (users === undefined || --users.count > 0) return;
    this.#users.delete(view.buffer);
    const length = view.buffer.byteLength;
    if (this.#spareBytes + length > this.#maxSpareBytes) return;
    this.#spareBytes += length;
    const spare = this.#spare.get(length);
    const buffer = Buffer.from(view.buffer as ArrayBuffer);
    if (spare === undefined) this.#spare.set(length, [buffer]);
    else spare.push(buffer);
  }
}
