// Collects outgoing messages into few chunks, so that many of them leave in one writev. Invariant: a byte that
// was handed out by take() is never written to again; blocks are referenced, not copied. Consecutive requests or
// blocks become one message (a run) only after takeRuns(), and only where nothing else was said in between.
// Hot: once a message; a new slab every 16 KiB of headers is all that is allocated.
import {
  ALLOWED_FAST,
  BITFIELD,
  BLOCK_BYTES,
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
  /** The longest run that the peer takes; 0: single blocks only. */
  #runBytes = 0;
  /** Where the head of the run that may grow lies in the slab, of which message, and its end; -1 = there is none. */
  #headAt = -1;
  #headId = REQUEST;
  #runPiece = 0;
  #runBegin = 0;
  #runEnd = 0;
  /** Memory of a run's blocks that is in no chunk yet: so much of it, from the first block's begin. */
  #memory: Uint8Array | undefined;
  #memoryBytes = 0;

  /** Bytes that wait for take(). */
  get bytes(): number {
    return this.#bytes;
  }

  /** Hands out what was collected, in order; empty if there is nothing. */
  take(): Uint8Array[] {
    this.#endRun();
    this.#seal();
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#bytes = 0;
    return chunks;
  }

  /** From here on the peer takes runs of blocks of up to so many bytes. */
  takeRuns(mostBytes: number): void {
    this.#runBytes = mostBytes;
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
    if (this.#joins(REQUEST, piece, begin, length)) {
      this.#slab.writeUInt32BE(this.#runEnd - this.#runBegin, this.#headAt + 13);
      return;
    }
    const at = this.#three(REQUEST, piece, begin, length);
    this.#beginRun(REQUEST, at, piece, begin, length);
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
    if (this.#joins(PIECE, piece, begin, block.length)) {
      this.#slab.writeUInt32BE(9 + this.#runEnd - this.#runBegin, this.#headAt);
      this.#addMemory(block);
      return;
    }
    const at = this.#room(PIECE_HEADER_BYTES);
    this.#slab.writeUInt32BE(9 + block.length, at);
    this.#slab[at + 4] = PIECE;
    this.#slab.writeUInt32BE(piece, at + 5);
    this.#slab.writeUInt32BE(begin, at + 9);
    this.#seal();
    this.#beginRun(PIECE, at, piece, begin, block.length);
    this.#addMemory(block);
  }

  /** Bytes that are no message: the handshake. Referenced. */
  raw(bytes: Uint8Array): void {
    this.#endRun();
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

  #three(id: number, first: number, second: number, third: number): number {
    const at = this.#room(17);
    this.#slab.writeUInt32BE(13, at);
    this.#slab[at + 4] = id;
    this.#slab.writeUInt32BE(first, at + 5);
    this.#slab.writeUInt32BE(second, at + 9);
    this.#slab.writeUInt32BE(third, at + 13);
    return at;
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
    this.#endRun();
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

  /** Lengthens the run by a request or a block, if it is the next one and the peer takes so many together. */
  #joins(id: number, piece: number, begin: number, length: number): boolean {
    if (this.#headAt < 0 || this.#headId !== id || this.#runPiece !== piece || this.#runEnd !== begin)
      return false;
    if (begin % BLOCK_BYTES !== 0 || begin + length - this.#runBegin > this.#runBytes) return false;
    this.#runEnd += length;
    return true;
  }

  /** The message that was just written is the first of a run, if the peer takes any. */
  #beginRun(id: number, at: number, piece: number, begin: number, length: number): void {
    if (this.#runBytes === 0 || begin % BLOCK_BYTES !== 0) return;
    this.#headAt = at;
    this.#headId = id;
    this.#runPiece = piece;
    this.#runBegin = begin;
    this.#runEnd = begin + length;
  }

  #addMemory(block: Uint8Array): void {
    const memory = this.#memory;
    this.#bytes += block.length;
    if (
      memory !== undefined &&
      memory.buffer === block.buffer &&
      memory.byteOffset + this.#memoryBytes === block.byteOffset
    ) {
      this.#memoryBytes += block.length;
      return;
    }
    this.#sealMemory();
    this.#memory = block;
    this.#memoryBytes = block.length;
  }

  #sealMemory(): void {
    const memory = this.#memory;
    if (memory === undefined) return;
    this.#memory = undefined;
    const { buffer, byteOffset, length } = memory;
    this.#chunks.push(
      length === this.#memoryBytes ? memory : new Uint8Array(buffer, byteOffset, this.#memoryBytes),
    );
  }

  /** What is said next is not of the run. */
  #endRun(): void {
    this.#headAt = -1;
    this.#sealMemory();
  }

  #seal(): void {
    if (this.#to === this.#from) return;
    this.#chunks.push(this.#slab.subarray(this.#from, this.#to));
    this.#from = this.#to;
  }
}
