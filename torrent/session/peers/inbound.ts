// Hands a peer's messages to the swarm. Invariant: nothing is decided here but what the wire needs to know
// (whether BEP 6 was agreed on, whether an extension's message is bencode); every message reaches the swarm once.
import { isTorrentError } from '../../errors.ts';
import { type MessageHandler, protocolFault } from '../../wire/message-reader.ts';
import { BLOCK_BYTES } from '../../wire/messages.ts';
import type { ConnectionOwner, PeerConnection } from './connection-owner.ts';

/** A peer may repeat its extension handshake (BEP 10) this often. */
const MAX_EXTENSION_HANDSHAKES = 16;

/** The messages of one connection. */
export class Inbound implements MessageHandler {
  readonly #owner: ConnectionOwner;
  readonly #connection: PeerConnection;
  #extensionHandshakes = 0;

  constructor(owner: ConnectionOwner, connection: PeerConnection) {
    this.#owner = owner;
    this.#connection = connection;
  }

  keepAlive(): void {
    this.#owner.swarm.keepAlive(this.#connection.peer);
  }

  choke(): void {
    this.#owner.swarm.choke(this.#connection.peer);
  }

  unchoke(): void {
    this.#owner.swarm.unchoke(this.#connection.peer);
  }

  interested(): void {
    this.#owner.swarm.interested(this.#connection.peer);
  }

  notInterested(): void {
    this.#owner.swarm.notInterested(this.#connection.peer);
  }

  have(piece: number): void {
    this.#owner.swarm.have(this.#connection.peer, piece);
  }

  bitfield(bytes: Uint8Array): void {
    this.#owner.swarm.bitfield(this.#connection.peer, bytes);
  }

  haveAll(): void {
    this.#needsFast('have all');
    this.#owner.swarm.haveAll(this.#connection.peer);
  }

  haveNone(): void {
    this.#needsFast('have none');
    this.#owner.swarm.haveNone(this.#connection.peer);
  }

  request(piece: number, begin: number, length: number): void {
    if (length <= BLOCK_BYTES || length > this.#connection.runBytes || begin % BLOCK_BYTES !== 0) {
      this.#owner.swarm.request(this.#connection.peer, piece, begin, length);
      return;
    }
    // Own agents ask for runs; the swarm knows blocks only.
    const { peer } = this.#connection;
    for (let at = 0; at < length && peer.connected; at += BLOCK_BYTES) {
      this.#owner.swarm.request(peer, piece, begin + at, Math.min(BLOCK_BYTES, length - at));
    }
  }

  cancel(piece: number, begin: number, length: number): void {
    this.#owner.swarm.cancel(this.#connection.peer, piece, begin, length);
  }

  reject(piece: number, begin: number, length: number): void {
    this.#needsFast('reject');
    this.#owner.swarm.reject(this.#connection.peer, piece, begin, length);
  }

  block(piece: number, begin: number, buffer: Buffer, start: number, length: number): void {
    const verdict = this.#owner.swarm.block(this.#connection.peer, piece, begin, length);
    if (verdict !== 'discard')
      this.#owner.blocks.keep(piece, begin, buffer, start, length, verdict === 'finish');
  }

  suggest(piece: number): void {
    this.#needsFast('suggest');
    this.#owner.swarm.suggest(this.#connection.peer, piece);
  }

  allowedFast(piece: number): void {
    this.#needsFast('allowed fast');
    this.#owner.swarm.allowedFast(this.#connection.peer, piece);
  }

  extended(id: number, payload: Buffer): void {
    if (id === 0 && ++this.#extensionHandshakes > MAX_EXTENSION_HANDSHAKES) {
      throw protocolFault('the peer introduces itself again and again');
    }
    try {
      this.#owner.extensions.received(this.#connection, id, payload);
    } catch (error) {
      // What is no bencode is worth the message that it came in, and nothing else.
      if (!isTorrentError(error, 'InvalidBencode')) throw error;
      this.#owner.logger.debug({ peer: this.#connection.address, reason: error.message }, 'odd extension');
    }
  }

  #needsFast(message: string): void {
    if (!this.#connection.peer.fast) {
      throw protocolFault(`${message} without the fast extension (BEP 6)`);
    }
  }
}
