// One torrent of a session: its swarm put together with connections, storage, discovery and limits. Invariant: it
// decides nothing itself; each event is handed to the one part that owns it.
import { EventEmitter } from 'node:events';
import type { Logger, Stopwatch } from '../../base/index.ts';
import type { PeerAddress } from '../discovery/discovery.ts';
import type { TorrentError } from '../errors.ts';
import type { Metainfo } from '../metainfo.ts';
import type { PieceStorage } from '../storage/piece-storage.ts';
import type { BlockIntake } from '../swarm/host.ts';
import { PeerList } from '../swarm/peers/peer-list.ts';
import { OwnAddress } from '../swarm/peers/peer-priority.ts';
import { POLICIES } from '../swarm/policy/policies.ts';
import { Swarm } from '../swarm/swarm.ts';
import { WebSeeds } from '../web-seed/web-seeds.ts';
import type { Handshake } from '../wire/handshake.ts';
import type { Greeting } from './greeting/greeting.ts';
import { TorrentLimits } from './limits.ts';
import { MetadataServing } from './metadata/serving.ts';
import { Connection } from './peers/connection.ts';
import type { ConnectionOwner, PeerConnection } from './peers/connection-owner.ts';
import { Connections } from './peers/connections.ts';
import { ExtensionProtocol } from './peers/extension-protocol.ts';
import { Outbox } from './peers/outbox.ts';
import { HeldContent } from './pieces/held-content.ts';
import { ShownState, snapshotOf } from './shown-state.ts';
import type { TorrentSurroundings } from './surroundings.ts';
import type { SwarmMember } from './swarm-member.ts';
import { TorrentDiscovery } from './torrent-discovery.ts';
import { TorrentHost } from './torrent-host.ts';
import type {
  AddTorrent,
  PeerSnapshot,
  Torrent,
  TorrentEvents,
  TorrentProgress,
  TransferLimits,
} from './types.ts';

/** See Torrent. */
export class JoinedTorrent
  extends EventEmitter<TorrentEvents>
  implements Torrent, ConnectionOwner, SwarmMember
{
  readonly metainfo: Metainfo;
  readonly storage: PieceStorage;
  readonly swarm: Swarm;
  readonly clock: Stopwatch;
  readonly logger: Logger;
  readonly extensions: ExtensionProtocol;
  readonly #around: TorrentSurroundings;
  readonly #discovery: TorrentDiscovery;
  readonly #peers: PeerList;
  readonly #connections: Connections;
  readonly #content: HeldContent;
  readonly #webSeeds: WebSeeds;
  readonly #outbox = new Outbox();
  readonly #limits: TorrentLimits;
  readonly #shown: ShownState;
  readonly #isSelfish: boolean;
  #stopped: Promise<void> | undefined;

  constructor(options: AddTorrent, around: TorrentSurroundings) {
    super();
    const { metainfo, storage } = options;
    const now = around.clock.monotonic();
    this.metainfo = metainfo;
    this.storage = storage;
    this.clock = around.clock;
    this.logger = around.logger;
    this.#around = around;
    this.#isSelfish = options.seeding === 'selfish';
    this.#discovery = new TorrentDiscovery(options.discovery, now);
    const policy = POLICIES[options.policy];
    this.#peers = new PeerList(policy.longestRedialMilliseconds, around.random);
    this.#limits = new TorrentLimits(options.limits, around, now);
    this.#content = this.#makeContent(options.losses);
    const host = new TorrentHost(this.#content, this.#limits, {
      banned: (identity, reason) => this.#banned(identity, reason),
      flushHaves: () => this.swarm.flushHaves(),
    });
    this.swarm = new Swarm({
      infoHash: metainfo.infoHash,
      pieceLength: metainfo.pieceLength,
      totalBytes: metainfo.totalBytes,
      have: storage.have,
      policy,
      clock: around.clock,
      random: around.random,
      host,
      paused: options.paused ?? false,
    });
    this.#shown = new ShownState(metainfo, this.swarm);
    this.#webSeeds = new WebSeeds(options.webSeeds ?? [], {
      metainfo,
      swarm: this.swarm,
      clock: around.clock,
      random: around.random,
      logger: around.logger,
      isAlone: options.discovery.length === 0,
      blocks: this.blocks,
    });
    const ownAddress = new OwnAddress();
    this.extensions = new ExtensionProtocol({
      metainfo,
      around,
      swarm: this.swarm,
      metadata: new MetadataServing(metainfo.infoBytes, host, now),
      ownAddress,
      connections: () => this.#connections.all(),
      listensAt: (connection, port) => this.#connections.listensAt(connection, port),
      addPeers: (addresses) => this.addPeers(addresses),
    });
    this.#connections = new Connections(
      {
        ownAddress,
        infoHash: metainfo.infoHash,
        pieceCount: metainfo.pieceCount,
        policy,
        peers: this.#peers,
        around,
        taken: (greeting, handshake) => new Connection(this, greeting.socket, greeting, handshake),
        drop: ({ peer }, reason) => this.swarm.drop(peer, reason),
      },
      (greeting, handshake, rest) => this.established(greeting, handshake, rest),
    );
  }

  // Torrent

  get infoHashHex(): string {
    return this.metainfo.infoHashHex;
  }

  get complete(): boolean {
    return this.swarm.isComplete;
  }

  get paused(): boolean {
    return this.swarm.paused;
  }

  get error(): TorrentError | undefined {
    return this.#content.error;
  }

  progress(): TorrentProgress {
    return this.#shown.progress(this.#connections.all(), this.#content.bytesLeft, this.clock.monotonic());
  }

  peers(): PeerSnapshot[] {
    const now = this.clock.monotonic();
    return [...this.#connections.all()].map((connection) => snapshotOf(connection, now));
  }

  setLimits(limits: TransferLimits): void {
    this.#limits.set(limits, this.clock.monotonic());
  }

  pause(): void {
    this.swarm.pause();
  }

  resume(): void {
    if (this.#stopped !== undefined) return;
    this.#content.resume();
    this.swarm.resume();
    this.begin();
  }

  addPeers(addresses: readonly PeerAddress[]): void {
    if (this.#stopped !== undefined) return;
    this.#peers.add(addresses);
    this.#dial(this.clock.monotonic());
  }

  async checkFiles(): Promise<void> {
    if (this.#stopped === undefined) await this.#content.look();
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  // For the session

  /** Begins to look for peers, once the session listens; nothing while paused. */
  begin(): void {
    if (this.#discovery.hasBegun || this.paused || this.#stopped !== undefined || this.#around.port() === 0)
      return;
    if (this.#isSelfish && this.complete) {
      this.stop();
      return;
    }
    this.#discovery.begin(
      {
        infoHash: this.metainfo.infoHash,
        peerId: this.#around.peerId,
        port: this.#around.port(),
        localAddress: this.#around.localAddress(),
        progress: () => ({
          uploaded: this.swarm.totals.uploadedBytes,
          downloaded: this.swarm.totals.downloadedBytes,
          left: this.#content.bytesLeft,
        }),
      },
      (addresses) => this.addPeers(addresses),
    );
  }

  /** Connections that stand or are being made. */
  get connectionCount(): number {
    return this.#connections.count;
  }

  connections(): Iterable<PeerConnection> {
    return this.#connections.all();
  }

  /** True if a connection that was dialled from there may become one of ours. */
  admits(address: PeerAddress): boolean {
    return this.#stopped === undefined && this.#connections.admits(address, false);
  }

  namedAsOurs(host: string): boolean {
    return this.#discovery.namedAsOurs(host);
  }

  /** Every 100 ms. */
  tick(now: number): void {
    if (this.#stopped !== undefined) return;
    this.#shown.measure(now);
    this.swarm.tick();
    this.#webSeeds.tick(now);
    this.#dial(now);
    this.#askForMore(now);
    this.extensions.tick(now);
    this.#content.tick(now);
  }

  /** Both handshakes are exchanged. The greeting is nobody's any more. */
  established(greeting: Greeting, handshake: Handshake, rest: Buffer): void {
    if (this.#stopped !== undefined) {
      greeting.socket.close();
      return;
    }
    const connection = this.#connections.take(greeting, handshake);
    if (connection !== undefined && rest.length > 0) connection.data(rest);
  }

  // ConnectionOwner

  get blocks(): BlockIntake {
    return this.#content.intake;
  }

  flushSoon(connection: PeerConnection): void {
    this.#outbox.add(connection);
  }

  readFailed(error: unknown): boolean {
    return this.#content.readFailed(error);
  }

  closed(connection: PeerConnection, reason: string): void {
    this.#connections.closed(connection, reason);
  }

  #banned(identity: string, reason: string): void {
    // The hashes of several pieces may name it one after the other.
    if (this.#peers.isBanned(identity, true)) return;
    this.#peers.ban(identity);
    queueMicrotask(() => this.#connections.dropBanned(reason));
    if (this.#webSeeds.ban(identity, reason)) return;
    this.logger.warn({ infoHash: this.infoHashHex, host: identity, reason }, 'peer banned');
  }

  #makeContent(losses: AddTorrent['losses']): HeldContent {
    return new HeldContent(this.storage, losses, this.#around, {
      wantsDigests: (piece) => this.swarm.wantsDigests(piece),
      verified: (piece, blockDigests) => {
        this.swarm.pieceVerified(piece, blockDigests);
        this.emit('verified', piece);
      },
      corrupt: (piece, blockDigests) => {
        // Whoever is to blame is told of by name, as soon as that is known.
        this.logger.info({ infoHash: this.infoHashHex, piece }, 'a piece failed its hash');
        this.swarm.pieceCorrupt(piece, blockDigests);
      },
      unwritten: (piece) => this.swarm.pieceUnwritten(piece),
      lost: (piece) => this.swarm.pieceLost(piece),
      damaged: (pieces, files) => {
        if (this.emit('damaged', pieces, files)) return;
        this.logger.warn({ infoHash: this.infoHashHex, pieces, files }, 'pieces were lost on the disk');
      },
      diskFailed: (error) => {
        this.swarm.pause();
        if (this.listenerCount('error') > 0) {
          this.emit('error', error);
          return;
        }
        this.logger.error(
          { infoHash: this.infoHashHex, err: error },
          'the disk failed: the torrent is paused',
        );
      },
      isComplete: () => this.complete,
      complete: () => {
        this.#discovery.completed();
        this.emit('complete');
        if (this.#isSelfish) this.stop();
      },
    });
  }

  // Peers

  #dial(now: number): void {
    if (this.paused || this.#stopped !== undefined || this.#around.port() === 0) return;
    this.#connections.dial(now, this.complete);
  }

  #askForMore(now: number): void {
    const { low } = this.swarm.policy.peers;
    if (this.paused || this.complete || this.connectionCount >= low) return;
    this.#discovery.needMore(now, this.swarm.policy.needMoreMilliseconds);
  }

  async #stop(): Promise<void> {
    const left = this.#discovery.stop();
    this.#connections.stopDialling('the torrent is stopped');
    this.swarm.pause();
    this.#webSeeds.end('the torrent is stopped');
    for (const peer of [...this.swarm.peers]) this.swarm.drop(peer, 'the torrent is stopped');
    const outcomes = await Promise.allSettled([left, this.#content.stop()]);
    for (const outcome of outcomes) {
      // Once the disk has failed, that it fails again is no news.
      if (outcome.status === 'fulfilled' || this.error !== undefined) continue;
      this.logger.warn(
        { infoHash: this.infoHashHex, err: outcome.reason },
        'taking leave of the swarm failed',
      );
    }
  }
}
