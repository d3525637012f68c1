// One torrent's swarm: takes what peers say and what became of pieces, and decides. No I/O: messages come in by
// calls and leave by links. Invariants: a peer's `useful` and `pickable` agree with its bitfield and ours;
// we are interested in exactly those that are useful, unless paused; after drop() a peer is never touched.
import type { Stopwatch } from '../../base/index.ts';
import { Bitfield } from '../bitfield.ts';
import { BLOCK_BYTES } from '../wire/messages.ts';
import type { SwarmContext, SwarmTotals } from './context.ts';
import { Requester } from './download/requester.ts';
import { SmartBan } from './download/smart-ban.ts';
import type { BlockVerdict, PeerLink, SwarmHost } from './host.ts';
import { Identities } from './peers/identities.ts';
import { type Introduction, Peer, type SelfDescription } from './peers/peer.ts';
import { AvailabilityIndex } from './pieces/availability-index.ts';
import { Geometry } from './pieces/geometry.ts';
import { PiecePicker } from './pieces/piece-picker.ts';
import { classicPolicy } from './policy/classic.ts';
import type { Policy } from './policy/policy.ts';
import { HAVE_DELAY_MILLISECONDS, OWING_KEEP_ALIVE_MILLISECONDS } from './tunables.ts';
import { Choker } from './upload/choker.ts';
import { SuperSeedingSuggester } from './upload/super-seeding-suggester.ts';
import { UploadScheduler } from './upload/upload-scheduler.ts';

/** What a swarm is made of. */
export interface SwarmOptions {
  /** Without it no peer is allowed anything while it is choked (BEP 6). */
  infoHash?: Uint8Array;
  pieceLength: number;
  totalBytes: number;
  /** Blocks that are asked for; 16 KiB unless a simulation wants fewer, larger ones. */
  blockBytes?: number;
  /** Held pieces; read once. */
  have: Bitfield;
  /** What own agents meet; everybody else meets the classic policy. */
  policy: Policy;
  clock: Stopwatch;
  random: () => number;
  host: SwarmHost;
  paused?: boolean;
}

/** The decisions of one torrent. */
export class Swarm {
  readonly geometry: Geometry;
  readonly policy: Policy;
  readonly totals: SwarmTotals = {
    downloadedBytes: 0,
    uploadedBytes: 0,
    duplicateBytes: 0,
    corruptBytes: 0,
    endgameRequests: 0,
    stalledRequests: 0,
    memoryWaits: 0,
  };
  readonly #context: SwarmContext<Peer>;
  readonly #peers: Peer[] = [];
  readonly #availabilityIndex: AvailabilityIndex<Peer>;
  readonly #picker: PiecePicker;
  readonly #requester: Requester;
  readonly #uploadScheduler: UploadScheduler;
  readonly #choker: Choker<Peer>;
  readonly #suggester: SuperSeedingSuggester;
  readonly #smartBan = new SmartBan();
  readonly #identities = new Identities();
  #nextNumber = 0;
  #unannounced: number[] = [];
  #toldAllAt = Number.NEGATIVE_INFINITY;

  constructor(options: SwarmOptions) {
    const { have, host, policy, clock, random } = options;
    this.geometry = new Geometry(options.pieceLength, options.totalBytes, options.blockBytes);
    this.policy = policy;
    this.#picker = new PiecePicker(this.geometry, have, random);
    this.#availabilityIndex = new AvailabilityIndex(this.#picker);
    this.#context = {
      geometry: this.geometry,
      picker: this.#picker,
      policy,
      clock,
      random,
      host,
      peers: this.#peers,
      availabilityIndex: this.#availabilityIndex,
      totals: this.totals,
      paused: options.paused ?? false,
      drop: (peer, reason) => this.drop(peer, reason),
    };
    this.#requester = new Requester(this.#context);
    this.#uploadScheduler = new UploadScheduler(
      this.#context,
      Math.max(BLOCK_BYTES, this.geometry.blockBytes),
      options.infoHash,
    );
    this.#choker = new Choker<Peer>(this.#context, this.#uploadScheduler);
    this.#suggester = new SuperSeedingSuggester(this.#context);
    this.#suggester.begin(clock.monotonic());
  }

  /** Connected peers, in order of arrival. Read only. */
  get peers(): readonly Peer[] {
    return this.#peers;
  }

  /** Held pieces. Read only. */
  get held(): Bitfield {
    return this.#picker.have;
  }

  get isComplete(): boolean {
    return this.#picker.have.isFull;
  }

  get paused(): boolean {
    return this.#context.paused;
  }

  /** For tests and people: how pieces stand. */
  get picker(): PiecePicker {
    return this.#picker;
  }

  // Membership

  /** A peer is connected: it is shown what we have. */
  connect(link: PeerLink, introduction: Introduction): Peer {
    const peers = this.#peers;
    const { have } = this.#picker;
    const peer = new Peer(
      this.#nextNumber++,
      link,
      introduction,
      this.#identities.enter(introduction.identity, (identity) =>
        peers.some((other) => other.identity === identity),
      ),
      this.geometry,
      this.#context.clock.monotonic(),
    );
    this.#requester.enter(peer);
    peers.push(peer);
    this.#uploadScheduler.brought(peer, this.#identities.servedBytes(peer.identityNumber));
    this.#availabilityIndex.enter(peer);
    if (peer.fast && have.isFull) link.haveAll();
    else if (peer.fast && have.isEmpty) link.haveNone();
    else if (!have.isEmpty) link.bitfield(have.bytes);
    // Verified pieces that wait to be announced are in the bitfield; a second HAVE does no harm.
    if (!this.policy.directed) this.#uploadScheduler.allowFast(peer);
    return peer;
  }

  /** The peer's link has ended. Nothing if the swarm dropped it itself. */
  disconnected(peer: Peer): void {
    if (!peer.connected) return;
    const { upload } = peer;
    peer.leave();
    this.#identities.leave(peer.identityNumber, upload.broughtBytes + upload.uploadedBytes);
    this.#peers.splice(this.#peers.indexOf(peer), 1);
    this.#availabilityIndex.leave(peer);
    this.#requester.releaseAll(peer);
    this.#uploadScheduler.gone(peer);
    this.#suggester.gone(peer);
    const now = this.#context.clock.monotonic();
    if (!peer.choke.amChoking) this.#choker.admitAny(now);
    this.#requester.fillAll(now);
  }

  /** Ends the connection to a peer. */
  drop(peer: Peer, reason: string): void {
    if (!peer.connected) return;
    this.disconnected(peer);
    peer.link.close(reason);
  }

  /** What the peer said in its extension handshake (BEP 10). */
  introduced(peer: Peer, said: SelfDescription): void {
    const now = this.#context.clock.monotonic();
    peer.describe(said, said.ownAgent ? this.policy : classicPolicy);
    if (!peer.ownAgent) this.#uploadScheduler.allowFast(peer);
    // Suggestions before the unchoke: it may ask at once, and shall not choose by itself.
    this.#suggester.direct(peer, now);
    this.#choker.admit(peer, now);
    this.#dropIfUseless(peer);
  }

  /**
   * The peer gives pieces in their order for less than others, as a web server does: it is asked for them so.
   *
   * @param fromStart and from the first one on while nobody else is connected; otherwise from any
   */
  readInOrder(peer: Peer, fromStart: boolean): void {
    this.#requester.readInOrder(peer, fromStart);
  }

  // Messages of a peer

  /** Bytes came, of whatever kind. */
  heard(peer: Peer, now: number): void {
    peer.hear(now);
  }

  keepAlive(peer: Peer): void {
    this.#idle(peer);
  }

  // Chokes and interests change something, but nobody has reason to change it often.

  choke(peer: Peer): void {
    this.#idle(peer);
    if (peer.peerChoking || !peer.connected) return;
    peer.setPeerChoking(true);
    this.#requester.choked(peer);
    this.#requester.fillAll(this.#context.clock.monotonic());
  }

  unchoke(peer: Peer): void {
    this.#idle(peer);
    if (!peer.peerChoking || !peer.connected) return;
    peer.setPeerChoking(false);
    this.#requester.unchoked(peer, this.#context.clock.monotonic());
  }

  interested(peer: Peer): void {
    this.#idle(peer);
    peer.setPeerInterested(true);
    this.#choker.admit(peer, this.#context.clock.monotonic());
  }

  notInterested(peer: Peer): void {
    this.#idle(peer);
    peer.setPeerInterested(false);
    if (peer.connected && !peer.choke.amChoking) this.#choker.admitAny(this.#context.clock.monotonic());
  }

  have(peer: Peer, piece: number): void {
    if (piece >= this.geometry.pieceCount) {
      this.drop(peer, `it has piece ${piece} of ${this.geometry.pieceCount}`);
      return;
    }
    if (!this.#availabilityIndex.got(peer, piece)) {
      this.#idle(peer);
      return;
    }
    const now = this.#context.clock.monotonic();
    this.#suggester.got(peer, piece, now);
    if (!this.#picker.isHeld(piece)) {
      this.#updateInterest(peer);
      this.#requester.fill(peer, now);
    }
    this.#dropIfUseless(peer);
  }

  /** The peer lost a piece (BEP 54). */
  lost(peer: Peer, piece: number): void {
    if (piece >= this.geometry.pieceCount) {
      this.drop(peer, `it lost piece ${piece} of ${this.geometry.pieceCount}`);
      return;
    }
    if (!peer.pieces.get(piece)) {
      this.#idle(peer);
      return;
    }
    if (!peer.flood.allowsLoss(this.#context.clock.monotonic())) {
      this.drop(peer, 'it loses pieces again and again');
      return;
    }
    this.#requester.lost(peer, piece);
    this.#availabilityIndex.lost(peer, piece);
    if (this.#picker.isHeld(piece)) return;
    this.#updateInterest(peer);
    this.#requester.fillAll(this.#context.clock.monotonic());
  }

  /** `bits` is copied. */
  bitfield(peer: Peer, bits: Uint8Array): void {
    let pieces: Bitfield;
    try {
      pieces = Bitfield.fromBytes(bits, this.geometry.pieceCount);
    } catch (error) {
      this.drop(peer, error instanceof Error ? error.message : String(error));
      return;
    }
    this.#shown(peer, pieces);
  }

  haveAll(peer: Peer): void {
    this.#shown(peer, Bitfield.full(this.geometry.pieceCount));
  }

  haveNone(peer: Peer): void {
    this.#shown(peer, new Bitfield(this.geometry.pieceCount));
  }

  request(peer: Peer, piece: number, begin: number, length: number): void {
    if (!this.#uploadScheduler.requested(peer, piece, begin, length)) return;
    this.#suggester.requested(peer, piece, this.#uploadScheduler.idleAt, this.#context.clock.monotonic());
  }

  cancel(peer: Peer, piece: number, begin: number, length: number): void {
    // To look through 2,000 requests for nothing is more work than to ask for it.
    if (!this.#uploadScheduler.cancelled(peer, piece, begin, length)) this.#idle(peer);
  }

  reject(peer: Peer, piece: number, begin: number, length: number): void {
    this.#requester.rejected(peer, piece, begin, length, this.#context.clock.monotonic());
  }

  /** A block has come; what becomes of it is the caller's to do, at once. */
  block(peer: Peer, piece: number, begin: number, length: number): BlockVerdict {
    return this.#requester.blockReceived(peer, piece, begin, length, this.#context.clock.monotonic());
  }

  suggest(peer: Peer, piece: number): void {
    if (piece >= this.geometry.pieceCount) {
      this.drop(peer, `it suggests piece ${piece} of ${this.geometry.pieceCount}`);
      return;
    }
    this.#requester.suggested(peer, piece, this.#context.clock.monotonic());
  }

  /** The peer lets us ask for the piece while it chokes us (BEP 6). */
  allowedFast(peer: Peer, piece: number): void {
    if (piece >= this.geometry.pieceCount) {
      this.drop(peer, `it allows piece ${piece} of ${this.geometry.pieceCount}`);
      return;
    }
    this.#idle(peer);
    if (!peer.connected) return;
    this.#requester.allowedFast(peer, piece, this.#context.clock.monotonic());
  }

  /** A block that was handed to a link cannot be read: the peer is refused it. */
  unsent(peer: Peer, piece: number, begin: number, length: number): void {
    if (peer.connected) this.#uploadScheduler.unsent(peer, piece, begin, length);
  }

  /** After a burst of messages: serves whoever can be served. */
  settle(): void {
    this.#uploadScheduler.serve(this.#context.clock.monotonic());
  }

  /** A block that was handed to a link has left. */
  uploaded(peer: Peer, bytes: number): void {
    const now = this.#context.clock.monotonic();
    peer.speak(now);
    if (!peer.connected) return;
    this.#uploadScheduler.uploaded(peer, bytes, now);
    this.#uploadScheduler.serve(now);
  }

  // What became of pieces

  /** True if pieceVerified() wants the digests of the piece's blocks. */
  wantsDigests(piece: number): boolean {
    return this.#smartBan.isOpen(piece);
  }

  /** The piece passed its hash and is written. */
  pieceVerified(piece: number, blockDigests: readonly string[] = []): void {
    const { clock, host } = this.#context;
    const now = clock.monotonic();
    this.#picker.verified(piece);
    this.#requester.settled(piece);
    if (blockDigests.length > 0) this.#ban(this.#smartBan.verified(piece, blockDigests));
    if (this.#availabilityIndex.held(piece)) this.#updateInterestIn(piece);
    if (this.#unannounced.length === 0) host.wakeForHaves(HAVE_DELAY_MILLISECONDS);
    this.#unannounced.push(piece);
    if (!this.isComplete) {
      this.#requester.hashed(now);
      return;
    }
    this.flushHaves();
    host.completed();
    this.#suggester.begin(now);
    for (const peer of [...this.#peers]) this.#dropIfUseless(peer);
  }

  /** The piece failed its hash; the digests are of its blocks as they came. */
  pieceCorrupt(piece: number, blockDigests: readonly string[]): void {
    const senders = this.#picker.sendersByBlock(piece);
    this.totals.corruptBytes += this.geometry.pieceLengthAt(piece);
    const guilty = this.#smartBan.failed(piece, senders, blockDigests);
    this.#wantAgain(piece);
    if (guilty.length === 0) this.#requester.suspect(piece);
    this.#ban(guilty);
    this.#requester.fillAll(this.#context.clock.monotonic());
  }

  /** The piece could not be written: it is wanted again. */
  pieceUnwritten(piece: number): void {
    this.#wantAgain(piece);
  }

  /** A held piece is not on the disk any more: peers are told (BEP 54), or left, and it is wanted again. */
  pieceLost(piece: number): void {
    if (!this.#picker.isHeld(piece)) return;
    this.#picker.lost(piece);
    this.#suggester.lost(piece);
    this.#unannounced = this.#unannounced.filter((other) => other !== piece);
    this.#availabilityIndex.missing(piece);
    this.#updateInterestIn(piece);
    for (const peer of [...this.#peers]) {
      // Without BEP 6 it would wait for what it asked for.
      if (peer.fast && peer.link.dontHave(piece)) this.#uploadScheduler.withdraw(peer, piece);
      else this.drop(peer, 'it cannot be told that we lost a piece');
    }
    this.#requester.fillAll(this.#context.clock.monotonic());
  }

  /** Tells all peers of the pieces verified since the last time. */
  flushHaves(): void {
    if (this.#unannounced.length === 0) return;
    const pieces = this.#unannounced;
    this.#unannounced = [];
    const { clock, host, peers } = this.#context;
    this.#toldAllAt = clock.monotonic();
    if (host.tellAll?.(pieces)) return;
    for (const peer of peers) peer.link.haves(pieces);
  }

  // Time

  /** Every 100 ms: all time-outs, rounds and limits. */
  tick(): void {
    const { clock, peers } = this.#context;
    const now = clock.monotonic();
    for (const peer of [...peers]) this.#watch(peer, now);
    this.#choker.tick(now);
    this.#suggester.tick(now);
    this.#requester.tick(now);
    this.#uploadScheduler.tick(now);
  }

  /** Takes requests back and chokes everybody; connections stay. */
  pause(): void {
    if (this.#context.paused) return;
    this.#context.paused = true;
    for (const peer of this.#context.peers) {
      this.#requester.cancelAll(peer);
      this.#updateInterest(peer);
    }
    this.#choker.chokeAll();
  }

  resume(): void {
    if (!this.#context.paused) return;
    this.#context.paused = false;
    const now = this.#context.clock.monotonic();
    for (const peer of this.#context.peers) {
      this.#updateInterest(peer);
      this.#suggester.direct(peer, now);
      this.#choker.admit(peer, now);
    }
    this.#requester.fillAll(now);
  }

  #shown(peer: Peer, pieces: Bitfield): void {
    if (peer.availability.isShown) {
      this.#shownAgain(peer, pieces);
      return;
    }
    const now = this.#context.clock.monotonic();
    this.#uploadScheduler.brought(peer, pieces.count * this.geometry.pieceLength);
    this.#availabilityIndex.shown(peer, pieces);
    this.#suggester.shown(peer, now);
    this.#updateInterest(peer);
    this.#requester.fill(peer, now);
    this.#dropIfUseless(peer);
  }

  /** BEP 3 knows no second bitfield; aria2 sends one where it would have many HAVEs to send. */
  #shownAgain(peer: Peer, pieces: Bitfield): void {
    let isNews = false;
    for (let piece = pieces.nextSet(0); piece >= 0; piece = pieces.nextSet(piece + 1)) {
      if (peer.pieces.get(piece)) continue;
      isNews = true;
      this.have(peer, piece);
      if (!peer.connected) return;
    }
    if (!isNews) this.#idle(peer);
  }

  /** We are interested in who has something that we lack. */
  #updateInterest(peer: Peer): void {
    const interested = peer.availability.useful > 0 && !this.#context.paused;
    if (interested === peer.amInterested) return;
    peer.setInterested(interested);
    if (interested) peer.link.interested();
    else peer.link.notInterested();
  }

  /** The same of all who have the piece. */
  #updateInterestIn(piece: number): void {
    const index = this.#availabilityIndex;
    for (let slot = index.next(piece, 0); slot >= 0; slot = index.next(piece, slot + 1)) {
      this.#updateInterest(index.at(slot));
    }
  }

  /** Two that have everything, or want no more (BEP 21), have nothing to say to each other. */
  #dropIfUseless(peer: Peer): void {
    if (!this.isComplete) return;
    if (peer.isSeed) this.drop(peer, 'both have every piece');
    else if (peer.uploadOnly) this.drop(peer, 'both only upload');
  }

  #wantAgain(piece: number): void {
    this.#picker.failed(piece);
    this.#availabilityIndex.wantedAgain(piece);
  }

  #ban(guilty: readonly number[]): void {
    for (const number of guilty) {
      const identity = this.#identities.nameOf(number);
      if (identity === undefined) continue;
      const reason = 'it sent bytes that failed their hash';
      for (const peer of [...this.#context.peers]) {
        if (peer.identity === identity) this.drop(peer, reason);
      }
      this.#context.host.banned(identity, reason);
    }
  }

  /** A message that says nothing new, or may say it only so often. */
  #idle(peer: Peer): void {
    if (peer.flood.allowsIdle(this.#context.clock.monotonic())) return;
    this.drop(peer, 'it floods us with messages that say nothing');
  }

  #watch(peer: Peer, now: number): void {
    const { policy } = peer;
    const silent = now - peer.heardAt;
    if (silent > policy.silenceMilliseconds) {
      this.drop(peer, `it has been silent for ${Math.round(silent / 1000)} s`);
      return;
    }
    const owing = Math.min(silent, now - peer.download.waitingSince);
    if (peer.download.outstandingCount > 0 && peer.ownAgent && owing > policy.owingMilliseconds) {
      this.drop(peer, `it owes blocks and has been silent for ${Math.round(silent / 1000)} s`);
      return;
    }
    const owes = peer.upload.requests.size > 0;
    const longest = owes ? OWING_KEEP_ALIVE_MILLISECONDS : policy.keepAliveMilliseconds;
    if (now - Math.max(peer.spokeAt, this.#toldAllAt) > longest) {
      peer.speak(now);
      peer.link.keepAlive();
    }
  }
}
