// What a torrent says and hears under BEP 10. Invariants: peer exchange goes to nobody in a private torrent but to own
// agents of its cluster (BEP 27), to whom it is offered only once they are known; nothing that a peer says here
// costs more than its connection.
import type { PeerAddress } from '../../discovery/discovery.ts';
import {
  EXCHANGE_MILLISECONDS,
  ExchangePartner,
  OWN_EXCHANGE_MILLISECONDS,
} from '../../discovery/peer-exchange.ts';
import type { Metainfo } from '../../metainfo.ts';
import type { OwnAddress } from '../../swarm/peers/peer-priority.ts';
import type { Swarm } from '../../swarm/swarm.ts';
import {
  DONT_HAVE_ID,
  EXCHANGE_ID,
  encodeExtensionHandshake,
  METADATA_ID,
  OWN_EXTENSION,
  parseExtensionHandshake,
} from '../../wire/extension.ts';
import { protocolFault } from '../../wire/message-reader.ts';
import { parseMetadataMessage } from '../../wire/metadata-message.ts';
import {
  EXCHANGE_EXTENSION,
  type ExchangedPeer,
  encodePeerExchange,
  parsePeerExchange,
} from '../../wire/peer-exchange.ts';
import type { MetadataServing } from '../metadata/serving.ts';
import type { TorrentSurroundings } from '../surroundings.ts';
import { addressBytes, addressOfBytes } from './address-bytes.ts';
import type { ExtensionMessages, PeerConnection } from './connection-owner.ts';

/** Peers are looked over for news this often; each is told at its own interval. */
const EXCHANGE_ROUND_MILLISECONDS = 1000;

/** What the extensions of a torrent need of it. */
interface ExtensionsOptions {
  readonly metainfo: Metainfo;
  readonly around: TorrentSurroundings;
  readonly swarm: Swarm;
  readonly metadata: MetadataServing;
  readonly ownAddress: OwnAddress;
  connections(): Iterable<PeerConnection>;
  listensAt(connection: PeerConnection, port: number): void;
  addPeers(addresses: readonly PeerAddress[]): void;
}

/** The extensions of one torrent. */
export class ExtensionProtocol implements ExtensionMessages {
  readonly #options: ExtensionsOptions;
  readonly #partners = new WeakMap<PeerConnection, ExchangePartner>();
  #exchangedAt = Number.NEGATIVE_INFINITY;

  constructor(options: ExtensionsOptions) {
    this.#options = options;
  }

  /** Our handshake for a peer. */
  introduction(connection: PeerConnection): Uint8Array {
    const { around, metainfo, swarm } = this.#options;
    return encodeExtensionHandshake({
      client: around.client,
      listenPort: around.port(),
      yourIp: addressBytes(connection.address.host),
      uploadOnly: swarm.isComplete,
      metadataBytes: metainfo.infoBytes.length,
      ownAgent: swarm.policy.directed,
      exchangesPeers: this.#exchangesWith(connection),
    });
  }

  /** @throws TorrentError InvalidBencode, which costs the message, or PeerProtocol, which costs the connection. */
  received(connection: PeerConnection, id: number, payload: Buffer): void {
    const { around, metadata, swarm } = this.#options;
    if (id === 0) this.#introduced(connection, payload);
    else if (id === METADATA_ID) {
      metadata.heard(connection, parseMetadataMessage(payload), around.clock.monotonic());
    } else if (id === EXCHANGE_ID) this.#told(connection, payload);
    else if (id === DONT_HAVE_ID) {
      if (payload.length !== 4) throw protocolFault(`lt_donthave of ${payload.length} bytes instead of 4`);
      swarm.lost(connection.peer, payload.readUInt32BE(0));
    }
  }

  /** Every 100 ms. */
  tick(now: number): void {
    this.#options.metadata.serve(now);
    if (now - this.#exchangedAt < EXCHANGE_ROUND_MILLISECONDS) return;
    this.#exchangedAt = now;
    for (const connection of this.#options.connections()) this.#tell(connection, now);
  }

  #introduced(connection: PeerConnection, payload: Buffer): void {
    const { swarm, ownAddress } = this.#options;
    const said = parseExtensionHandshake(payload);
    const offered = this.#exchangesWith(connection);
    connection.extensions.update(said.ids);
    connection.client = said.client ?? connection.client;
    if (said.listenPort !== undefined) this.#options.listensAt(connection, said.listenPort);
    const seenAt = said.yourIp === undefined ? undefined : addressOfBytes(said.yourIp);
    if (seenAt !== undefined) ownAddress.said(connection.address.host, seenAt);
    const ownAgent = connection.extensions.of(OWN_EXTENSION) !== undefined;
    // Both have said it by now, each before anything that the other may take for a run.
    if (said.runBytes > 0 && swarm.policy.directed) connection.takeRuns(said.runBytes);
    swarm.introduced(connection.peer, { ...said, ownAgent });
    // What a private torrent offers to own agents alone could not be said before we knew it for one.
    if (!offered && this.#exchangesWith(connection)) connection.introduce(this.introduction(connection));
  }

  #exchangesWith({ peer }: PeerConnection): boolean {
    // While a connection is made there is no peer yet.
    return !this.#options.metainfo.isPrivate || peer?.policy.directed === true;
  }

  #partnerOf(connection: PeerConnection): ExchangePartner {
    const known = this.#partners.get(connection);
    if (known !== undefined) return known;
    const isOwn = connection.peer.policy.directed;
    const partner = new ExchangePartner(isOwn ? OWN_EXCHANGE_MILLISECONDS : EXCHANGE_MILLISECONDS);
    this.#partners.set(connection, partner);
    return partner;
  }

  #tell(connection: PeerConnection, now: number): void {
    if (!this.#exchangesWith(connection)) return;
    if (connection.extensions.of(EXCHANGE_EXTENSION) === undefined) return;
    const present: ExchangedPeer[] = [];
    for (const other of this.#options.connections()) {
      const { listenAddress, peer, outgoing } = other;
      if (other === connection || listenAddress === undefined) continue;
      present.push({ ...listenAddress, isSeed: peer.isSeed, isReachable: outgoing });
    }
    const news = this.#partnerOf(connection).news(present, connection.address.host, now);
    if (news !== undefined) connection.sendExtended(EXCHANGE_EXTENSION, encodePeerExchange(news));
  }

  #told(connection: PeerConnection, payload: Buffer): void {
    if (!this.#exchangesWith(connection)) return;
    const now = this.#options.around.clock.monotonic();
    const { host } = connection.address;
    const believed = this.#partnerOf(connection).believed(parsePeerExchange(payload), host, now);
    if (believed.length > 0) this.#options.addPeers(believed.map(({ host, port }) => ({ host, port })));
  }
}
