// One torrent of a session: its swarm put together with sockets, storage, discovery and limits. Invariants: a
// piece has a buffer here exactly while some of its blocks are here and it is not handed to the storage; after a
// disk error nothing is written until resume(); at most one connection a peer id.
import { createHash } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { Discovery, PeerAddress } from '../discovery/discovery.ts';
import { isTorrentError, TorrentError } from '../errors.ts';
import type { Metainfo } from '../metainfo.ts';
import type { PieceStorage } from '../storage/piece-storage.ts';
import type { SwarmHost } from '../swarm/host.ts';
import { PeerList } from '../swarm/peer-list.ts';
import { POLICIES } from '../swarm/policy/policies.ts';
import { Swarm } from '../swarm/swarm.ts';
import { TokenBucket } from '../swarm/token-bucket.ts';
import { TransferRate } from '../swarm/transfer-rate.ts';
import type { OwnExtensionHandshake } from '../wire/extension.ts';
import type { Handshake } from '../wire/handshake.ts';
import { BLOCK_BYTES } from '../wire/messages.ts';
import { Connection, type ConnectionOwner } from './connection.ts';
import { Greeting } from './greeting.ts';
import { PieceBuffers } from './piece-buffers.ts';
import type {
  AddTorrent,
  Clock,
  EngineLogger,
  PeerSnapshot,
  Torrent,
  TorrentEvents,
  TorrentProgress,
  TransferLimits,
} from './types.ts';

/** Resume data is saved this often while pieces come in. */
const RESUME_MILLISECONDS = 15_000;

/** The rates that progress() tells are averaged over this long. */
const SHOWN_RATE_MILLISECONDS = 5000;

/** Two connections of one peer that are begun within this time count as dialled at once. */
const SIMULTANEOUS_MILLISECONDS = 10_000;

/** A connection that was silent for this long gives way to a new one of the same peer. */
const PRESUMED_DEAD_MILLISECONDS = 5000;

/** What a torrent needs of its session. */
export interface TorrentSurroundings {
  readonly peerId: Buffer;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: EngineLogger;
  readonly upload: TokenBucket;
  readonly download: TokenBucket;
  /** What we call ourselves in BEP 10. */
  readonly client: string;
  /** Where the session listens; 0 before it does. */
  port(): number;
  /** False if the session has as many connections as it may. */
  hasRoom(): boolean;
  /** Takes care of a greeting's time-out. */
  watch(greeting: Greeting): void;
  unwatch(greeting: Greeting): void;
}

/** See Torrent. */
export class JoinedTorrent extends EventEmitter<TorrentEvents> implements Torrent, ConnectionOwner {
  readonly metainfo: Metainfo;
  readonly storage: PieceStorage;
  readonly swarm: Swarm;
  readonly clock: Clock;
  readonly logger: EngineLogger;
  error: TorrentError | undefined;
  readonly #around: TorrentSurroundings;
  readonly #discovery: readonly Discovery[];
  readonly #peers: PeerList;
  readonly #upload: TokenBucket;
  readonly #download: TokenBucket;
  readonly #connections = new Map<string, Connection>();
  readonly #dialling = new Set<Greeting>();
  readonly #buffers: PieceBuffers;
  readonly #writes = new Set<Promise<void>>();
  readonly #dirty: Connection[] = [];
  readonly #downloadRate = new TransferRate(SHOWN_RATE_MILLISECONDS);
  readonly #uploadRate = new TransferRate(SHOWN_RATE_MILLISECONDS);
  #shownDownloaded = 0;
  #shownUploaded = 0;
  #bytesHeld = 0;
  #receiveBuffer: Buffer = Buffer.alloc(0);
  #receiveStart = 0;
  #willFlush = false;
  #willFlushHaves = false;
  #discovering = false;
  #savedAt: number;
  #unsaved = false;
  #saving: Promise<void> | undefined;
  #neededAt: number;
  #stopped: Promise<void> | undefined;

  constructor(options: AddTorrent, around: TorrentSurroundings) {
    super();
    const { metainfo, storage } = options;
    const now = around.clock.now();
    this.metainfo = metainfo;
    this.storage = storage;
    this.clock = around.clock;
    this.logger = around.logger;
    this.#around = around;
    this.#discovery = options.discovery;
    const policy = POLICIES[options.policy];
    this.#peers = new PeerList(policy.longestRedialMilliseconds, around.random);
    this.#upload = new TokenBucket(options.limits?.uploadBytesPerSecond, now);
    this.#download = new TokenBucket(options.limits?.downloadBytesPerSecond, now);
    this.#buffers = new PieceBuffers(metainfo.pieceLength);
    this.#savedAt = now;
    this.#neededAt = now;
    for (let piece = storage.have.nextSet(0); piece >= 0; piece = storage.have.nextSet(piece + 1)) {
      this.#bytesHeld += metainfo.pieceLengthAt(piece);
    }
    this.swarm = new Swarm({
      pieceLength: metainfo.pieceLength,
      totalBytes: metainfo.totalBytes,
      have: storage.have,
      policy,
      clock: around.clock,
      random: around.random,
      host: this.#host(),
      paused: options.paused ?? false,
    });
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

  progress(): TorrentProgress {
    const now = this.clock.now();
    const { totals, neighbours } = this.swarm;
    this.#measure(now);
    let seeds = 0;
    for (const neighbour of neighbours) if (neighbour.isSeed) seeds++;
    return {
      pieces: this.metainfo.pieceCount,
      piecesHave: this.swarm.held.count,
      totalBytes: this.metainfo.totalBytes,
      bytesLeft: this.metainfo.totalBytes - this.#bytesHeld,
      downloadedBytes: totals.downloadedBytes,
      uploadedBytes: totals.uploadedBytes,
      wastedBytes: totals.duplicateBytes + totals.corruptBytes,
      downloadBytesPerSecond: this.#downloadRate.perMillisecond(now) * 1000,
      uploadBytesPerSecond: this.#uploadRate.perMillisecond(now) * 1000,
      peers: neighbours.length,
      seeds,
    };
  }

  peers(): PeerSnapshot[] {
    const now = this.clock.now();
    return [...this.#connections.values()].map((connection) => {
      const { neighbour } = connection;
      return {
        address: connection.address,
        outgoing: connection.outgoing,
        ownAgent: neighbour.ownAgent,
        client: connection.client,
        piecesHave: neighbour.pieces.count,
        amChoking: neighbour.amChoking,
        amInterested: neighbour.amInterested,
        peerChoking: neighbour.peerChoking,
        peerInterested: neighbour.peerInterested,
        downloadBytesPerSecond: neighbour.receiveRate.perMillisecond(now) * 1000,
        uploadBytesPerSecond: neighbour.sendRate.perMillisecond(now) * 1000,
        downloadedBytes: neighbour.downloadedBytes,
        uploadedBytes: neighbour.uploadedBytes,
        requestsOutstanding: neighbour.outstanding.size,
      };
    });
  }

  setLimits(limits: TransferLimits): void {
    const now = this.clock.now();
    this.#upload.setRate(limits.uploadBytesPerSecond, now);
    this.#download.setRate(limits.downloadBytesPerSecond, now);
  }

  pause(): void {
    this.swarm.pause();
  }

  resume(): void {
    if (this.#stopped !== undefined) return;
    this.error = undefined;
    this.swarm.resume();
    this.begin();
  }

  addPeers(addresses: readonly PeerAddress[]): void {
    if (this.#stopped !== undefined) return;
    this.#peers.add(addresses);
    this.#dial(this.clock.now());
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  // For the session

  /** Begins to look for peers, once the session listens; nothing while paused. */
  begin(): void {
    if (this.#discovering || this.paused || this.#stopped !== undefined || this.#around.port() === 0) return;
    this.#discovering = true;
    const swarm = {
      infoHash: this.metainfo.infoHash,
      peerId: this.#around.peerId,
      port: this.#around.port(),
      progress: () => ({
        uploaded: this.swarm.totals.uploadedBytes,
        downloaded: this.swarm.totals.downloadedBytes,
        left: this.metainfo.totalBytes - this.#bytesHeld,
      }),
    };
    for (const discovery of this.#discovery) {
      discovery.start(swarm, (addresses) => this.addPeers(addresses));
    }
  }

  /** Connections that stand or are being made. */
  get connectionCount(): number {
    return this.#connections.size + this.#dialling.size;
  }

  /** True if a connection that the host dialled may become one of ours. */
  admits(host: string): boolean {
    return this.#admits(host, false);
  }

  /** Every 100 ms. */
  tick(now: number): void {
    if (this.#stopped !== undefined) return;
    this.#measure(now);
    this.swarm.tick();
    this.#dial(now);
    this.#askForMore(now);
    if (this.#unsaved && now - this.#savedAt > RESUME_MILLISECONDS) this.#save(now);
  }

  /** Both handshakes are exchanged. The greeting is nobody's any more. */
  established(greeting: Greeting, handshake: Handshake, rest: Buffer): void {
    this.#dialling.delete(greeting);
    const now = this.clock.now();
    const refusal = this.#refusal(greeting, handshake, now);
    if (refusal !== undefined) {
      this.logger.debug({ peer: greeting.address, reason: refusal }, 'connection refused');
      greeting.socket.close();
      if (greeting.outgoing) this.#refusedDial(greeting, handshake, now);
      return;
    }
    const connection = new Connection(this, greeting.socket, greeting, handshake);
    this.#connections.set(handshake.peerId.toString('latin1'), connection);
    if (greeting.outgoing) this.#peers.connected(greeting.address);
    this.logger.debug({ peer: greeting.address, outgoing: greeting.outgoing }, 'peer connected');
    if (rest.length > 0) connection.data(rest);
  }

  // ConnectionOwner

  introduction(): OwnExtensionHandshake {
    return {
      client: this.#around.client,
      listenPort: this.#around.port(),
      uploadOnly: this.complete,
      metadataBytes: this.metainfo.infoBytes.length,
      ownAgent: this.swarm.policy.name === 'cluster',
    };
  }

  receiving(buffer: Buffer, start: number): void {
    this.#receiveBuffer = buffer;
    this.#receiveStart = start;
  }

  flushSoon(connection: Connection): void {
    this.#dirty.push(connection);
    if (this.#willFlush) return;
    this.#willFlush = true;
    process.nextTick(this.#flush);
  }

  listensAt(connection: Connection, port: number): void {
    if (connection.listenAddress !== undefined || connection.isClosed) return;
    connection.listenAddress = { host: connection.address.host, port };
    this.#peers.connected(connection.listenAddress);
  }

  readFailed(error: unknown): void {
    this.#diskFailed(error, 'reading');
  }

  closed(connection: Connection, reason: string): void {
    const key = connection.peerId.toString('latin1');
    if (this.#connections.get(key) === connection) this.#connections.delete(key);
    this.logger.debug({ peer: connection.address, reason }, 'peer disconnected');
    if (connection.listenAddress !== undefined) {
      this.#peers.disconnected(connection.listenAddress, this.clock.now(), connection.neighbour.isSeed);
    }
  }

  readonly #flush = (): void => {
    this.#willFlush = false;
    // flush() may drop a peer, which makes others dirty: they are served in the same go.
    for (let i = 0; i < this.#dirty.length; i++) (this.#dirty[i] as Connection).flush();
    this.#dirty.length = 0;
  };

  readonly #flushHaves = (): void => {
    this.#willFlushHaves = false;
    this.swarm.flushHaves();
  };

  // SwarmHost

  #host(): SwarmHost {
    return {
      storeBlock: (piece, begin, length) => {
        const buffer = this.#buffers.of(piece, this.metainfo.pieceLengthAt(piece));
        this.#receiveBuffer.copy(buffer, begin, this.#receiveStart, this.#receiveStart + length);
      },
      pieceReceived: (piece) => this.#write(piece),
      pieceDropped: (piece) => {
        this.#buffers.drop(piece);
      },
      completed: () => this.#completed(),
      banned: (identity, reason) => {
        this.#peers.ban(identity);
        this.logger.warn({ infoHash: this.infoHashHex, host: identity, reason }, 'peer banned');
      },
      wakeForHaves: () => {
        if (this.#willFlushHaves) return;
        this.#willFlushHaves = true;
        setImmediate(this.#flushHaves);
      },
      mayUpload: (now) => this.#upload.isOpen(now) && this.#around.upload.isOpen(now),
      spendUpload: (bytes) => {
        this.#upload.spend(bytes);
        this.#around.upload.spend(bytes);
      },
      mayDownload: (now) => this.#download.isOpen(now) && this.#around.download.isOpen(now),
      spendDownload: (bytes) => {
        this.#download.spend(bytes);
        this.#around.download.spend(bytes);
      },
      refundDownload: (bytes) => {
        this.#download.refund(bytes);
        this.#around.download.refund(bytes);
      },
    };
  }

  // Storage

  #write(piece: number): void {
    const data = this.#buffers.take(piece);
    if (data === undefined) throw new Error(`piece ${piece} was received and has no buffer`);
    if (this.error !== undefined) {
      // What comes in after a failure is wanted again once the torrent is resumed.
      queueMicrotask(() => this.swarm.pieceUnwritten(piece));
      return;
    }
    const written = this.storage
      .writePiece(piece, data)
      .then(
        (outcome) => this.#written(piece, data, outcome),
        (error) => {
          this.swarm.pieceUnwritten(piece);
          this.#diskFailed(error, 'writing');
        },
      )
      .finally(() => {
        this.#writes.delete(written);
        if (!this.complete) this.#buffers.giveBack(data);
      });
    this.#writes.add(written);
  }

  #written(piece: number, data: Buffer, outcome: 'verified' | 'corrupt'): void {
    if (outcome === 'corrupt') {
      this.logger.warn({ infoHash: this.infoHashHex, piece }, 'a piece failed its hash');
      this.swarm.pieceCorrupt(piece, blockDigests(data));
      return;
    }
    this.#bytesHeld += data.length;
    this.#unsaved = true;
    this.swarm.pieceVerified(piece, this.swarm.wantsDigests(piece) ? blockDigests(data) : []);
    this.emit('verified', piece);
    if (this.complete) this.emit('complete');
  }

  #completed(): void {
    this.#buffers.clear();
    this.#save(this.clock.now());
    for (const discovery of this.#discovery) discovery.announce('completed');
  }

  #diskFailed(error: unknown, doing: string): void {
    if (this.#stopped !== undefined || this.error !== undefined) return;
    const cause = isTorrentError(error)
      ? error
      : new TorrentError('DiskIo', `${doing} failed: ${String(error)}`, { cause: error });
    this.error = cause;
    this.logger.error({ infoHash: this.infoHashHex, err: cause }, 'the disk failed: the torrent is paused');
    this.swarm.pause();
    if (this.listenerCount('error') > 0) this.emit('error', cause);
  }

  #save(now: number): void {
    if (this.#saving !== undefined) return;
    this.#savedAt = now;
    this.#unsaved = false;
    this.#saving = this.storage
      .saveResume()
      .catch((error: unknown) => this.#diskFailed(error, 'saving resume data'))
      .finally(() => {
        this.#saving = undefined;
      });
  }

  // Peers

  #dial(now: number): void {
    if (this.paused || this.#stopped !== undefined || this.#around.port() === 0) return;
    const { most, dial } = this.swarm.policy.neighbours;
    let dialled = this.#dialling.size + this.#outgoingCount();
    while (dialled < dial && this.connectionCount < most && this.#around.hasRoom()) {
      const address = this.#peers.next(now, this.complete);
      if (address === undefined) return;
      dialled++;
      const greeting = Greeting.dial(
        address,
        { infoHash: this.metainfo.infoHash, peerId: this.#around.peerId },
        () => this.clock.now(),
        {
          answer: () => undefined,
          established: (done, handshake, rest) => {
            this.#around.unwatch(done);
            this.established(done, handshake, rest);
          },
          failed: (done, reason) => this.#dialFailed(done, reason),
        },
      );
      this.#dialling.add(greeting);
      this.#around.watch(greeting);
    }
  }

  #dialFailed(greeting: Greeting, reason: string): void {
    this.#around.unwatch(greeting);
    if (!this.#dialling.delete(greeting)) return;
    greeting.socket.close();
    this.logger.debug({ peer: greeting.address, reason }, 'dial failed');
    this.#peers.failed(greeting.address, this.clock.now());
  }

  /** Why an established connection is not taken, if so. May close an older one that gives way. */
  #refusal(greeting: Greeting, handshake: Handshake, now: number): string | undefined {
    const { peerId, infoHash } = handshake;
    if (!infoHash.equals(this.metainfo.infoHash)) return 'it answered for another torrent';
    if (peerId.equals(this.#around.peerId)) return 'it is ourselves';
    if (!this.#admits(greeting.address.host, greeting.outgoing)) return 'banned, or no room';
    const older = this.#connections.get(peerId.toString('latin1'));
    if (older === undefined) return undefined;
    if (!this.#givesWay(older, greeting, peerId, now)) return 'it is connected already';
    this.swarm.drop(older.neighbour, 'replaced by a newer connection of the same peer');
    return undefined;
  }

  #admits(host: string, outgoing: boolean): boolean {
    if (this.#stopped !== undefined || this.#peers.isBanned(host)) return false;
    const { most, dial } = this.swarm.policy.neighbours;
    if (this.#connections.size >= most) return false;
    if (outgoing) return true;
    // Whoever dials us, in whatever number, leaves room for peers of our own choice.
    return this.#connections.size - this.#outgoingCount() < most - Math.trunc(dial / 2);
  }

  #outgoingCount(): number {
    let count = 0;
    for (const connection of this.#connections.values()) if (connection.outgoing) count++;
    return count;
  }

  #givesWay(older: Connection, greeting: Greeting, peerId: Buffer, now: number): boolean {
    const { neighbour } = older;
    if (now - neighbour.heardAt > PRESUMED_DEAD_MILLISECONDS) return true;
    // An address that anybody could claim to be another peer's must not end that peer's connection.
    if (older.address.host !== greeting.address.host) return false;
    if (older.outgoing === greeting.outgoing) return !greeting.outgoing;
    if (now - neighbour.connectedAt > SIMULTANEOUS_MILLISECONDS) return false;
    // Both dialled at once: the one stays that was dialled by the lower peer id.
    const weAreLower = Buffer.compare(this.#around.peerId, peerId) < 0;
    return greeting.outgoing === weAreLower;
  }

  #refusedDial(greeting: Greeting, handshake: Handshake, now: number): void {
    const connected = this.#connections.get(handshake.peerId.toString('latin1'));
    if (handshake.peerId.equals(this.#around.peerId)) this.#peers.forget(greeting.address);
    else if (connected !== undefined) {
      // Another way to a peer that we have: worth remembering as its address, not as a failure.
      connected.listenAddress ??= greeting.address;
      if (connected.listenAddress === greeting.address) this.#peers.connected(greeting.address);
      else this.#peers.failed(greeting.address, now);
    } else this.#peers.failed(greeting.address, now);
  }

  #askForMore(now: number): void {
    const { low } = this.swarm.policy.neighbours;
    if (this.paused || this.complete || this.connectionCount >= low || !this.#discovering) return;
    if (now - this.#neededAt < this.swarm.policy.needMoreMilliseconds) return;
    this.#neededAt = now;
    for (const discovery of this.#discovery) discovery.needMore();
  }

  #measure(now: number): void {
    const { downloadedBytes, uploadedBytes } = this.swarm.totals;
    this.#downloadRate.add(downloadedBytes - this.#shownDownloaded, now);
    this.#uploadRate.add(uploadedBytes - this.#shownUploaded, now);
    this.#shownDownloaded = downloadedBytes;
    this.#shownUploaded = uploadedBytes;
  }

  async #stop(): Promise<void> {
    const left = this.#discovery.map((discovery) => discovery.stop());
    for (const greeting of [...this.#dialling]) this.#dialFailed(greeting, 'the torrent is stopped');
    this.swarm.pause();
    for (const neighbour of [...this.swarm.neighbours]) this.swarm.drop(neighbour, 'the torrent is stopped');
    this.#buffers.clear();
    const outcomes = await Promise.allSettled([...left, ...this.#writes, this.#saving]);
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue;
      this.logger.warn(
        { infoHash: this.infoHashHex, err: outcome.reason },
        'taking leave of the swarm failed',
      );
    }
    await this.storage.saveResume().catch((error: unknown) => {
      this.logger.warn({ infoHash: this.infoHashHex, err: error }, 'resume data could not be saved');
    });
  }
}

/** Digest of each block of a piece. */
function blockDigests(data: Buffer): string[] {
  const digests: string[] = [];
  for (let begin = 0; begin < data.length; begin += BLOCK_BYTES) {
    const block = data.subarray(begin, begin + BLOCK_BYTES);
    digests.push(createHash('sha1').update(block).digest('base64'));
  }
  return digests;
}
