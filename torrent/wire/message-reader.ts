// Cuts a byte stream into messages. Invariant: it stores at most one message, never more bytes than that
// message's kind allows, and hands out views of bytes that are valid during the call only. Of a run of blocks (own
// agents) each block is handed out by itself as soon as it is whole: no more than one is ever stored.
// Hot: a message that lies whole in a chunk is handed out in place, without a copy and without an allocation.
import { TorrentError } from '../errors.ts';
import {
  ALLOWED_FAST,
  BITFIELD,
  BLOCK_BYTES,
  CANCEL,
  CHOKE,
  checkMessageLength,
  EXTENDED,
  HAVE,
  HAVE_ALL,
  HAVE_NONE,
  INTERESTED,
  type MessageBounds,
  NOT_INTERESTED,
  PIECE,
  PIECE_HEADER_BYTES,
  REJECT,
  REQUEST,
  SUGGEST,
  UNCHOKE,
} from './messages.ts';

/** Who hears the messages. Views (`bytes`, `payload`, `buffer`) are valid during the call only. */
export interface MessageHandler {
  keepAlive(): void;
  choke(): void;
  unchoke(): void;
  interested(): void;
  notInterested(): void;
  have(piece: number): void;
  bitfield(bytes: Uint8Array): void;
  haveAll(): void;
  haveNone(): void;
  request(piece: number, begin: number, length: number): void;
  cancel(piece: number, begin: number, length: number): void;
  reject(piece: number, begin: number, length: number): void;
  /** The block is buffer[start, start + length). */
  block(piece: number, begin: number, buffer: Buffer, start: number, length: number): void;
  suggest(piece: number): void;
  allowedFast(piece: number): void;
  /** An extended message (BEP 10); id 0 is its handshake. */
  extended(id: number, payload: Buffer): void;
}

const FIRST_STORE_BYTES = 16 * 1024 + 64;

/** A longer `piece` message is a run of blocks. */
const LONGEST_SINGLE_BLOCK = PIECE_HEADER_BYTES - 4 + BLOCK_BYTES;

/** The reading half of one connection, after the handshake. */
export class MessageReader {
  readonly #handler: MessageHandler;
  #bounds: MessageBounds;
  /** The message that is not whole yet, its length prefix included. */
  #store: Buffer | undefined;
  #stored = 0;
  #stopped = false;
  /** The run of blocks that is being received: what is left of it. */
  #runPiece = 0;
  #runBegin = 0;
  #runLeft = 0;

  constructor(handler: MessageHandler, bounds: MessageBounds) {
    this.#handler = handler;
    this.#bounds = bounds;
  }

  /** From here on the peer may send runs of blocks of up to so many bytes. */
  takeRuns(mostBytes: number): void {
    this.#bounds = { ...this.#bounds, maxBlockBytes: mostBytes };
  }

  /** Nothing is handed out any more, not even what is left of the present chunk. */
  stop(): void {
    this.#stopped = true;
    this.#store = undefined;
    this.#stored = 0;
  }

  /** Takes the next bytes. @throws TorrentError PeerProtocol; the connection has to be closed then. */
  push(chunk: Buffer): void {
    let at = 0;
    if (this.#runLeft > 0) at = this.#run(chunk, 0);
    else if (this.#stored > 0) at = this.#complete(chunk);
    const end = chunk.length;
    while (!this.#stopped && end - at >= 4) {
      const length = chunk.readUInt32BE(at);
      if (length === 0) {
        this.#handler.keepAlive();
        at += 4;
        continue;
      }
      if (end - at < 5) break;
      const id = chunk[at + 4] as number;
      checkMessageLength(id, length, this.#bounds);
      if (id === PIECE && length > LONGEST_SINGLE_BLOCK) {
        if (end - at < PIECE_HEADER_BYTES) break;
        at = this.#beginRun(length, chunk, at, at + PIECE_HEADER_BYTES, chunk);
        continue;
      }
      if (end - at < 4 + length) break;
      this.#dispatch(id, chunk, at + 5, length - 1);
      at += 4 + length;
    }
    if (!this.#stopped && at < end) this.#keep(chunk, at, end);
  }

  /** Completes the stored message from a chunk; returns how many bytes of the chunk it took. */
  #complete(chunk: Buffer): number {
    let at = 0;
    if (this.#stored < 5) {
      at = this.#keep(chunk, 0, Math.min(chunk.length, 5 - this.#stored));
      if (this.#stored < 4) return at;
      if ((this.#store as Buffer).readUInt32BE(0) === 0) {
        // The fifth byte, if it came along, belongs to the next message.
        const surplus = this.#stored - 4;
        this.#stored = 0;
        this.#handler.keepAlive();
        return at - surplus;
      }
      if (this.#stored < 5) return at;
    }
    const length = (this.#store as Buffer).readUInt32BE(0);
    const id = (this.#store as Buffer)[4] as number;
    checkMessageLength(id, length, this.#bounds);
    const wanted = bytesToStore(id, length);
    at += this.#keep(chunk, at, Math.min(chunk.length, at + wanted - this.#stored));
    if (this.#stored < wanted) return at;
    this.#stored = 0;
    if (wanted < 4 + length) return this.#beginRun(length, this.#store as Buffer, 0, at, chunk);
    this.#dispatch(id, this.#store as Buffer, 5, length - 1);
    return at;
  }

  #keep(chunk: Buffer, start: number, end: number): number {
    const count = end - start;
    // Once five bytes are known the message's whole length is; it was judged before anything more is stored.
    let needed = this.#stored + count;
    if (this.#stored >= 5) {
      const store = this.#store as Buffer;
      needed = bytesToStore(store[4] as number, store.readUInt32BE(0));
    } else if (this.#stored === 0 && count >= 5) {
      needed = bytesToStore(chunk[start + 4] as number, chunk.readUInt32BE(start));
    }
    chunk.copy(this.#room(needed), this.#stored, start, end);
    this.#stored += count;
    return count;
  }

  /** The store, with room for so many bytes. */
  #room(needed: number): Buffer {
    if (this.#store !== undefined && this.#store.length >= needed) return this.#store;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, FIRST_STORE_BYTES));
    if (this.#store !== undefined) this.#store.copy(grown, 0, 0, this.#stored);
    this.#store = grown;
    return grown;
  }

  /** The head of a run of blocks is here; returns how far the chunk, from `at` on, was taken. */
  #beginRun(length: number, head: Buffer, headAt: number, at: number, chunk: Buffer): number {
    this.#runPiece = head.readUInt32BE(headAt + 5);
    this.#runBegin = head.readUInt32BE(headAt + 9);
    this.#runLeft = 4 + length - PIECE_HEADER_BYTES;
    return this.#run(chunk, at);
  }

  /** Hands out the blocks of the run that are whole and stores what is here of the next; returns how far it got. */
  #run(chunk: Buffer, start: number): number {
    let at = start;
    while (this.#runLeft > 0 && at < chunk.length && !this.#stopped) {
      const length = Math.min(BLOCK_BYTES, this.#runLeft);
      if (this.#stored === 0 && chunk.length - at >= length) {
        at += length;
        this.#blockOfRun(chunk, at - length, length);
        continue;
      }
      const end = Math.min(chunk.length, at + length - this.#stored);
      chunk.copy(this.#room(length), this.#stored, at, end);
      this.#stored += end - at;
      at = end;
      if (this.#stored < length) break;
      this.#stored = 0;
      this.#blockOfRun(this.#store as Buffer, 0, length);
    }
    return at;
  }

  #blockOfRun(buffer: Buffer, at: number, length: number): void {
    const begin = this.#runBegin;
    this.#runBegin += length;
    this.#runLeft -= length;
    this.#handler.block(this.#runPiece, begin, buffer, at, length);
  }

  #dispatch(id: number, buffer: Buffer, at: number, length: number): void {
    const handler = this.#handler;
    switch (id) {
      case PIECE:
        handler.block(buffer.readUInt32BE(at), buffer.readUInt32BE(at + 4), buffer, at + 8, length - 8);
        break;
      case REQUEST:
        handler.request(buffer.readUInt32BE(at), buffer.readUInt32BE(at + 4), buffer.readUInt32BE(at + 8));
        break;
      case HAVE:
        handler.have(buffer.readUInt32BE(at));
        break;
      case CANCEL:
        handler.cancel(buffer.readUInt32BE(at), buffer.readUInt32BE(at + 4), buffer.readUInt32BE(at + 8));
        break;
      case REJECT:
        handler.reject(buffer.readUInt32BE(at), buffer.readUInt32BE(at + 4), buffer.readUInt32BE(at + 8));
        break;
      case CHOKE:
        handler.choke();
        break;
      case UNCHOKE:
        handler.unchoke();
        break;
      case INTERESTED:
        handler.interested();
        break;
      case NOT_INTERESTED:
        handler.notInterested();
        break;
      case BITFIELD:
        handler.bitfield(buffer.subarray(at, at + length));
        break;
      case HAVE_ALL:
        handler.haveAll();
        break;
      case HAVE_NONE:
        handler.haveNone();
        break;
      case SUGGEST:
        handler.suggest(buffer.readUInt32BE(at));
        break;
      case ALLOWED_FAST:
        handler.allowedFast(buffer.readUInt32BE(at));
        break;
      case EXTENDED:
        handler.extended(buffer[at] as number, buffer.subarray(at + 1, at + length));
        break;
      default:
        // The DHT's port (BEP 5), version 2's hashes (BEP 52) and whatever comes next: skipped.
        break;
    }
  }
}

/** Of a message of so many bytes, prefix not counted: how many have to be here before anything can be done. */
function bytesToStore(id: number, length: number): number {
  return id === PIECE && length > LONGEST_SINGLE_BLOCK ? PIECE_HEADER_BYTES : 4 + length;
}

/** A handler's fault, in the form that closes the connection. */
export function protocolFault(message: string): TorrentError {
  return new TorrentError('PeerProtocol', message);
}
