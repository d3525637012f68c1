// What a session of the engine gives its caller. Invariant: nothing here throws because of what a peer, a
// tracker or a disk did: that ends as an event, a number in progress() or a line in the log.
import type { Logger, Stopwatch } from '../../base/index.ts';
import type { Discovery, PeerAddress } from '../discovery/discovery.ts';
import type { TorrentError } from '../errors.ts';
import type { MemoryLedger } from '../memory-ledger.ts';
import type { Metainfo } from '../metainfo.ts';
import type { PieceStorage } from '../storage/piece-storage.ts';
import type { PolicyName } from '../swarm/policy/policy.ts';

/** Upper bounds of the payload's rate; absent means unlimited, and so does 0. */
export interface TransferLimits {
  uploadBytesPerSecond?: number;
  downloadBytesPerSecond?: number;
}

export type { PolicyName } from '../swarm/policy/policy.ts';

/** Settings of a session; all but the logger have defaults. */
export interface SessionOptions {
  /** 20 bytes; by default `-EX0100-` and 12 random ones, new for every process. */
  peerId?: Uint8Array;
  /**
   * One port for all torrents. Host: by default all addresses, IPv6 and IPv4; where it is one address, announces and
   * dials leave from it. Port 0 (the default) = any free one.
   */
  listen?: { host?: string; port?: number };
  /** For all torrents together. */
  limits?: TransferLimits;
  /** Connections of all torrents together, those being made included; default 500. */
  maxConnections?: number;
  /** What may be kept in memory of what is on its way; by default the process's ledger, 256 MiB in all. */
  memory?: MemoryLedger;
  logger: Logger;
  clock?: Stopwatch;
  /** Numbers 0 ≤ x < 1. */
  random?: () => number;
}

/**
 * What becomes of pieces that somebody else's changes took off the disk: they are fetched again; or they are withdrawn,
 * and the rest is served on, while nothing is fetched; or that is an error of the disk.
 */
export type LossPolicy = 'fetch' | 'withdraw' | 'fail';

/** What a torrent needs to join its swarm. */
export interface AddTorrent {
  metainfo: Metainfo;
  /** Opened by the caller; the session uses it until stop() has resolved, and the caller closes it afterwards. */
  storage: PieceStorage;
  policy: PolicyName;
  discovery: readonly Discovery[];
  /**
   * URLs of web servers that have the content (BEP 19); others are skipped. None by default, whatever the metainfo names: who adds the
   * torrent decides whether its servers are asked.
   */
  webSeeds?: readonly string[];
  /** After the last piece: seed on (the default), or leave the swarm at once by stop(). */
  seeding?: 'altruistic' | 'selfish';
  /** By default 'fail' for content that is whole when it is added, for it may be somebody's own, else 'fetch'. */
  losses?: LossPolicy;
  /** For this torrent alone; the session's limits hold besides. */
  limits?: TransferLimits;
  /** Begin paused: see Torrent.pause(). */
  paused?: boolean;
}

/** What is needed to join a swarm of which only the info hash is known (BEP 9, a magnet link). */
export interface AddMagnet extends Omit<AddTorrent, 'metainfo' | 'storage'> {
  /** 20 bytes. */
  infoHash: Uint8Array;
  /** Tracker tiers and web seeds that the metainfo is to have: the info dictionary itself names none. */
  around?: Partial<Pick<Metainfo, 'announceList' | 'webSeeds'>>;
  /** Called once the metainfo is here and checked; opens the storage that the torrent uses from then on. */
  openStorage(metainfo: Metainfo): Promise<PieceStorage>;
}

/** How far the search for metadata is. */
export interface MetadataProgress {
  bytes: number;
  /** Undefined as long as nobody has said. Claimed, not known. */
  totalBytes: number | undefined;
  /** Connected peers. */
  peers: number;
}

/** A magnet link on its way to a torrent. */
export interface MagnetJoin {
  readonly infoHashHex: string;
  /**
   * The torrent, once its metainfo is here and its storage is open; it goes on with the same peers and discovery.
   * @throws TorrentError Closed (stopped before), InvalidMetainfo, UnsupportedMetainfo, and what openStorage throws.
   */
  readonly torrent: Promise<Torrent>;
  progress(): MetadataProgress;
  /** Addresses to dial, besides those of discovery. */
  addPeers(addresses: readonly PeerAddress[]): void;
}

/** How far a torrent is. Counts of bytes are payload, without framing. */
export interface TorrentProgress {
  pieces: number;
  /** Pieces that are verified and written. */
  piecesHave: number;
  totalBytes: number;
  /** totalBytes less what is verified and written. */
  bytesLeft: number;
  /** Payload received since the torrent was added, what was of no use included. */
  downloadedBytes: number;
  uploadedBytes: number;
  /** Of downloadedBytes: duplicates and pieces that failed their hash. */
  wastedBytes: number;
  /** How often a peer was asked for less than its path holds, because memory was short. */
  memoryWaits: number;
  /** Averaged over some seconds. */
  downloadBytesPerSecond: number;
  uploadBytesPerSecond: number;
  /** Connected peers, seeds included; web seeds are no peers. */
  peers: number;
  /** Connected peers that have every piece. */
  seeds: number;
}

/** One connected peer, for people and metrics. */
export interface PeerSnapshot {
  address: PeerAddress;
  /** True if we dialled. */
  outgoing: boolean;
  /** Known by our own extension under BEP 10. */
  ownAgent: boolean;
  /** What it says of itself (BEP 10 `v`), at most 64 characters; it can be forged. */
  client: string | undefined;
  piecesHave: number;
  amChoking: boolean;
  amInterested: boolean;
  peerChoking: boolean;
  peerInterested: boolean;
  downloadBytesPerSecond: number;
  uploadBytesPerSecond: number;
  downloadedBytes: number;
  uploadedBytes: number;
  requestsOutstanding: number;
}

/** Events of a torrent. */
export interface TorrentEvents {
  /** A piece passed its hash and is written. */
  verified: [piece: number];
  /**
   * Every piece is verified and written, and all files are as we left them; once, and not for a torrent that was
   * complete when added.
   */
  complete: [];
  /** Somebody else's changes of these files took so many pieces off the disk. Without a listener it is logged. */
  damaged: [pieces: number, files: readonly string[]];
  /**
   * The disk failed. The torrent is paused (neither asks, writes nor serves); resume() tries again, and what was
   * not written is asked for again. Without a listener the error is logged only.
   */
  error: [error: TorrentError];
}

/** A torrent of a session. */
export interface Torrent {
  readonly infoHashHex: string;
  readonly metainfo: Metainfo;
  /** True once every piece is verified and written. */
  readonly complete: boolean;
  readonly paused: boolean;
  /** The disk's failure that paused the torrent, until resume(). */
  readonly error: TorrentError | undefined;

  progress(): TorrentProgress;
  peers(): PeerSnapshot[];
  on<E extends keyof TorrentEvents>(event: E, listener: (...values: TorrentEvents[E]) => void): this;
  off<E extends keyof TorrentEvents>(event: E, listener: (...values: TorrentEvents[E]) => void): this;

  /** Replaces the limits of this torrent. */
  setLimits(limits: TransferLimits): void;
  /** Neither asks nor serves: peers are choked, requests are taken back, nobody is dialled; connections stay. */
  pause(): void;
  resume(): void;
  /** Addresses to dial, besides those of discovery. Bad ones cost nothing. */
  addPeers(addresses: readonly PeerAddress[]): void;
  /** Looks whether all files are as they were left, and deals with losses; what fails is an `error`. Never rejects. */
  checkFiles(): Promise<void>;
  /**
   * Leaves the swarm: announces `stopped` (bounded time), closes its connections, waits for writes under way and
   * saves resume data. The storage stays open. Idempotent; never rejects.
   */
  stop(): Promise<void>;
}

/** The engine: one listening port, one set of limits, many torrents. */
export interface TorrentSession {
  /** 20 bytes. */
  readonly peerId: Buffer;
  /** Where it listens; 0 before start(). */
  readonly port: number;
  /** Listens. @throws the system's error (EADDRINUSE…). */
  start(): Promise<{ port: number }>;
  /** Joins a swarm. @throws TorrentError InvalidRequest if the info hash is there already, Closed after close(). */
  add(torrent: AddTorrent): Torrent;
  /**
   * Looks for the metainfo of an info hash among peers, and joins the swarm with it.
   * @throws TorrentError InvalidRequest if the info hash is there already, Closed after close().
   */
  addMagnet(magnet: AddMagnet): MagnetJoin;
  /** A torrent; undefined also while its metainfo is not here. */
  get(infoHashHex: string): Torrent | undefined;
  torrents(): Torrent[];
  /** Stops a torrent, or the search for its metainfo, and forgets it; nothing if it is not there. */
  remove(infoHashHex: string): Promise<void>;
  /** Replaces the limits for all torrents together. */
  setLimits(limits: TransferLimits): void;
  /** Stops every torrent, then stops listening. Idempotent; never rejects. */
  close(): Promise<void>;
}
