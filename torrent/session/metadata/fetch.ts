// Looks for the metadata of one info hash (BEP 9): what a magnet link begins with. Invariants: it ends once, with
// bytes whose SHA-1 is the info hash or with an error; its connections and its memory are bounded; whoever alone
// gave bytes that fail is banned.
import type { PeerAddress, SwarmIdentity } from '../../discovery/discovery.ts';
import { RelayedDiscovery } from '../../discovery/relayed-discovery.ts';
import { TorrentError } from '../../errors.ts';
import { MetadataAssembly } from '../../swarm/metadata-assembly.ts';
import { PeerList } from '../../swarm/peers/peer-list.ts';
import { POLICIES } from '../../swarm/policy/policies.ts';
import type { Policy } from '../../swarm/policy/policy.ts';
import { MAX_KNOWN_ADDRESSES } from '../../swarm/tunables.ts';
import type { Handshake } from '../../wire/handshake.ts';
import type { MetadataMessage } from '../../wire/metadata-message.ts';
import { areOfOneKind } from '../greeting/client-kind.ts';
import type { Greeting } from '../greeting/greeting.ts';
import { addressBytes } from '../peers/address-bytes.ts';
import { Dialler } from '../peers/dialler.ts';
import type { TorrentSurroundings } from '../surroundings.ts';
import type { SwarmMember } from '../swarm-member.ts';
import type { AddMagnet, MetadataProgress } from '../types.ts';
import { MetadataPeer } from './peer.ts';

/** Connections that look for metadata, of which at most half were dialled by the others. */
const MAX_METADATA_PEERS = 30;

/** A peer that has not offered metadata in this time is of no use. */
const OFFER_MILLISECONDS = 10_000;

/** Bytes left that announces tell while nobody knows the length: anything but 0, which is a seed's. */
const UNKNOWN_BYTES_LEFT = 16 * 1024;

/** The search for one torrent's metadata. */
export class MetadataFetch implements SwarmMember {
  readonly infoHash: Buffer;
  /** The sources of peers, for the torrent that comes of it. */
  readonly discovery: readonly RelayedDiscovery[];
  /** The verified bytes. @throws TorrentError Closed after stop(). */
  readonly infoBytes: Promise<Buffer>;
  readonly #around: TorrentSurroundings;
  readonly #policy: Policy;
  readonly #list: PeerList;
  readonly #dialler: Dialler;
  readonly #assembly: MetadataAssembly;
  readonly #peers = new Set<MetadataPeer>();
  /** Addresses that offered metadata, and all others we heard of. */
  readonly #offering: PeerAddress[] = [];
  readonly #heardOf: PeerAddress[] = [];
  #settle: { resolve: (bytes: Buffer) => void; reject: (error: Error) => void };
  /** Addresses that peers told of, as host|port. */
  readonly #exchanged = new Set<string>();
  #isBegun = false;
  #isEnded = false;
  #isStopped = false;
  #neededAt: number;

  constructor(options: Pick<AddMagnet, 'infoHash' | 'discovery' | 'policy'>, around: TorrentSurroundings) {
    this.infoHash = Buffer.from(options.infoHash);
    this.discovery = options.discovery.map((source) => new RelayedDiscovery(source));
    this.#around = around;
    this.#policy = POLICIES[options.policy];
    this.#list = new PeerList(this.#policy.longestRedialMilliseconds, around.random);
    this.#dialler = new Dialler(this.infoHash, this.#list, around, (greeting, handshake, rest) =>
      this.established(greeting, handshake, rest),
    );
    this.#assembly = new MetadataAssembly(this.infoHash, around.memory.metadata.open());
    this.#neededAt = around.clock.monotonic();
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    this.infoBytes = promise;
    this.#settle = { resolve, reject };
  }

  get connectionCount(): number {
    return this.#peers.size + this.#dialler.size;
  }

  /** None: what metadata peers are owed is bounded for each (see MetadataPeer). */
  connections(): [] {
    return [];
  }

  progress(): MetadataProgress {
    return { ...this.#assembly.progress(), peers: this.#peers.size };
  }

  addPeers(addresses: readonly PeerAddress[]): void {
    this.#heardOf.push(...addresses.slice(0, MAX_KNOWN_ADDRESSES - this.#heardOf.length));
    if (this.#isEnded) return;
    this.#list.add(addresses);
    this.#dial(this.#around.clock.monotonic());
  }

  /** Addresses that the torrent begins with: first those that offered metadata. */
  get addresses(): readonly PeerAddress[] {
    return [...this.#offering, ...this.#heardOf];
  }

  admits({ host }: PeerAddress): boolean {
    return !this.#isEnded && !this.#list.isBanned(host, true) && this.#peers.size < MAX_METADATA_PEERS / 2;
  }

  /** A magnet link is nobody's but the user's. */
  namedAsOurs(): boolean {
    return false;
  }

  readonly established = (greeting: Greeting, handshake: Handshake, rest: Buffer): void => {
    const isOurselves = handshake.peerId.equals(this.#around.peerId);
    const isOurs = handshake.infoHash.equals(this.infoHash) && !isOurselves;
    const isOwnKind = areOfOneKind(handshake.peerId, this.#around.peerId);
    if (this.#isEnded || !isOurs || this.#list.isBanned(greeting.address.host, isOwnKind)) {
      greeting.socket.close();
      if (isOurselves) this.#list.forget(greeting.address);
      else if (greeting.outgoing) this.#list.failed(greeting.address, this.#around.clock.monotonic());
      return;
    }
    const { clock, client, port } = this.#around;
    const own = {
      client,
      listenPort: port(),
      yourIp: addressBytes(greeting.address.host),
      uploadOnly: false,
      ownAgent: false,
      exchangesPeers: true,
    };
    const peer = new MetadataPeer(greeting, handshake, own, () => clock.monotonic(), {
      offers: (from, bytes) => {
        if (this.#assembly.join(from, bytes, clock.monotonic())) {
          const { host, port } = from.address;
          if (from.outgoing && !this.#exchanged.has(`${host}|${port}`)) this.#offering.push({ host, port });
        } else this.#drop(from, 'there is no room for the size of the metadata that it claims');
      },
      said: (from, message) => this.#said(from, message),
      // Whether the torrent is private is not known yet: if it is, it begins without these (BEP 27).
      told: (_, addresses) => {
        this.#list.add(addresses);
        for (const { host, port } of addresses.slice(0, MAX_KNOWN_ADDRESSES - this.#exchanged.size)) {
          this.#exchanged.add(`${host}|${port}`);
        }
      },
      closed: (from, reason) => this.#closed(from, reason),
    });
    this.#peers.add(peer);
    if (rest.length > 0) peer.data(rest);
  };

  begin(): void {
    if (this.#isBegun || this.#isEnded || this.#around.port() === 0) return;
    this.#isBegun = true;
    const swarm: SwarmIdentity = {
      infoHash: this.infoHash,
      peerId: this.#around.peerId,
      port: this.#around.port(),
      localAddress: this.#around.localAddress(),
      progress: () => ({ uploaded: 0, downloaded: 0, left: UNKNOWN_BYTES_LEFT }),
    };
    for (const discovery of this.discovery) {
      discovery.start(swarm, (addresses) => this.addPeers(addresses));
    }
    this.#dial(this.#around.clock.monotonic());
  }

  tick(now: number): void {
    if (this.#isEnded) return;
    for (const source of this.#assembly.tick(now)) {
      this.#drop(source as MetadataPeer, 'it does not give the metadata that it offers');
    }
    for (const peer of this.#peers) {
      if (!peer.hasOffered && now - peer.connectedAt > OFFER_MILLISECONDS) {
        this.#drop(peer, 'it has no metadata to give');
      }
    }
    this.#dial(now);
    const { low } = this.#policy.peers;
    if (!this.#isBegun || this.connectionCount >= low) return;
    if (now - this.#neededAt < this.#policy.needMoreMilliseconds) return;
    this.#neededAt = now;
    for (const discovery of this.discovery) discovery.needMore();
  }

  /** True after stop(). */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Gives up, and leaves the swarm: also after the metadata is here, unless the torrent has taken over. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#end();
    this.#settle.reject(new TorrentError('Closed', 'the torrent was removed before its metadata was here'));
    await Promise.allSettled(this.discovery.map((discovery) => discovery.stop()));
  }

  #end(): void {
    this.#isEnded = true;
    this.#dialler.stop('the metadata is not looked for any more');
    for (const peer of this.#peers) peer.close();
    this.#peers.clear();
    this.#assembly.clear();
  }

  #dial(now: number): void {
    if (this.#isEnded || this.#around.port() === 0) return;
    while (this.connectionCount < MAX_METADATA_PEERS && this.#around.hasRoom()) {
      if (!this.#dialler.dialNext(now, false)) return;
    }
  }

  #said(peer: MetadataPeer, message: MetadataMessage): void {
    const now = this.#around.clock.monotonic();
    if (message.kind === 'reject') this.#assembly.refused(peer, message.piece, now);
    if (message.kind !== 'data') return;
    const outcome = this.#assembly.received(peer, message.piece, message.data, now);
    if (outcome.kind === 'done') {
      this.#end();
      this.#settle.resolve(outcome.infoBytes);
    } else if (outcome.kind === 'guilty') {
      const guilty = outcome.source as MetadataPeer;
      const { host } = guilty.address;
      this.#list.ban(host);
      this.#around.logger.warn({ host }, 'peer banned: it gave metadata that failed its hash');
      this.#drop(guilty, 'it gave metadata that failed its hash');
    }
  }

  #drop(peer: MetadataPeer, reason: string): void {
    peer.close();
    this.#closed(peer, reason);
  }

  #closed(peer: MetadataPeer, reason: string): void {
    if (!this.#peers.delete(peer)) return;
    const now = this.#around.clock.monotonic();
    this.#around.logger.debug({ peer: peer.address, reason }, 'peer disconnected');
    if (peer.outgoing) this.#list.failed(peer.address, now);
    this.#assembly.leave(peer, now);
  }
}
