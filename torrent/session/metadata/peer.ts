// A peer of which only the metadata is wanted (BEP 9). Invariants: it is asked for nothing else and given nothing;
// what it says besides is skipped; it ends after MAX_HEARD_BYTES, whatever it sends.
import type { PeerAddress } from '../../discovery/discovery.ts';
import { EXCHANGE_MILLISECONDS, ExchangePartner } from '../../discovery/peer-exchange.ts';
import { isTorrentError } from '../../errors.ts';
import { MAX_METAINFO_BYTES } from '../../metainfo.ts';
import type { MetadataSource } from '../../swarm/metadata-assembly.ts';
import {
  EXCHANGE_ID,
  encodeExtensionHandshake,
  METADATA_ID,
  type OwnExtensionHandshake,
  PeerExtensionIds,
  parseExtensionHandshake,
} from '../../wire/extension.ts';
import type { Handshake } from '../../wire/handshake.ts';
import { type MessageHandler, MessageReader } from '../../wire/message-reader.ts';
import { MessageWriter } from '../../wire/message-writer.ts';
import {
  encodeMetadataReject,
  encodeMetadataRequest,
  METADATA_EXTENSION,
  type MetadataMessage,
  parseMetadataMessage,
} from '../../wire/metadata-message.ts';
import { parsePeerExchange } from '../../wire/peer-exchange.ts';
import type { Greeting } from '../greeting/greeting.ts';
import type { PeerSocket, SocketEvents } from '../peers/peer-socket.ts';

/** The largest metadata four times, and a good margin. */
const MAX_HEARD_BYTES = 5 * MAX_METAINFO_BYTES;

/** What a peer that does not have the metadata is told; more questions than these end the connection. */
const MAX_REFUSALS = 100;

/** Who hears of the peer. */
export interface MetadataPeerEvents {
  /** It says that it has metadata of so many bytes. */
  offers(peer: MetadataPeer, bytes: number): void;
  said(peer: MetadataPeer, message: MetadataMessage): void;
  /** It tells of other peers (BEP 11): those that are worth a dial. */
  told(peer: MetadataPeer, addresses: readonly PeerAddress[]): void;
  closed(peer: MetadataPeer, reason: string): void;
}

function nothing(): void {}

/** One connection on the way to the metadata. */
export class MetadataPeer implements MetadataSource, SocketEvents {
  readonly address: PeerAddress;
  readonly outgoing: boolean;
  readonly connectedAt: number;
  /** True once it said how long the metadata is. */
  hasOffered = false;
  readonly #socket: PeerSocket;
  readonly #events: MetadataPeerEvents;
  readonly #extensions = new PeerExtensionIds();
  readonly #partner = new ExchangePartner(EXCHANGE_MILLISECONDS);
  readonly #now: () => number;
  readonly #writer = new MessageWriter();
  readonly #reader: MessageReader;
  #heardBytes = 0;
  #refusals = 0;
  #isClosed = false;

  constructor(
    greeting: Greeting,
    handshake: Handshake,
    own: OwnExtensionHandshake,
    now: () => number,
    events: MetadataPeerEvents,
  ) {
    this.#now = now;
    this.address = greeting.address;
    this.outgoing = greeting.outgoing;
    this.connectedAt = now();
    this.#socket = greeting.socket;
    this.#events = events;
    // Blocks were not asked for: the first one ends the connection.
    this.#reader = new MessageReader(this.#handler(), { bitfieldBytes: undefined, maxBlockBytes: 0 });
    this.#socket.handOver(this);
    if (handshake.fast) this.#writer.haveNone();
    if (handshake.extensions) this.#writer.extended(0, encodeExtensionHandshake(own));
    this.#flush();
  }

  ask(piece: number): void {
    this.#send(encodeMetadataRequest(piece));
  }

  /** Ends the connection; nothing is said of it any more. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#reader.stop();
    this.#socket.close();
  }

  connected(): void {}

  data(chunk: Buffer): void {
    this.#heardBytes += chunk.length;
    try {
      if (this.#heardBytes > MAX_HEARD_BYTES) this.closed('it sends without end');
      else this.#reader.push(chunk);
    } catch (error) {
      this.closed(error instanceof Error ? error.message : String(error));
    }
  }

  closed(reason: string): void {
    if (this.#isClosed) return;
    this.close();
    this.#events.closed(this, reason);
  }

  #handler(): MessageHandler {
    return {
      keepAlive: nothing,
      choke: nothing,
      unchoke: nothing,
      interested: nothing,
      notInterested: nothing,
      have: nothing,
      bitfield: nothing,
      haveAll: nothing,
      haveNone: nothing,
      request: nothing,
      cancel: nothing,
      reject: nothing,
      block: nothing,
      suggest: nothing,
      allowedFast: nothing,
      extended: (id, payload) => this.#extended(id, payload),
    };
  }

  #extended(id: number, payload: Buffer): void {
    try {
      if (id === 0) this.#introduced(payload);
      else if (id === METADATA_ID) this.#metadataMessage(payload);
      else if (id === EXCHANGE_ID) this.#told(payload);
    } catch (error) {
      if (!isTorrentError(error, 'InvalidBencode')) throw error;
    }
  }

  #introduced(payload: Buffer): void {
    const said = parseExtensionHandshake(payload);
    this.#extensions.update(said.ids);
    const { metadataBytes } = said;
    if (this.hasOffered || metadataBytes === undefined || metadataBytes > MAX_METAINFO_BYTES) return;
    if (this.#extensions.of(METADATA_EXTENSION) === undefined) return;
    this.hasOffered = true;
    this.#events.offers(this, metadataBytes);
  }

  #metadataMessage(payload: Buffer): void {
    const message = parseMetadataMessage(payload);
    if (message === undefined) return;
    if (message.kind !== 'request') this.#events.said(this, message);
    else if (++this.#refusals > MAX_REFUSALS) this.closed('it asks for what we do not have');
    else this.#send(encodeMetadataReject(message.piece));
  }

  #told(payload: Buffer): void {
    const now = this.#now();
    const believed = this.#partner.believed(parsePeerExchange(payload), this.address.host, now);
    if (believed.length > 0) this.#events.told(this, believed);
  }

  #send(payload: Uint8Array): void {
    const id = this.#extensions.of(METADATA_EXTENSION);
    if (id === undefined || this.#isClosed) return;
    this.#writer.extended(id, payload);
    this.#flush();
  }

  #flush(): void {
    this.#socket.write(this.#writer.take());
  }
}
