// Collects outgoing messages into few chunks, so that many of them leave in one writev. Invariant: a byte that
// was handed out by take() is never written to again; blocks are referenced, not copied.
// Hot: once a message; a new slab every 16 KiB of headers is all that is allocated.
import {
  ALLOWED_FAST,
  BITFIELD,
  CANCEL,
  CHOKE,
  EXTENDED,
  HAVE,
  HAVE_ALL,
  HAVE_NONE,
  INTERESTED,
  NOT_INTERESTED,
  PIECE,
  PIECE_HEADER_BYTES,
  REJECT,
  REQUEST,
  SUGGEST,
  UNCHOKE,
} from './messages.ts';

const SLAB_BYTES = 16 * 1024;

/** The writing half of one connection. */
export class MessageWriter {
  #slab = Buffer.allocUnsafeSlow(0);
  /** slab[#from, #to) holds messages that are in no chunk yet. */
  #from = 0;
  #to = 0;
  #chunks: Uint8Array[] = [];
  #bytes = 0;

  /** Bytes that wait for take(). */
  get bytes(): number {
    return this.#bytes;
  }

  /** Hands out what was collected, in order; empty if there is nothing. */
  take(): Uint8Array[] {
    this.#seal();
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#bytes = 0;
    return chunks;
  }

  keepAlive(): void {
    const at = this.#room(4);
    this.#slab.writeUInt32BE(0, at);
  }

  choke(): void {
    this.#bare(CHOKE);
  }

  unchoke(): void {
    this.#bare(UNCHOKE);
  }

  interested(): void {
    this.#bare(INTERESTED);
  }

  notInterested(): void {
    this.#bare(NOT_INTERESTED);
  }

  haveAll(): void {
    this.#bare(HAVE_ALL);
  }

  haveNone(): void {
    this.#bare(HAVE_NONE);
  }

  have(piece: number): void {
    this.#one(HAVE, piece);
  }

  suggest(piece: number): void {
    this.#one(SUGGEST, piece);
  }

  allowedFast(piece: number): void {
    this.#one(ALLOWED_FAST, piece);
  }

  request(piece: number, begin: number, length: number): void {
    this.#three(REQUEST, piece, begin, length);
  }

  cancel(piece: number, begin: number, length: number): void {
    this.#three(CANCEL, piece, begin, length);
  }

  reject(piece: number, begin: number, length: number): void {
    this.#three(REJECT, piece, begin, length);
  }

  /** `bits` is copied. */
  bitfield(bits: Uint8Array): void {
    this.#copied(BITFIELD, bits);
  }

  /** An extended message (BEP 10); `payload` is copied. */
  extended(id: number, payload: Uint8Array): void {
    const body = Buffer.allocUnsafe(1 + payload.length);
    body[0] = id;
    body.set(payload, 1);
    this.#copied(EXTENDED, body);
  }

  /** `block` is referenced until it has left: nobody may write to it. */
  block(piece: number, begin: number, block: Uint8Array): void {
    const at = this.#room(PIECE_HEADER_BYTES);
    this.#slab.writeUInt32BE(9 + block.length, at);
    this.#slab[at + 4] = PIECE;
    this.#slab.writeUInt32BE(piece, at + 5);
    this.#slab.writeUInt32BE(begin, at + 9);
    this.#seal();
    this.#chunks.push(block);
    this.#bytes += block.length;
  }

  /** Bytes that are no message: the handshake. Referenced. */
  raw(bytes: Uint8Array): void {
    this.#seal();
    this.#chunks.push(bytes);
    this.#bytes += bytes.length;
  }

  #bare(id: number): void {
    const at = this.#room(5);
    this.#slab.writeUInt32BE(1, at);
    this.#slab[at + 4] = id;
  }

  #one(id: number, value: number): void {
    const at = this.#room(9);
    this.#slab.writeUInt32BE(5, at);
    this.#slab[at + 4] = id;
    this.#slab.writeUInt32BE(value, at + 5);
  }

  #three(id: number, first: number, second: number, third: number): void {
    const at = this.#room(17);
    this.#slab.writeUInt32BE(13, at);
    this.#slab[at + 4] = id;
    this.#slab.writeUInt32BE(first, at + 5);
    this.#slab.writeUInt32BE(second, at + 9);
    this.#slab.writeUInt32BE(third, at + 13);
  }

  #copied(id: number, body: Uint8Array): void {
    const at = this.#room(5);
    this.#slab.writeUInt32BE(1 + body.length, at);
    this.#slab[at + 4] = id;
    this.#seal();
    if (body.length === 0) return;
    this.#chunks.push(Buffer.from(body));
    this.#bytes += body.length;
  }

  /** Room for `count` bytes in the slab; returns where. */
  #room(count: number): number {
    if (this.#to + count > this.#slab.length) {
      this.#seal();
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#from = 0;
      this.#to = 0;
    }
    const at = this.#to;
    this.#to += count;
    this.#bytes += count;
    return at;
  }

  #seal(): void {
    if (this.#to === this.#from) return;
    this.#chunks.push(this.#slab.subarray(this.#from, this.#to));
    this.#from = this.#to;
  }
}
