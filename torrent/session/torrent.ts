// One torrent of a session: its swarm put together with connections, storage, discovery and limits. Invariant: it
// decides nothing itself; each event is handed to the one part that owns it.
import { EventEmitter } from 'node:events';
import type { Logger, Stopwatch } from '../../base/index.ts';
import type { Discovery, PeerAddress } from '../discovery/discovery.ts';
import { TorrentError } from '../errors.ts';
import type { Metainfo } from '../metainfo.ts';
import type { PieceStorage } from '../storage/piece-storage.ts';
import type { BlockIntake, SwarmHost } from '../swarm/host.ts';
import { PeerList } from '../swarm/peers/peer-list.ts';
import { OwnAddress } from '../swarm/peers/peer-priority.ts';
import { POLICIES } from '../swarm/policy/policies.ts';
import { Swarm } from '../swarm/swarm.ts';
import { WebSeeds } from '../web-seed/web-seeds.ts';
import type { Handshake } from '../wire/handshake.ts';
import { Connection } from './connection.ts';
import type { ConnectionOwner, PeerConnection } from './connection-owner.ts';
import { Connections } from './connections.ts';
import { ExtensionProtocol } from './extension-protocol.ts';
import type { Greeting } from './greeting.ts';
import { TorrentLimits } from './limits.ts';
import { LostPieces } from './lost-pieces.ts';
import { MetadataServing } from './metadata/serving.ts';
import { Outbox } from './outbox.ts';
import { PieceIntake } from './piece-intake.ts';
import { ShownState, snapshotOf } from './shown-state.ts';
import type { TorrentSurroundings } from './surroundings.ts';
import type { SwarmMember } from './swarm-member.ts';
import type {
  AddTorrent,
  LossPolicy,
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
  readonly #discovery: readonly Discovery[];
  readonly #peers: PeerList;
  readonly #connections: Connections;
  readonly #intake: PieceIntake;
  readonly #losses: LostPieces;
  readonly #webSeeds: WebSeeds;
  readonly #outbox = new Outbox();
  readonly #limits: TorrentLimits;
  readonly #shown: ShownState;
  readonly #isSelfish: boolean;
  readonly #lossPolicy: LossPolicy;
  #willFlushHaves = false;
  /** It was complete once: nobody is told twice. */
  #hasCompleted = false;
  #discovering = false;
  #neededAt: number;
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
    this.#discovery = options.discovery;
    const policy = POLICIES[options.policy];
    this.#peers = new PeerList(policy.longestRedialMilliseconds, around.random);
    this.#limits = new TorrentLimits(options.limits, around, now);
    this.#neededAt = now;
    this.#intake = this.#makeIntake(now);
    this.#lossPolicy = options.losses ?? (storage.have.isFull ? 'fail' : 'fetch');
    this.#losses = this.#makeLosses();
    const host = this.#host();
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
    return this.#intake.error;
  }

  progress(): TorrentProgress {
    return this.#shown.progress(this.#connections.all(), this.#bytesLeft, this.clock.monotonic());
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
    this.#intake.resume();
    this.swarm.resume();
    this.begin();
  }

  addPeers(addresses: readonly PeerAddress[]): void {
    if (this.#stopped !== undefined) return;
    this.#peers.add(addresses);
    this.#dial(this.clock.monotonic());
  }

  async checkFiles(): Promise<void> {
    if (this.#stopped === undefined) await this.#losses.look();
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  // For the session

  /** Begins to look for peers, once the session listens; nothing while paused. */
  begin(): void {
    if (this.#discovering || this.paused || this.#stopped !== undefined || this.#around.port() === 0) return;
    if (this.#isSelfish && this.complete) {
      this.stop();
      return;
    }
    this.#discovering = true;
    const swarm = {
      infoHash: this.metainfo.infoHash,
      peerId: this.#around.peerId,
      port: this.#around.port(),
      localAddress: this.#around.localAddress(),
      progress: () => ({
        uploaded: this.swarm.totals.uploadedBytes,
        downloaded: this.swarm.totals.downloadedBytes,
        left: this.#bytesLeft,
      }),
    };
    for (const discovery of this.#discovery) {
      discovery.start(swarm, (addresses) => this.addPeers(addresses));
    }
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

  /** Every 100 ms. */
  tick(now: number): void {
    if (this.#stopped !== undefined) return;
    this.#shown.measure(now);
    this.swarm.tick();
    this.#webSeeds.tick(now);
    this.#dial(now);
    this.#askForMore(now);
    this.extensions.tick(now);
    this.#intake.tick(now);
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
    return this.#intake;
  }

  flushSoon(connection: PeerConnection): void {
    this.#outbox.add(connection);
  }

  readFailed(error: unknown): boolean {
    if (this.#losses.accessFailed(error)) return true;
    this.#intake.failed(error, 'reading');
    return false;
  }

  closed(connection: PeerConnection, reason: string): void {
    this.#connections.closed(connection, reason);
  }

  readonly #flushHaves = (): void => {
    this.#willFlushHaves = false;
    this.swarm.flushHaves();
  };

  #host(): SwarmHost {
    const limits = this.#limits;
    return {
      memory: this.#intake,
      pieceDropped: (piece) => this.#intake.drop(piece),
      completed: () => this.#completed(),
      banned: (identity, reason) => {
        // The hashes of several pieces may name it one after the other.
        if (this.#peers.isBanned(identity, true)) return;
        this.#peers.ban(identity);
        queueMicrotask(() => this.#connections.dropBanned(reason));
        if (this.#webSeeds.ban(identity, reason)) return;
        this.logger.warn({ infoHash: this.infoHashHex, host: identity, reason }, 'peer banned');
      },
      wakeForHaves: () => {
        if (this.#willFlushHaves) return;
        this.#willFlushHaves = true;
        setImmediate(this.#flushHaves);
      },
      mayUpload: (now) => limits.mayUpload(now),
      spendUpload: (bytes) => limits.spendUpload(bytes),
      mayDownload: (now) =>
        this.#lossPolicy !== 'withdraw' && !this.#intake.isBehind && limits.mayDownload(now),
      spendDownload: (bytes) => limits.spendDownload(bytes),
      refundDownload: (bytes) => limits.refundDownload(bytes),
    };
  }

  #makeIntake(now: number): PieceIntake {
    return new PieceIntake(this.storage, this.#around.memory, now, {
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
      fileChanged: (error) => this.#losses.accessFailed(error),
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
    });
  }

  #makeLosses(): LostPieces {
    return new LostPieces(this.storage, this.#lossPolicy, {
      lost: (piece) => {
        this.#intake.lost(piece);
        this.swarm.pieceLost(piece);
      },
      damaged: (pieces, files) => {
        if (this.emit('damaged', pieces, files)) return;
        this.logger.warn({ infoHash: this.infoHashHex, pieces, files }, 'pieces were lost on the disk');
      },
      failed: (error) => this.#intake.failed(error, 'checking'),
    });
  }

  #completed(): void {
    this.#intake.completed(this.clock.monotonic());
    if (!this.#hasCompleted) void this.#confirm();
  }

  /** Nobody is told that it is complete before the files were looked at: what is lost is fetched again first. */
  async #confirm(): Promise<void> {
    const isSettled = await this.#losses.confirm();
    if (!this.complete || this.#hasCompleted || this.error !== undefined || this.#stopped !== undefined)
      return;
    if (!isSettled) {
      this.#intake.failed(
        new TorrentError('FileChanged', 'files go on being changed by somebody else'),
        'checking',
      );
      return;
    }
    this.#hasCompleted = true;
    for (const discovery of this.#discovery) discovery.announce('completed');
    this.emit('complete');
    if (this.#isSelfish) this.stop();
  }

  // Peers

  #dial(now: number): void {
    if (this.paused || this.#stopped !== undefined || this.#around.port() === 0) return;
    this.#connections.dial(now, this.complete);
  }

  #askForMore(now: number): void {
    const { low } = this.swarm.policy.peers;
    if (this.paused || this.complete || this.connectionCount >= low || !this.#discovering) return;
    if (now - this.#neededAt < this.swarm.policy.needMoreMilliseconds) return;
    this.#neededAt = now;
    for (const discovery of this.#discovery) discovery.needMore();
  }

  get #bytesLeft(): number {
    return this.metainfo.totalBytes - this.#intake.bytesHeld;
  }

  async #stop(): Promise<void> {
    const left = this.#discovery.map((discovery) => discovery.stop());
    this.#connections.stopDialling('the torrent is stopped');
    this.swarm.pause();
    this.#webSeeds.end('the torrent is stopped');
    for (const peer of [...this.swarm.peers]) this.swarm.drop(peer, 'the torrent is stopped');
    const outcomes = await Promise.allSettled([...left, this.#losses.stop(), this.#intake.close()]);
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
