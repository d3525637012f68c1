// Which pieces somebody has, in the layout of the wire (BEP 3: piece 0 is the high bit of byte 0).
// Invariant: `count` is the number of set bits, and the spare bits behind the last piece are zero.
// Hot: asked for every HAVE and every pick. Nothing here allocates except the constructors and toBytes().
import { TorrentError } from './errors.ts';

const BITS_SET = new Uint8Array(256);
for (let i = 1; i < 256; i++) BITS_SET[i] = (i & 1) + (BITS_SET[i >> 1] ?? 0);

/** A set of piece indexes 0 ≤ i < length. Indexes outside are a caller's defect: get says false, set throws. */
export class Bitfield {
  /** Number of pieces, held or not. */
  readonly length: number;
  /** The bits as on the wire. Shared, not a copy: read it, never write it. */
  readonly bytes: Uint8Array;
  #count = 0;

  constructor(length: number) {
    if (!Number.isInteger(length) || length < 0) {
      throw new TorrentError('InvalidBitfield', `a bitfield cannot have ${length} pieces`);
    }
    this.length = length;
    this.bytes = new Uint8Array((length + 7) >>> 3);
  }

  /**
   * Takes a bitfield off the wire (copied).
   * @throws TorrentError InvalidBitfield if it is not exactly as long as `length` pieces need, or has spare bits set.
   */
  static fromBytes(bytes: Uint8Array, length: number): Bitfield {
    const bitfield = new Bitfield(length);
    if (bytes.length !== bitfield.bytes.length) {
      throw new TorrentError(
        'InvalidBitfield',
        `a bitfield of ${bytes.length} bytes where ${bitfield.bytes.length} are needed for ${length} pieces`,
      );
    }
    const spareBits = bytes.length * 8 - length;
    if (spareBits > 0 && ((bytes[bytes.length - 1] ?? 0) & ((1 << spareBits) - 1)) !== 0) {
      throw new TorrentError('InvalidBitfield', 'a bitfield with spare bits set');
    }
    bitfield.bytes.set(bytes);
    let count = 0;
    for (let i = 0; i < bytes.length; i++) count += BITS_SET[bytes[i] ?? 0] ?? 0;
    bitfield.#count = count;
    return bitfield;
  }

  /** A bitfield with every piece set. */
  static full(length: number): Bitfield {
    const bitfield = new Bitfield(length);
    bitfield.setAll();
    return bitfield;
  }

  /** How many pieces are set. */
  get count(): number {
    return this.#count;
  }

  /** True if every piece is set (also if there are none). */
  get isFull(): boolean {
    return this.#count === this.length;
  }

  /** True if no piece is set. */
  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** True if the piece is set. */
  get(index: number): boolean {
    return ((this.bytes[index >>> 3] ?? 0) & (0x80 >> (index & 7))) !== 0;
  }

  /** Sets a piece; tells whether that changed anything. */
  set(index: number): boolean {
    this.#check(index);
    const byte = this.bytes[index >>> 3] ?? 0;
    const mask = 0x80 >> (index & 7);
    if ((byte & mask) !== 0) return false;
    this.bytes[index >>> 3] = byte | mask;
    this.#count++;
    return true;
  }

  /** Clears a piece; tells whether that changed anything. */
  clear(index: number): boolean {
    this.#check(index);
    const byte = this.bytes[index >>> 3] ?? 0;
    const mask = 0x80 >> (index & 7);
    if ((byte & mask) === 0) return false;
    this.bytes[index >>> 3] = byte & ~mask;
    this.#count--;
    return true;
  }

  /** Sets every piece. */
  setAll(): void {
    this.bytes.fill(0xff);
    const spareBits = this.bytes.length * 8 - this.length;
    if (spareBits > 0) this.bytes[this.bytes.length - 1] = (0xff << spareBits) & 0xff;
    this.#count = this.length;
  }

  /** Clears every piece. */
  clearAll(): void {
    this.bytes.fill(0);
    this.#count = 0;
  }

  /** The first piece ≥ `from` that is not set, or -1. Iterate: `for (i = b.nextMissing(0); i >= 0; i = b.nextMissing(i + 1))`. */
  nextMissing(from: number): number {
    return this.#next(from, 0xff);
  }

  /** The first piece ≥ `from` that is set, or -1. */
  nextSet(from: number): number {
    return this.#next(from, 0);
  }

  /** True if `other` has a piece that this one lacks: whether a peer is interesting. Both must be of one length. */
  lacksSomeOf(other: Bitfield): boolean {
    for (let i = 0; i < this.bytes.length; i++) {
      if (((other.bytes[i] ?? 0) & ~(this.bytes[i] ?? 0)) !== 0) return true;
    }
    return false;
  }

  /** Takes over what another bitfield of this length has. */
  assign(other: Bitfield): void {
    this.bytes.set(other.bytes);
    this.#count = other.#count;
  }

  /** A copy that shares nothing. */
  clone(): Bitfield {
    const copy = new Bitfield(this.length);
    copy.assign(this);
    return copy;
  }

  /** A copy of the bits as a `bitfield` message carries them. */
  toBytes(): Buffer {
    return Buffer.from(this.bytes);
  }

  #next(from: number, skip: number): number {
    for (let index = Math.max(0, from); index < this.length; ) {
      const byte = this.bytes[index >>> 3] ?? 0;
      if ((index & 7) === 0 && byte === skip) {
        index += 8;
        continue;
      }
      const isSet = (byte & (0x80 >> (index & 7))) !== 0;
      if (isSet === (skip === 0)) return index;
      index++;
    }
    return -1;
  }

  #check(index: number): void {
    if (!(index >= 0 && index < this.length)) {
      throw new TorrentError('InvalidRequest', `piece ${index} of a bitfield of ${this.length}`);
    }
  }
}
