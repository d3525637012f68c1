// One peer of one torrent: bytes on one side, the swarm's peer on the other. Invariants: every message of
// the peer goes to the swarm, or ends the connection; after close() neither side hears anything; blocks leave in
// the order the swarm handed them over.
// Hot: per message and per block nothing is allocated here, except for one read per run of blocks not in memory.
import type { PeerAddress } from '../discovery/discovery.ts';
import { isTorrentError } from '../errors.ts';
import type { PeerLink } from '../swarm/host.ts';
import type { Peer } from '../swarm/peers/peer.ts';
import { RequestQueue } from '../swarm/upload/request-queue.ts';
import { DONT_HAVE_EXTENSION, PeerExtensionIds } from '../wire/extension.ts';
import type { Handshake } from '../wire/handshake.ts';
import { MessageReader } from '../wire/message-reader.ts';
import { MessageWriter } from '../wire/message-writer.ts';
import { BLOCK_BYTES, MAX_RUN_BYTES } from '../wire/messages.ts';
import type { ConnectionOwner, PeerConnection } from './connection-owner.ts';
import { Inbound } from './inbound.ts';
import { MAX_UNSENT_BYTES, type PeerSocket, type SocketEvents } from './peer-socket.ts';

/** Buffers of the storage (of up to 512 KiB) that what waits to be written to one peer may keep; a few pieces at once. */
const MAX_LENT_BUFFERS = 4;

/** An established connection. */
export class Connection implements PeerConnection, PeerLink, SocketEvents {
  readonly outgoing: boolean;
  readonly address: PeerAddress;
  readonly peerId: Buffer;
  listenAddress: PeerAddress | undefined;
  client: string | undefined;
  readonly peer: Peer;
  readonly extensions = new PeerExtensionIds();
  readonly #owner: ConnectionOwner;
  readonly #socket: PeerSocket;
  readonly #reader: MessageReader;
  readonly #writer = new MessageWriter();
  /** Blocks that were handed over and wait to be read. */
  readonly #toRead = new RequestQueue();
  #isReading = false;
  #isDirty = false;
  #isClosed = false;
  /** Blocks in the writer, lent by the storage, and their bytes. */
  #collected: Buffer[] = [];
  #collectedBytes = 0;
  /** Buffers of the storage that blocks in the writer are part of. */
  #collectedBuffers = 0;
  /** The same of all that wait to be written, and the last one of them. */
  #lentBuffers = 0;
  #latestMemory: ArrayBufferLike | undefined;
  pendingBytes = 0;
  runBytes = 0;

  constructor(
    owner: ConnectionOwner,
    socket: PeerSocket,
    greeting: { outgoing: boolean; address: PeerAddress },
    handshake: Handshake,
  ) {
    this.#owner = owner;
    this.#socket = socket;
    this.outgoing = greeting.outgoing;
    this.address = greeting.address;
    this.peerId = handshake.peerId;
    if (greeting.outgoing) this.listenAddress = greeting.address;
    const { pieceCount } = owner.swarm.geometry;
    this.#reader = new MessageReader(new Inbound(owner, this), {
      bitfieldBytes: (pieceCount + 7) >>> 3,
      maxBlockBytes: BLOCK_BYTES,
    });
    socket.handOver(this);
    const identity = greeting.address.host;
    this.peer = owner.swarm.connect(this, { identity, fast: handshake.fast });
    if (handshake.extensions) this.introduce(owner.extensions.introduction(this));
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get unsentBytes(): number {
    return this.#socket.unsentBytes;
  }

  end(reason: string): void {
    this.#owner.swarm.drop(this.peer, reason);
  }

  introduce(introduction: Uint8Array): void {
    this.#writer.extended(0, introduction);
    this.#touch();
  }

  sendExtended(extension: string, payload: Uint8Array): void {
    const id = this.extensions.of(extension);
    if (id === undefined || this.#isClosed) return;
    this.#writer.extended(id, payload);
    this.#touch();
  }

  takeRuns(mostBytes: number): void {
    this.runBytes = MAX_RUN_BYTES;
    this.#reader.takeRuns(MAX_RUN_BYTES);
    this.#writer.takeRuns(mostBytes);
  }

  // Bytes of the peer

  connected(): void {}

  data(chunk: Buffer): void {
    const { swarm, clock, logger } = this.#owner;
    try {
      swarm.heard(this.peer, clock.monotonic());
      this.#reader.push(chunk);
    } catch (error) {
      if (!isTorrentError(error, 'PeerProtocol')) {
        // A defect of ours: it must cost a connection and not the process.
        logger.error({ err: error, peer: this.address }, 'could not handle what a peer sent');
      }
      swarm.drop(this.peer, error instanceof Error ? error.message : String(error));
    }
    swarm.settle();
  }

  closed(reason: string): void {
    if (this.#isClosed) return;
    this.#shut();
    this.#owner.swarm.disconnected(this.peer);
    this.#owner.closed(this, reason);
  }

  /** Sends what has been collected. */
  flush(): void {
    this.#isDirty = false;
    if (this.#isClosed) return;
    const chunks = this.#writer.take();
    const blocks = this.#collected;
    const blockBytes = this.#collectedBytes;
    const buffers = this.#collectedBuffers;
    if (blockBytes === 0) {
      this.#socket.write(chunks);
    } else {
      this.#collected = [];
      this.#collectedBytes = 0;
      this.#collectedBuffers = 0;
      this.#socket.write(chunks, (haveLeft) => this.#written(blocks, blockBytes, buffers, haveLeft));
    }
    if (this.#socket.unsentBytes > MAX_UNSENT_BYTES) {
      this.#owner.swarm.drop(this.peer, 'it does not read what it asks for');
    }
  }

  #written(blocks: readonly Buffer[], blockBytes: number, buffers: number, haveLeft: boolean): void {
    for (const block of blocks) this.#owner.storage.release(block);
    if (this.#isClosed || !haveLeft) return;
    this.#lentBuffers -= buffers;
    if (this.#lentBuffers === 0) this.#latestMemory = undefined;
    this.pendingBytes -= blockBytes;
    this.#owner.swarm.uploaded(this.peer, blockBytes);
  }

  #touch(): void {
    if (this.#isDirty || this.#isClosed) return;
    this.#isDirty = true;
    this.#owner.flushSoon(this);
  }

  #shut(): void {
    this.#isClosed = true;
    this.#reader.stop();
    this.#socket.close();
    this.#toRead.clear();
    for (const block of this.#collected.splice(0)) this.#owner.storage.release(block);
  }

  // PeerLink: what the swarm says

  close(reason: string): void {
    if (this.#isClosed) return;
    this.#shut();
    this.#owner.closed(this, reason);
  }

  choke(): void {
    this.#writer.choke();
    this.#touch();
  }

  unchoke(): void {
    this.#writer.unchoke();
    this.#touch();
  }

  interested(): void {
    this.#writer.interested();
    this.#touch();
  }

  notInterested(): void {
    this.#writer.notInterested();
    this.#touch();
  }

  haves(pieces: readonly number[]): void {
    for (const piece of pieces) this.#writer.have(piece);
    this.#touch();
  }

  bitfield(bits: Uint8Array): void {
    this.#writer.bitfield(bits);
    this.#touch();
  }

  haveAll(): void {
    this.#writer.haveAll();
    this.#touch();
  }

  haveNone(): void {
    this.#writer.haveNone();
    this.#touch();
  }

  request(piece: number, begin: number, length: number): void {
    this.#writer.request(piece, begin, length);
    this.#touch();
  }

  cancel(piece: number, begin: number, length: number): void {
    this.#writer.cancel(piece, begin, length);
    this.#touch();
  }

  reject(piece: number, begin: number, length: number): void {
    this.#writer.reject(piece, begin, length);
    this.#touch();
  }

  suggest(piece: number): void {
    this.#writer.suggest(piece);
    this.#touch();
  }

  allowedFast(piece: number): void {
    this.#writer.allowedFast(piece);
    this.#touch();
  }

  keepAlive(): void {
    this.#writer.keepAlive();
    this.#touch();
  }

  dontHave(piece: number): boolean {
    if (this.extensions.of(DONT_HAVE_EXTENSION) === undefined) return false;
    const payload = Buffer.alloc(4);
    payload.writeUInt32BE(piece);
    this.sendExtended(DONT_HAVE_EXTENSION, payload);
    return true;
  }

  sendBlock(piece: number, begin: number, length: number): void {
    this.pendingBytes += length;
    this.#toRead.push(piece, begin, length);
    if (!this.#isReading) this.#sendReadable();
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
    if (this.#isClosed) {
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
    if (this.#isClosed) return;
    const queue = this.#toRead;
    const { firstPiece: piece, firstBegin: begin, firstLength: length } = queue;
    // The peer waits for a block that will not come.
    if (!this.#owner.readFailed(error)) {
      this.#owner.swarm.drop(this.peer, 'a block for it could not be read');
      return;
    }
    queue.shift();
    this.pendingBytes -= length;
    this.#owner.swarm.unsent(this.peer, piece, begin, length);
    if (!this.#isClosed) this.#sendReadable();
  };

  #collect(piece: number, begin: number, lent: Buffer): void {
    const block = this.#isWorthLending(lent) ? lent : Buffer.from(lent);
    if (block !== lent) this.#owner.storage.release(lent);
    this.#writer.block(piece, begin, block);
    this.#collected.push(block);
    this.#collectedBytes += block.length;
    this.#touch();
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
