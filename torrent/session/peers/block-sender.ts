// The blocks that one peer is sent, from the storage to the writer. Invariants: they leave in the order in which the
// swarm handed them over; a buffer that the storage lent goes back once what was written of it has left or never will.
// Hot: per block nothing is allocated here, except for one read per run of blocks not in memory.
import type { Peer } from '../../swarm/peers/peer.ts';
import { RequestQueue } from '../../swarm/upload/request-queue.ts';
import type { MessageWriter } from '../../wire/message-writer.ts';
import type { ConnectionOwner } from './connection-owner.ts';

/** Buffers of the storage (of up to 512 KiB) that what waits to be written to one peer may keep; a few pieces at once. */
const MAX_LENT_BUFFERS = 4;

/** What it needs of its connection. */
export interface SendingConnection {
  readonly isClosed: boolean;
  readonly peer: Peer;
  readonly writer: MessageWriter;
  /** Something is in the writer. */
  touch(): void;
}

/** The sending side of one connection. */
export class BlockSender {
  readonly #owner: ConnectionOwner;
  readonly #connection: SendingConnection;
  /** Blocks that were handed over and wait to be read. */
  readonly #toRead = new RequestQueue();
  #isReading = false;
  /** Blocks in the writer, lent by the storage, and their bytes. */
  #collected: Buffer[] = [];
  #collectedBytes = 0;
  /** Buffers of the storage that blocks in the writer are part of. */
  #collectedBuffers = 0;
  /** The same of all that wait to be written, and the last one of them. */
  #lentBuffers = 0;
  #latestMemory: ArrayBufferLike | undefined;
  /** Bytes of blocks that were handed over and have not left. */
  pendingBytes = 0;

  constructor(owner: ConnectionOwner, connection: SendingConnection) {
    this.#owner = owner;
    this.#connection = connection;
  }

  send(piece: number, begin: number, length: number): void {
    this.pendingBytes += length;
    this.#toRead.push(piece, begin, length);
    if (!this.#isReading) this.#sendReadable();
  }

  /** The blocks in the writer are about to leave: what to call then; undefined if there are none. */
  take(): ((haveLeft: boolean) => void) | undefined {
    const blocks = this.#collected;
    const blockBytes = this.#collectedBytes;
    const buffers = this.#collectedBuffers;
    if (blockBytes === 0) return undefined;
    this.#collected = [];
    this.#collectedBytes = 0;
    this.#collectedBuffers = 0;
    return (haveLeft) => this.#written(blocks, blockBytes, buffers, haveLeft);
  }

  /** Nothing more is sent. */
  stop(): void {
    this.#toRead.clear();
    for (const block of this.#collected.splice(0)) this.#owner.storage.release(block);
  }

  #written(blocks: readonly Buffer[], blockBytes: number, buffers: number, haveLeft: boolean): void {
    for (const block of blocks) this.#owner.storage.release(block);
    if (this.#connection.isClosed || !haveLeft) return;
    this.#lentBuffers -= buffers;
    if (this.#lentBuffers === 0) this.#latestMemory = undefined;
    this.pendingBytes -= blockBytes;
    this.#owner.swarm.uploaded(this.#connection.peer, blockBytes);
  }

  /** Sends what lies in memory; the first block that does not is read, and brings its neighbourhood along. */
  #sendReadable(): void {
    const { storage } = this.#owner;
    const queue = this.#toRead;
    while (queue.size > 0) {
      const { firstPiece: piece, firstBegin: begin, firstLength: length } = queue;
      const block = storage.cachedBlock(piece, begin, length);
      if (block === undefined) {
        this.#isReading = true;
        storage.readBlock(piece, begin, length).then(this.#onRead, this.#onReadFailed);
        return;
      }
      queue.shift();
      this.#collect(piece, begin, block);
    }
  }

  readonly #onRead = (block: Buffer): void => {
    this.#isReading = false;
    if (this.#connection.isClosed) {
      this.#owner.storage.release(block);
      return;
    }
    const queue = this.#toRead;
    const { firstPiece: piece, firstBegin: begin } = queue;
    queue.shift();
    this.#collect(piece, begin, block);
    this.#sendReadable();
  };

  readonly #onReadFailed = (error: unknown): void => {
    this.#isReading = false;
    if (this.#connection.isClosed) return;
    const queue = this.#toRead;
    const { firstPiece: piece, firstBegin: begin, firstLength: length } = queue;
    // The peer waits for a block that will not come.
    if (!this.#owner.readFailed(error)) {
      this.#owner.swarm.drop(this.#connection.peer, 'a block for it could not be read');
      return;
    }
    queue.shift();
    this.pendingBytes -= length;
    this.#owner.swarm.unsent(this.#connection.peer, piece, begin, length);
    if (!this.#connection.isClosed) this.#sendReadable();
  };

  #collect(piece: number, begin: number, lent: Buffer): void {
    const block = this.#isWorthLending(lent) ? lent : Buffer.from(lent);
    if (block !== lent) this.#owner.storage.release(lent);
    this.#connection.writer.block(piece, begin, block);
    this.#collected.push(block);
    this.#collectedBytes += block.length;
    this.#connection.touch();
  }

  /**
   * False for a block of yet another buffer, where those that wait to be written keep enough of them: a peer that asks
   * for one block here and one there, and does not read, would keep thirty times what it asked for.
   */
  #isWorthLending({ buffer }: Buffer): boolean {
    if (buffer === this.#latestMemory) return true;
    if (this.#lentBuffers >= MAX_LENT_BUFFERS) return false;
    this.#latestMemory = buffer;
    this.#lentBuffers++;
    this.#collectedBuffers++;
    return true;
  }
}
