// The engine: one listening port, one tick, one set of limits, many torrents. Invariant: connections of all torrents
// together never exceed maxConnections.
import { randomBytes } from 'node:crypto';
import { type Logger, type Stopwatch, systemClock } from '../../base/index.ts';
import { TorrentError } from '../errors.ts';
import { type MemoryAccount, type MemoryLedger, processMemory } from '../memory-ledger.ts';
import { parseInfo } from '../metainfo.ts';
import { TokenBucket } from '../swarm/token-bucket.ts';
import { TICK_MILLISECONDS } from '../swarm/tunables.ts';
import type { Greeting } from './greeting/greeting.ts';
import { ShownPieces } from './greeting/shown-pieces.ts';
import { Listener } from './listener.ts';
import { MetadataFetch } from './metadata/fetch.ts';
import type { PeerConnection } from './peers/connection-owner.ts';
import { boundUnsentBytes } from './peers/unsent-bytes.ts';
import type { TorrentSurroundings } from './surroundings.ts';
import type { SwarmMember } from './swarm-member.ts';
import { JoinedTorrent } from './torrent.ts';
import type {
  AddMagnet,
  AddTorrent,
  MagnetJoin,
  SessionOptions,
  Torrent,
  TorrentSession,
  TransferLimits,
} from './types.ts';

const DEFAULT_MAX_CONNECTIONS = 500;

/** Azureus style: two letters and four digits of a version. */
const PEER_ID_PREFIX = '-EX0100-';
const CLIENT_NAME = 'Enxame 0.1.0';

/** See TorrentSession. */
export class Session implements TorrentSession {
  readonly peerId: Buffer;
  readonly #listen: { host?: string; port: number };
  readonly #maxConnections: number;
  readonly #logger: Logger;
  readonly #clock: Stopwatch;
  readonly #random: () => number;
  readonly #memory: MemoryLedger;
  readonly #unsent: MemoryAccount;
  readonly #upload: TokenBucket;
  readonly #download: TokenBucket;
  readonly #members = new Map<string, SwarmMember>();
  readonly #dialled = new Set<Greeting>();
  readonly #listener: Listener;
  readonly #shownPieces: ShownPieces;
  #ticking: NodeJS.Timeout | undefined;
  #ticks = 0;
  #closed: Promise<void> | undefined;

  constructor(options: SessionOptions) {
    this.peerId = Buffer.from(
      options.peerId ?? Buffer.concat([Buffer.from(PEER_ID_PREFIX), randomBytes(12)]),
    );
    if (this.peerId.length !== 20) throw new TorrentError('InvalidRequest', 'a peer id has 20 bytes');
    this.#listen = { host: options.listen?.host, port: options.listen?.port ?? 0 };
    this.#maxConnections = options.maxConnections ?? DEFAULT_MAX_CONNECTIONS;
    this.#logger = options.logger;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#shownPieces = new ShownPieces(this.#clock);
    this.#memory = options.memory ?? processMemory;
    this.#unsent = this.#memory.unsent.open();
    this.#listener = new Listener({
      peerId: this.peerId,
      clock: this.#clock,
      logger: this.#logger,
      memberOf: (infoHash) => this.#members.get(infoHash.toString('hex')),
      room: () => this.#maxConnections - this.#connectionCount(),
      isOurs: (host) => this.#isOurs(host),
    });
    const now = this.#clock.monotonic();
    this.#upload = new TokenBucket(options.limits?.uploadBytesPerSecond, now);
    this.#download = new TokenBucket(options.limits?.downloadBytesPerSecond, now);
  }

  get port(): number {
    return this.#listener.port;
  }

  async start(): Promise<{ port: number }> {
    if (this.#closed !== undefined) throw new TorrentError('Closed', 'the session is closed');
    if (this.#listener.isOpen) return { port: this.port };
    await this.#listener.listen(this.#listen);
    this.#ticking = setInterval(() => this.#tick(), TICK_MILLISECONDS);
    for (const member of this.#members.values()) member.begin();
    return { port: this.port };
  }

  add(options: AddTorrent): Torrent {
    this.#refuseSecond(options.metainfo.infoHashHex);
    return this.#join(options);
  }

  addMagnet(options: AddMagnet): MagnetJoin {
    if (options.infoHash.length !== 20) {
      throw new TorrentError('InvalidRequest', `an info hash has 20 bytes, not ${options.infoHash.length}`);
    }
    const fetch = new MetadataFetch(options, this.#surroundings());
    const infoHashHex = fetch.infoHash.toString('hex');
    this.#refuseSecond(infoHashHex);
    this.#members.set(infoHashHex, fetch);
    const torrent = this.#joinOnceFetched(fetch, options);
    // Whoever does not ask what came of it is told by nothing else.
    torrent.catch((error: unknown) => {
      this.#logger.debug({ infoHash: infoHashHex, err: error }, 'a magnet link came to nothing');
    });
    fetch.begin();
    return {
      infoHashHex,
      torrent,
      progress: () => fetch.progress(),
      addPeers: (addresses) => (this.get(infoHashHex) ?? fetch).addPeers(addresses),
    };
  }

  get(infoHashHex: string): Torrent | undefined {
    const member = this.#members.get(infoHashHex);
    return member instanceof JoinedTorrent ? member : undefined;
  }

  torrents(): Torrent[] {
    return [...this.#members.values()].filter((member) => member instanceof JoinedTorrent);
  }

  async remove(infoHashHex: string): Promise<void> {
    const member = this.#members.get(infoHashHex);
    if (member === undefined) return;
    await member.stop();
    if (this.#members.get(infoHashHex) === member) this.#members.delete(infoHashHex);
  }

  #refuseSecond(infoHashHex: string): void {
    if (this.#closed !== undefined) throw new TorrentError('Closed', 'the session is closed');
    if (this.#members.has(infoHashHex)) {
      throw new TorrentError('InvalidRequest', `torrent ${infoHashHex} is in the session already`);
    }
  }

  #join(options: AddTorrent): JoinedTorrent {
    const torrent = new JoinedTorrent(options, this.#surroundings());
    this.#members.set(options.metainfo.infoHashHex, torrent);
    torrent.begin();
    return torrent;
  }

  async #joinOnceFetched(fetch: MetadataFetch, options: AddMagnet): Promise<Torrent> {
    const { openStorage, around, ...rest } = options;
    try {
      const metainfo = parseInfo(await fetch.infoBytes, around);
      const storage = await openStorage(metainfo);
      if (this.#members.get(metainfo.infoHashHex) !== fetch || fetch.isStopped) {
        await storage.close();
        throw new TorrentError('Closed', 'the torrent was removed before its storage was open');
      }
      const torrent = this.#join({ ...rest, metainfo, storage, discovery: fetch.discovery });
      torrent.addPeers(fetch.addresses);
      return torrent;
    } catch (error) {
      await this.#forget(fetch);
      throw error;
    }
  }

  async #forget(fetch: MetadataFetch): Promise<void> {
    await fetch.stop();
    const infoHashHex = fetch.infoHash.toString('hex');
    if (this.#members.get(infoHashHex) === fetch) this.#members.delete(infoHashHex);
  }

  setLimits(limits: TransferLimits): void {
    const now = this.#clock.monotonic();
    this.#upload.setRate(limits.uploadBytesPerSecond, now);
    this.#download.setRate(limits.downloadBytesPerSecond, now);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const stopped = [...this.#members.values()].map((member) => member.stop());
    const unlistened = this.#listener.close();
    for (const greeting of [...this.#dialled]) {
      this.#dialled.delete(greeting);
      greeting.socket.close();
    }
    await Promise.all(stopped);
    clearInterval(this.#ticking);
    this.#unsent.clear();
    await unlistened;
    this.#members.clear();
  }

  #surroundings(): TorrentSurroundings {
    return {
      peerId: this.peerId,
      clock: this.#clock,
      random: this.#random,
      logger: this.#logger,
      memory: this.#memory,
      upload: this.#upload,
      download: this.#download,
      shownPieces: this.#shownPieces,
      client: CLIENT_NAME,
      port: () => this.port,
      localAddress: () => this.#listener.localAddress,
      hasRoom: () => this.#connectionCount() < this.#maxConnections,
      watch: (greeting) => this.#dialled.add(greeting),
      unwatch: (greeting) => this.#dialled.delete(greeting),
    };
  }

  #connectionCount(): number {
    let count = 0;
    for (const member of this.#members.values()) count += member.connectionCount;
    return count;
  }

  *#connections(): Iterable<PeerConnection> {
    for (const member of this.#members.values()) yield* member.connections();
  }

  #tick(): void {
    const now = this.#clock.monotonic();
    for (const greeting of this.#dialled) {
      if (now >= greeting.deadline) greeting.abandon('no answer in time');
    }
    this.#listener.tick(now);
    const unsentBytes = boundUnsentBytes(this.#connections(), this.#memory.unsent.limitBytes);
    this.#unsent.charge(unsentBytes - this.#unsent.usedBytes);
    // Another torrent is first at the limits every time.
    const members = [...this.#members.values()];
    const first = this.#ticks++ % Math.max(1, members.length);
    for (let i = 0; i < members.length; i++) {
      (members[(first + i) % members.length] as SwarmMember).tick(now);
    }
  }

  #isOurs(host: string): boolean {
    for (const member of this.#members.values()) if (member.namedAsOurs(host)) return true;
    return false;
  }
}
