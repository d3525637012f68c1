// Memory for what is read from disk, used anew once nobody reads it any more. Invariants: bytes that somebody still
// has the use of are never written to; the share of the ledger is charged for all that are in use.
// A new buffer for every span was measured to cost a seed a third of its CPU time: memory outside of the heap sets
// off full garbage collections.
import type { MemoryAccount, MemoryShare } from '../../memory-ledger.ts';

/** Part of the share for spare buffers, kept for the next spans. */
const SPARE_PART = 1 / 6;

/** Buffers whose users are counted. */
export class SpanMemory {
  readonly #share: MemoryShare;
  readonly #account: MemoryAccount;
  /** How many use a buffer, by its memory. */
  readonly #users = new WeakMap<ArrayBufferLike, { count: number }>();
  /** By length. */
  readonly #spare = new Map<number, Buffer[]>();
  #spareBytes = 0;

  constructor(share: MemoryShare) {
    this.#share = share;
    this.#account = share.open();
  }

  get #maxSpareBytes(): number {
    return this.#share.limitBytes * SPARE_PART;
  }

  /** True if so much is in use that nothing should be lent: a copy of a block is less than what it keeps. */
  get isShort(): boolean {
    return this.#account.usedBytes > this.#share.limitBytes - this.#maxSpareBytes;
  }

  /** A buffer with anything in it; the caller is its one user. */
  take(length: number): Buffer {
    const spare = this.#spare.get(length)?.pop();
    if (spare !== undefined) this.#spareBytes -= length;
    const buffer = spare ?? Buffer.allocUnsafeSlow(length);
    this.#users.set(buffer.buffer, { count: 1 });
    this.#account.charge(length);
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
    this.#account.giveBack(length);
    if (this.#spareBytes + length > this.#maxSpareBytes) {
      free(view.buffer as ArrayBuffer);
      return;
    }
    this.#spareBytes += length;
    const spare = this.#spare.get(length);
    const buffer = Buffer.from(view.buffer as ArrayBuffer);
    if (spare === undefined) this.#spare.set(length, [buffer]);
    else spare.push(buffer);
  }

  /** Frees the spare buffers. */
  clearSpare(): void {
    for (const buffers of this.#spare.values()) for (const { buffer } of buffers) free(buffer as ArrayBuffer);
    this.#spare.clear();
    this.#spareBytes = 0;
  }
}

/** Gives memory back at once: a process at rest collects no garbage, and would keep it. */
function free(memory: ArrayBuffer): void {
  memory.transfer(0);
}
