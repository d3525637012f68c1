// One peer of one torrent: bytes on one side, the swarm's peer on the other. Invariants: every message of
// the peer goes to the swarm, or ends the connection; after close() neither side hears anything.
// Hot: per message nothing is allocated here.
import type { PeerAddress } from '../../discovery/discovery.ts';
import { isTorrentError } from '../../errors.ts';
import type { PeerLink } from '../../swarm/host.ts';
import type { Peer } from '../../swarm/peers/peer.ts';
import { DONT_HAVE_EXTENSION, PeerExtensionIds } from '../../wire/extension.ts';
import type { Handshake } from '../../wire/handshake.ts';
import { MessageReader } from '../../wire/message-reader.ts';
import { MessageWriter } from '../../wire/message-writer.ts';
import { BLOCK_BYTES, MAX_RUN_BYTES } from '../../wire/messages.ts';
import { BlockSender, type SendingConnection } from './block-sender.ts';
import type { ConnectionOwner, PeerConnection } from './connection-owner.ts';
import { Inbound } from './inbound.ts';
import { MAX_UNSENT_BYTES, type PeerSocket, type SocketEvents } from './peer-socket.ts';

/** An established connection. */
export class Connection implements PeerConnection, PeerLink, SendingConnection, SocketEvents {
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
  readonly writer = new MessageWriter();
  readonly #blocks: BlockSender;
  #isDirty = false;
  #isClosed = false;
  runBytes = 0;

  constructor(
    owner: ConnectionOwner,
    socket: PeerSocket,
    greeting: { outgoing: boolean; address: PeerAddress },
    handshake: Handshake,
  ) {
    this.#owner = owner;
    this.#blocks = new BlockSender(owner, this);
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

  get pendingBytes(): number {
    return this.#blocks.pendingBytes;
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
    this.writer.extended(0, introduction);
    this.touch();
  }

  sendExtended(extension: string, payload: Uint8Array): void {
    const id = this.extensions.of(extension);
    if (id === undefined || this.#isClosed) return;
    this.writer.extended(id, payload);
    this.touch();
  }

  takeRuns(mostBytes: number): void {
    this.runBytes = MAX_RUN_BYTES;
    this.#reader.takeRuns(MAX_RUN_BYTES);
    this.writer.takeRuns(mostBytes);
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
    const chunks = this.writer.take();
    this.#socket.write(chunks, this.#blocks.take());
    if (this.#socket.unsentBytes > MAX_UNSENT_BYTES) {
      this.#owner.swarm.drop(this.peer, 'it does not read what it asks for');
    }
  }

  /** What is in the writer is sent before long. */
  touch(): void {
    if (this.#isDirty || this.#isClosed) return;
    this.#isDirty = true;
    this.#owner.flushSoon(this);
  }

  #shut(): void {
    this.#isClosed = true;
    this.#reader.stop();
    this.#socket.close();
    this.#blocks.stop();
  }

  // PeerLink: what the swarm says

  close(reason: string): void {
    if (this.#isClosed) return;
    this.#shut();
    this.#owner.closed(this, reason);
  }

  choke(): void {
    this.writer.choke();
    this.touch();
  }

  unchoke(): void {
    this.writer.unchoke();
    this.touch();
  }

  interested(): void {
    this.writer.interested();
    this.touch();
  }

  notInterested(): void {
    this.writer.notInterested();
    this.touch();
  }

  haves(pieces: readonly number[]): void {
    for (const piece of pieces) this.writer.have(piece);
    this.touch();
  }

  bitfield(bits: Uint8Array): void {
    this.writer.bitfield(bits);
    this.touch();
  }

  haveAll(): void {
    this.writer.haveAll();
    this.touch();
  }

  haveNone(): void {
    this.writer.haveNone();
    this.touch();
  }

  request(piece: number, begin: number, length: number): void {
    this.writer.request(piece, begin, length);
    this.touch();
  }

  cancel(piece: number, begin: number, length: number): void {
    this.writer.cancel(piece, begin, length);
    this.touch();
  }

  reject(piece: number, begin: number, length: number): void {
    this.writer.reject(piece, begin, length);
    this.touch();
  }

  suggest(piece: number): void {
    this.writer.suggest(piece);
    this.touch();
  }

  allowedFast(piece: number): void {
    this.writer.allowedFast(piece);
    this.touch();
  }

  keepAlive(): void {
    this.writer.keepAlive();
    this.touch();
  }

  dontHave(piece: number): boolean {
    if (this.extensions.of(DONT_HAVE_EXTENSION) === undefined) return false;
    const payload = Buffer.alloc(4);
    payload.writeUInt32BE(piece);
    this.sendExtended(DONT_HAVE_EXTENSION, payload);
    return true;
  }

  sendBlock(piece: number, begin: number, length: number): void {
    this.#blocks.send(piece, begin, length);
  }
}
