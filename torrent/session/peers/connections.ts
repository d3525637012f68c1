// With whom one torrent is connected: who is dialled, who is taken, and which of two connections of one peer stays.
// Invariants: at most one connection a peer id; never more than the policy's peers; a banned host has none.
import type { PeerAddress } from '../../discovery/discovery.ts';
import type { PeerList } from '../../swarm/peers/peer-list.ts';
import { type OwnAddress, type PriorityAddress, peerPriority } from '../../swarm/peers/peer-priority.ts';
import type { Policy } from '../../swarm/policy/policy.ts';
import type { Handshake } from '../../wire/handshake.ts';
import { areOfOneKind } from '../greeting/client-kind.ts';
import type { Greeting } from '../greeting/greeting.ts';
import type { TorrentSurroundings } from '../surroundings.ts';
import type { PeerConnection } from './connection-owner.ts';
import { Dialler, type Established } from './dialler.ts';

/** Two connections of one peer that are begun within this time count as dialled at once. */
const SIMULTANEOUS_MILLISECONDS = 10_000;

/** A connection that was silent for this long gives way to a new one of the same peer. */
const PRESUMED_DEAD_MILLISECONDS = 5000;

/** One connection in this time gives way to a peer of higher priority, and none that is younger. */
const REPLACEMENT_MILLISECONDS = 5000;

/** What the connections of a torrent are told. */
interface ConnectionsOptions {
  readonly infoHash: Buffer;
  readonly pieceCount: number;
  readonly policy: Policy;
  readonly peers: PeerList;
  readonly around: TorrentSurroundings;
  readonly ownAddress: OwnAddress;
  /** A connection was taken: makes it a peer. */
  readonly taken: (greeting: Greeting, handshake: Handshake) => PeerConnection;
  /** Ends a connection. */
  readonly drop: (connection: PeerConnection, reason: string) => void;
}

/** The connections of one torrent. */
export class Connections {
  readonly #infoHash: Buffer;
  readonly #pieceCount: number;
  readonly #policy: Policy;
  readonly #peers: PeerList;
  readonly #around: TorrentSurroundings;
  readonly #ownAddress: OwnAddress;
  #replacedAt = Number.NEGATIVE_INFINITY;
  readonly #taken: ConnectionsOptions['taken'];
  readonly #drop: ConnectionsOptions['drop'];
  readonly #dialler: Dialler;
  readonly #byPeerId = new Map<string, PeerConnection>();

  constructor(options: ConnectionsOptions, established: Established) {
    this.#infoHash = options.infoHash;
    this.#pieceCount = options.pieceCount;
    this.#policy = options.policy;
    this.#peers = options.peers;
    this.#around = options.around;
    this.#ownAddress = options.ownAddress;
    this.#taken = options.taken;
    this.#drop = options.drop;
    this.#dialler = new Dialler(options.infoHash, options.peers, options.around, established);
  }

  /** Connections that stand or are being made. */
  get count(): number {
    return this.#byPeerId.size + this.#dialler.size;
  }

  /** Those that stand. */
  all(): IterableIterator<PeerConnection> {
    return this.#byPeerId.values();
  }

  /** Dials as many as the policy wants. */
  dial(now: number, skipSeeds: boolean): void {
    this.#peers.ownAddress = this.#own;
    const { most, dial } = this.#policy.peers;
    let dialled = this.#dialler.size + this.#outgoingCount();
    while (dialled < dial && this.count < most && this.#around.hasRoom()) {
      if (!this.#dialler.dialNext(now, skipSeeds)) return;
      dialled++;
    }
  }

  /** Gives up every dial under way. */
  stopDialling(reason: string): void {
    this.#dialler.stop(reason);
  }

  /** True if a connection with the address may become one of ours, be it in the place of another one. */
  admits(address: PeerAddress, outgoing: boolean): boolean {
    if (this.#peers.isBanned(address.host, true)) return false;
    return this.#hasRoom(outgoing) || this.#leastWanted(address, outgoing) !== undefined;
  }

  /** Takes a connection, or closes it. An older one of the same peer may give way. */
  take(greeting: Greeting, handshake: Handshake): PeerConnection | undefined {
    const now = this.#around.clock.monotonic();
    const { logger } = this.#around;
    const refusal = this.#refusal(greeting, handshake, now);
    if (refusal !== undefined) {
      logger.debug({ peer: greeting.address, reason: refusal }, 'connection refused');
      greeting.socket.close();
      if (greeting.outgoing) this.#refusedDial(greeting, handshake, now);
      return undefined;
    }
    const connection = this.#taken(greeting, handshake);
    this.#byPeerId.set(handshake.peerId.toString('latin1'), connection);
    if (greeting.outgoing) this.#peers.connected(greeting.address);
    logger.debug({ peer: greeting.address, outgoing: greeting.outgoing }, 'peer connected');
    return connection;
  }

  /** The peer said where it listens. */
  listensAt(connection: PeerConnection, port: number): void {
    if (connection.listenAddress !== undefined || connection.isClosed) return;
    this.#setListenAddress(connection, { host: connection.address.host, port });
  }

  /** Ends the connections of those who are banned. */
  dropBanned(reason: string): void {
    for (const connection of [...this.#byPeerId.values()])
      if (this.#isBanned(connection.address, connection.peerId)) this.#drop(connection, reason);
  }

  /** A connection has ended. */
  closed(connection: PeerConnection, reason: string): void {
    const key = connection.peerId.toString('latin1');
    if (this.#byPeerId.get(key) === connection) this.#byPeerId.delete(key);
    this.#around.logger.debug({ peer: connection.address, reason }, 'peer disconnected');
    if (connection.listenAddress !== undefined) {
      this.#peers.disconnected(
        connection.listenAddress,
        this.#around.clock.monotonic(),
        connection.peer.isSeed,
      );
    }
  }

  #setListenAddress(connection: PeerConnection, address: PeerAddress): void {
    connection.listenAddress = address;
    this.#peers.connected(address);
  }

  /** Why an established connection is not taken, if so. May close an older one that gives way. */
  #refusal(greeting: Greeting, handshake: Handshake, now: number): string | undefined {
    const { peerId, infoHash } = handshake;
    if (!infoHash.equals(this.#infoHash)) return 'it answered for another torrent';
    if (peerId.equals(this.#around.peerId)) return 'it is ourselves';
    if (this.#isBanned(greeting.address, peerId)) return 'it is banned';
    const older = this.#byPeerId.get(peerId.toString('latin1'));
    if (older !== undefined && !this.#givesWay(older, greeting, peerId, now))
      return 'it is connected already';
    if (!this.#mayShow(greeting, peerId)) return 'its host shows what it has again and again';
    if (older === undefined) return this.#makesRoom(greeting, now) ? undefined : 'there is no room';
    this.#drop(older, 'replaced by a newer connection of the same peer');
    return undefined;
  }

  /** Whom we dial we meet only so often anyway. */
  #mayShow({ address, outgoing }: Greeting, peerId: Buffer): boolean {
    if (outgoing) return true;
    const isOwnKind = areOfOneKind(peerId, this.#around.peerId);
    return this.#around.shownPieces.admit(address.host, isOwnKind, this.#pieceCount);
  }

  /** A peer of another kind than ours is banned together with all of its network. */
  #isBanned({ host }: PeerAddress, peerId: Buffer): boolean {
    return this.#peers.isBanned(host, areOfOneKind(peerId, this.#around.peerId));
  }

  #hasRoom(outgoing: boolean): boolean {
    const { most, dial } = this.#policy.peers;
    if (this.#byPeerId.size >= most) return false;
    if (outgoing) return true;
    // Whoever dials us, in whatever number, leaves room for peers of our own choice.
    return this.#byPeerId.size - this.#outgoingCount() < most - Math.trunc(dial / 2);
  }

  /** True if there is room, or a connection of lower priority was ended for it (BEP 40). */
  #makesRoom(greeting: Greeting, now: number): boolean {
    if (this.#hasRoom(greeting.outgoing)) return true;
    const least = this.#leastWanted(greeting.address, greeting.outgoing);
    if (least === undefined) return false;
    this.#replacedAt = now;
    this.#drop(least, 'it gives way to a peer of higher priority');
    return true;
  }

  /** Of the connections that the same side dialled, the one to end for a new one; undefined if all are worth more. */
  #leastWanted(address: PeerAddress, outgoing: boolean): PeerConnection | undefined {
    const own = this.#own;
    const now = this.#around.clock.monotonic();
    if (own === undefined || now - this.#replacedAt < REPLACEMENT_MILLISECONDS) return undefined;
    let lowest = peerPriority(own, address);
    if (lowest === undefined) return undefined;
    let least: PeerConnection | undefined;
    for (const connection of this.#byPeerId.values()) {
      const isNew = now - connection.peer.connectedAt < REPLACEMENT_MILLISECONDS;
      if (connection.outgoing !== outgoing || isNew) continue;
      const priority = peerPriority(own, connection.address) ?? 0;
      if (priority >= lowest) continue;
      lowest = priority;
      least = connection;
    }
    return least;
  }

  get #own(): PriorityAddress | undefined {
    const { host } = this.#ownAddress;
    return host === undefined ? undefined : { host, port: this.#around.port() };
  }

  #outgoingCount(): number {
    let count = 0;
    for (const connection of this.#byPeerId.values()) if (connection.outgoing) count++;
    return count;
  }

  #givesWay(older: PeerConnection, greeting: Greeting, peerId: Buffer, now: number): boolean {
    const { peer } = older;
    if (now - peer.heardAt > PRESUMED_DEAD_MILLISECONDS) return true;
    // An address that anybody could claim to be another peer's must not end that peer's connection.
    if (older.address.host !== greeting.address.host) return false;
    if (older.outgoing === greeting.outgoing) return !greeting.outgoing;
    if (now - peer.connectedAt > SIMULTANEOUS_MILLISECONDS) return false;
    // Both dialled at once: the one stays that was dialled by the lower peer id.
    const weAreLower = Buffer.compare(this.#around.peerId, peerId) < 0;
    return greeting.outgoing === weAreLower;
  }

  #refusedDial(greeting: Greeting, handshake: Handshake, now: number): void {
    const connected = this.#byPeerId.get(handshake.peerId.toString('latin1'));
    if (handshake.peerId.equals(this.#around.peerId)) this.#peers.forget(greeting.address);
    else if (connected !== undefined && connected.listenAddress === undefined) {
      // Another way to a peer that we have: worth remembering as its address, not as a failure.
      this.#setListenAddress(connected, greeting.address);
    } else this.#peers.failed(greeting.address, now);
  }
}
