// Memory for pieces on their way. Invariants: a buffer belongs to one piece, or to whoever took it, or is spare;
// never to two; the account is charged for all of them, and for pieces whose buffer is not made yet.
// A new buffer for every piece was measured to cost a leecher a sixth of its CPU time and 60 MiB of memory: page
// faults, and garbage collections that the freed memory sets off.
import type { MemoryAccount } from '../../memory-ledger.ts';

/** Spare buffers kept for the next pieces, in bytes. */
const SPARE_BYTES = 16 * 1024 * 1024;

/** The buffers of one torrent. */
export class PieceBuffers {
  readonly #pieceLength: number;
  readonly #account: MemoryAccount;
  readonly #allocate: (length: number) => Buffer;
  /** Of reserved pieces; undefined until the first block. */
  readonly #buffers = new Map<number, Buffer | undefined>();
  readonly #spare: Buffer[] = [];

  /** @param allocate makes a buffer, with anything in it */
  constructor(pieceLength: number, account: MemoryAccount, allocate: (length: number) => Buffer) {
    this.#pieceLength = pieceLength;
    this.#account = account;
    this.#allocate = allocate;
  }

  /** True if there is memory for a piece of so many bytes more. */
  hasRoomFor(length: number): boolean {
    return (length === this.#pieceLength && this.#spare.length > 0) || this.#account.hasRoomFor(length);
  }

  /** Keeps memory for a piece, which has `length` bytes. False if there is none. */
  reserve(piece: number, length: number): boolean {
    const spare = length === this.#pieceLength ? this.#spare.pop() : undefined;
    if (spare === undefined && !this.#account.take(length)) return false;
    this.#buffers.set(piece, spare);
    return true;
  }

  /** True if memory is kept for the piece. */
  has(piece: number): boolean {
    return this.#buffers.has(piece);
  }

  /** The buffer of a piece for which memory is kept; `length` is the piece's. Hot. */
  of(piece: number, length: number): Buffer {
    const present = this.#buffers.get(piece);
    if (present !== undefined) return present;
    const buffer = this.#allocate(length);
    this.#buffers.set(piece, buffer);
    return buffer;
  }

  /** Hands the piece's buffer to the caller, until giveBack(). */
  take(piece: number): Buffer | undefined {
    const buffer = this.#buffers.get(piece);
    this.#buffers.delete(piece);
    return buffer;
  }

  /** Nobody reads or writes the buffer any more. */
  giveBack(buffer: Buffer): void {
    if (buffer.length === this.#pieceLength && (this.#spare.length + 1) * this.#pieceLength <= SPARE_BYTES)
      this.#spare.push(buffer);
    else this.#account.giveBack(buffer.length);
  }

  /** Memory is kept for the piece no longer; `length` is the piece's. */
  drop(piece: number, length: number): void {
    if (!this.#buffers.has(piece)) return;
    const buffer = this.take(piece);
    if (buffer === undefined) this.#account.giveBack(length);
    else this.giveBack(buffer);
  }

  /** Of the account's bytes, those of spare buffers. */
  get spareBytes(): number {
    return this.#spare.length * this.#pieceLength;
  }

  /** Forgets the spare ones. */
  clearSpare(): void {
    this.#account.giveBack(this.#spare.length * this.#pieceLength);
    this.#spare.length = 0;
  }

  /** Forgets all; no buffer may be taken. */
  clear(): void {
    this.#buffers.clear();
    this.#spare.length = 0;
    this.#account.clear();
  }
}
