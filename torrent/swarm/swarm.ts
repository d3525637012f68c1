// One torrent's swarm: takes what peers say and what became of pieces, and decides. No I/O: messages come in by
// calls and leave by links. Invariants: a neighbour's `useful` and `pickable` agree with its bitfield and ours;
// we are interested in exactly those that are useful, unless paused; after drop() a neighbour is never touched.
import type { Stopwatch } from '../../base/index.ts';
import { Bitfield } from '../bitfield.ts';
import { BLOCK_BYTES } from '../wire/messages.ts';
import type { SwarmContext, SwarmTotals } from './context.ts';
import { Requester } from './download/requester.ts';
import { Evidence } from './download/smart-ban.ts';
import type { BlockVerdict, PeerLink, SwarmHost } from './host.ts';
import { Identities } from './peers/identities.ts';
import { type Introduction, Neighbour, type SelfDescription } from './peers/peer.ts';
import { Holders } from './pieces/availability-index.ts';
import { Geometry } from './pieces/geometry.ts';
import { PiecePicker } from './pieces/piece-picker.ts';
import { classicPolicy } from './policy/classic.ts';
import type { Policy } from './policy/policy.ts';
import { HAVE_DELAY_MILLISECONDS, OWING_KEEP_ALIVE_MILLISECONDS } from './tunables.ts';
import { Choker } from './upload/choker.ts';
import { Direction } from './upload/super-seeding-suggester.ts';
import { Uplink } from './upload/upload-scheduler.ts';

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
  readonly #context: SwarmContext<Neighbour>;
  readonly #neighbours: Neighbour[] = [];
  readonly #holders: Holders<Neighbour>;
  readonly #picker: PiecePicker;
  readonly #requester: Requester;
  readonly #uplink: Uplink;
  readonly #choker: Choker<Neighbour>;
  readonly #direction: Direction;
  readonly #evidence = new Evidence();
  readonly #identities = new Identities();
  #nextNumber = 0;
  #unannounced: number[] = [];
  #toldAllAt = Number.NEGATIVE_INFINITY;

  constructor(options: SwarmOptions) {
    const { have, host, policy, clock, random } = options;
    this.geometry = new Geometry(options.pieceLength, options.totalBytes, options.blockBytes);
    this.policy = policy;
    this.#picker = new PiecePicker(this.geometry, have, random);
    this.#holders = new Holders(this.#picker);
    this.#context = {
      geometry: this.geometry,
      picker: this.#picker,
      policy,
      clock,
      random,
      host,
      neighbours: this.#neighbours,
      holders: this.#holders,
      totals: this.totals,
      paused: options.paused ?? false,
      drop: (neighbour, reason) => this.drop(neighbour, reason),
    };
    this.#requester = new Requester(this.#context);
    this.#uplink = new Uplink(
      this.#context,
      Math.max(BLOCK_BYTES, this.geometry.blockBytes),
      options.infoHash,
    );
    this.#choker = new Choker<Neighbour>(this.#context, this.#uplink);
    this.#direction = new Direction(this.#context);
    this.#direction.begin(clock.monotonic());
  }

  /** Connected peers, in order of arrival. Read only. */
  get neighbours(): readonly Neighbour[] {
    return this.#neighbours;
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
  connect(link: PeerLink, introduction: Introduction): Neighbour {
    const neighbours = this.#neighbours;
    const { have } = this.#picker;
    const neighbour = new Neighbour(
      this.#nextNumber++,
      link,
      introduction,
      this.#identities.enter(introduction.identity, (identity) =>
        neighbours.some((other) => other.identity === identity),
      ),
      this.geometry,
      this.#context.clock.monotonic(),
    );
    this.#requester.enter(neighbour);
    neighbours.push(neighbour);
    this.#uplink.brought(neighbour, this.#identities.servedBytes(neighbour.identityNumber));
    this.#holders.enter(neighbour);
    if (neighbour.fast && have.isFull) link.haveAll();
    else if (neighbour.fast && have.isEmpty) link.haveNone();
    else if (!have.isEmpty) link.bitfield(have.bytes);
    // Verified pieces that wait to be announced are in the bitfield; a second HAVE does no harm.
    if (!this.policy.directed) this.#uplink.allowFast(neighbour);
    return neighbour;
  }

  /** The peer's link has ended. Nothing if the swarm dropped it itself. */
  disconnected(neighbour: Neighbour): void {
    if (!neighbour.connected) return;
    const { upload } = neighbour;
    neighbour.leave();
    this.#identities.leave(neighbour.identityNumber, upload.broughtBytes + upload.uploadedBytes);
    this.#neighbours.splice(this.#neighbours.indexOf(neighbour), 1);
    this.#holders.leave(neighbour);
    this.#requester.releaseAll(neighbour);
    this.#uplink.gone(neighbour);
    this.#direction.gone(neighbour);
    const now = this.#context.clock.monotonic();
    if (!neighbour.choke.amChoking) this.#choker.admitAny(now);
    this.#requester.fillAll(now);
  }

  /** Ends the connection to a peer. */
  drop(neighbour: Neighbour, reason: string): void {
    if (!neighbour.connected) return;
    this.disconnected(neighbour);
    neighbour.link.close(reason);
  }

  /** What the peer said in its extension handshake (BEP 10). */
  introduced(neighbour: Neighbour, said: SelfDescription): void {
    const now = this.#context.clock.monotonic();
    neighbour.describe(said, said.ownAgent ? this.policy : classicPolicy);
    if (!neighbour.ownAgent) this.#uplink.allowFast(neighbour);
    // Suggestions before the unchoke: it may ask at once, and shall not choose by itself.
    this.#direction.direct(neighbour, now);
    this.#choker.admit(neighbour, now);
    this.#dropIfUseless(neighbour);
  }

  /**
   * The peer gives pieces in their order for less than others, as a web server does: it is asked for them so.
   *
   * @param fromStart and from the first one on while nobody else is connected; otherwise from any
   */
  readInOrder(neighbour: Neighbour, fromStart: boolean): void {
    this.#requester.readInOrder(neighbour, fromStart);
  }

  // Messages of a peer

  /** Bytes came, of whatever kind. */
  heard(neighbour: Neighbour, now: number): void {
    neighbour.hear(now);
  }

  keepAlive(neighbour: Neighbour): void {
    this.#idle(neighbour);
  }

  // Chokes and interests change something, but nobody has reason to change it often.

  choke(neighbour: Neighbour): void {
    this.#idle(neighbour);
    if (neighbour.peerChoking || !neighbour.connected) return;
    neighbour.setPeerChoking(true);
    this.#requester.choked(neighbour);
    this.#requester.fillAll(this.#context.clock.monotonic());
  }

  unchoke(neighbour: Neighbour): void {
    this.#idle(neighbour);
    if (!neighbour.peerChoking || !neighbour.connected) return;
    neighbour.setPeerChoking(false);
    this.#requester.unchoked(neighbour, this.#context.clock.monotonic());
  }

  interested(neighbour: Neighbour): void {
    this.#idle(neighbour);
    neighbour.setPeerInterested(true);
    this.#choker.admit(neighbour, this.#context.clock.monotonic());
  }

  notInterested(neighbour: Neighbour): void {
    this.#idle(neighbour);
    neighbour.setPeerInterested(false);
    if (neighbour.connected && !neighbour.choke.amChoking)
      this.#choker.admitAny(this.#context.clock.monotonic());
  }

  have(neighbour: Neighbour, piece: number): void {
    if (piece >= this.geometry.pieceCount) {
      this.drop(neighbour, `it has piece ${piece} of ${this.geometry.pieceCount}`);
      return;
    }
    if (!this.#holders.got(neighbour, piece)) {
      this.#idle(neighbour);
      return;
    }
    const now = this.#context.clock.monotonic();
    this.#direction.got(neighbour, piece, now);
    if (!this.#picker.isHeld(piece)) {
      this.#updateInterest(neighbour);
      this.#requester.fill(neighbour, now);
    }
    this.#dropIfUseless(neighbour);
  }

  /** The peer lost a piece (BEP 54). */
  lost(neighbour: Neighbour, piece: number): void {
    if (piece >= this.geometry.pieceCount) {
      this.drop(neighbour, `it lost piece ${piece} of ${this.geometry.pieceCount}`);
      return;
    }
    if (!neighbour.pieces.get(piece)) {
      this.#idle(neighbour);
      return;
    }
    if (!neighbour.flood.allowsLoss(this.#context.clock.monotonic())) {
      this.drop(neighbour, 'it loses pieces again and again');
      return;
    }
    this.#requester.lost(neighbour, piece);
    this.#holders.lost(neighbour, piece);
    if (this.#picker.isHeld(piece)) return;
    this.#updateInterest(neighbour);
    this.#requester.fillAll(this.#context.clock.monotonic());
  }

  /** `bits` is copied. */
  bitfield(neighbour: Neighbour, bits: Uint8Array): void {
    let pieces: Bitfield;
    try {
      pieces = Bitfield.fromBytes(bits, this.geometry.pieceCount);
    } catch (error) {
      this.drop(neighbour, error instanceof Error ? error.message : String(error));
      return;
    }
    this.#shown(neighbour, pieces);
  }

  haveAll(neighbour: Neighbour): void {
    this.#shown(neighbour, Bitfield.full(this.geometry.pieceCount));
  }

  haveNone(neighbour: Neighbour): void {
    this.#shown(neighbour, new Bitfield(this.geometry.pieceCount));
  }

  request(neighbour: Neighbour, piece: number, begin: number, length: number): void {
    if (!this.#uplink.requested(neighbour, piece, begin, length)) return;
    this.#direction.requested(neighbour, piece, this.#uplink.idleAt, this.#context.clock.monotonic());
  }

  cancel(neighbour: Neighbour, piece: number, begin: number, length: number): void {
    // To look through 2,000 requests for nothing is more work than to ask for it.
    if (!this.#uplink.cancelled(neighbour, piece, begin, length)) this.#idle(neighbour);
  }

  reject(neighbour: Neighbour, piece: number, begin: number, length: number): void {
    this.#requester.rejected(neighbour, piece, begin, length, this.#context.clock.monotonic());
  }

  /** A block has come; what becomes of it is the caller's to do, at once. */
  block(neighbour: Neighbour, piece: number, begin: number, length: number): BlockVerdict {
    return this.#requester.blockReceived(neighbour, piece, begin, length, this.#context.clock.monotonic());
  }

  suggest(neighbour: Neighbour, piece: number): void {
    if (piece >= this.geometry.pieceCount) {
      this.drop(neighbour, `it suggests piece ${piece} of ${this.geometry.pieceCount}`);
      return;
    }
    this.#requester.suggested(neighbour, piece, this.#context.clock.monotonic());
  }

  /** The peer lets us ask for the piece while it chokes us (BEP 6). */
  allowedFast(neighbour: Neighbour, piece: number): void {
    if (piece >= this.geometry.pieceCount) {
      this.drop(neighbour, `it allows piece ${piece} of ${this.geometry.pieceCount}`);
      return;
    }
    this.#idle(neighbour);
    if (!neighbour.connected) return;
    this.#requester.allowedFast(neighbour, piece, this.#context.clock.monotonic());
  }

  /** A block that was handed to a link cannot be read: the peer is refused it. */
  unsent(neighbour: Neighbour, piece: number, begin: number, length: number): void {
    if (neighbour.connected) this.#uplink.unsent(neighbour, piece, begin, length);
  }

  /** After a burst of messages: serves whoever can be served. */
  settle(): void {
    this.#uplink.serve(this.#context.clock.monotonic());
  }

  /** A block that was handed to a link has left. */
  uploaded(neighbour: Neighbour, bytes: number): void {
    const now = this.#context.clock.monotonic();
    neighbour.speak(now);
    if (!neighbour.connected) return;
    this.#uplink.uploaded(neighbour, bytes, now);
    this.#uplink.serve(now);
  }

  // What became of pieces

  /** True if pieceVerified() wants the digests of the piece's blocks. */
  wantsDigests(piece: number): boolean {
    return this.#evidence.isOpen(piece);
  }

  /** The piece passed its hash and is written. */
  pieceVerified(piece: number, blockDigests: readonly string[] = []): void {
    const { clock, host } = this.#context;
    const now = clock.monotonic();
    this.#picker.verified(piece);
    this.#requester.settled(piece);
    if (blockDigests.length > 0) this.#ban(this.#evidence.verified(piece, blockDigests));
    if (this.#holders.held(piece)) this.#updateInterestIn(piece);
    if (this.#unannounced.length === 0) host.wakeForHaves(HAVE_DELAY_MILLISECONDS);
    this.#unannounced.push(piece);
    if (!this.isComplete) {
      this.#requester.hashed(now);
      return;
    }
    this.flushHaves();
    host.completed();
    this.#direction.begin(now);
    for (const neighbour of [...this.#neighbours]) this.#dropIfUseless(neighbour);
  }

  /** The piece failed its hash; the digests are of its blocks as they came. */
  pieceCorrupt(piece: number, blockDigests: readonly string[]): void {
    const senders = this.#picker.sendersByBlock(piece);
    this.totals.corruptBytes += this.geometry.pieceLengthAt(piece);
    const guilty = this.#evidence.failed(piece, senders, blockDigests);
    this.#wantAgain(piece);
    if (guilty.length === 0) this.#requester.suspect(piece);
    this.#ban(guilty);
    this.#requester.fillAll(this.#context.clock.monotonic());
  }

  /** The piece could not be written: it is wanted again. */
  pieceUnwritten(piece: number): void {
    this.#wantAgain(piece);
  }

  /** A held piece is not on the disk any more: neighbours are told (BEP 54), or left, and it is wanted again. */
  pieceLost(piece: number): void {
    if (!this.#picker.isHeld(piece)) return;
    this.#picker.lost(piece);
    this.#direction.lost(piece);
    this.#unannounced = this.#unannounced.filter((other) => other !== piece);
    this.#holders.missing(piece);
    this.#updateInterestIn(piece);
    for (const neighbour of [...this.#neighbours]) {
      // Without BEP 6 it would wait for what it asked for.
      if (neighbour.fast && neighbour.link.dontHave(piece)) this.#uplink.withdraw(neighbour, piece);
      else this.drop(neighbour, 'it cannot be told that we lost a piece');
    }
    this.#requester.fillAll(this.#context.clock.monotonic());
  }

  /** Tells all neighbours of the pieces verified since the last time. */
  flushHaves(): void {
    if (this.#unannounced.length === 0) return;
    const pieces = this.#unannounced;
    this.#unannounced = [];
    const { clock, host, neighbours } = this.#context;
    this.#toldAllAt = clock.monotonic();
    if (host.tellAll?.(pieces)) return;
    for (const neighbour of neighbours) neighbour.link.haves(pieces);
  }

  // Time

  /** Every 100 ms: all time-outs, rounds and limits. */
  tick(): void {
    const { clock, neighbours } = this.#context;
    const now = clock.monotonic();
    for (const neighbour of [...neighbours]) this.#watch(neighbour, now);
    this.#choker.tick(now);
    this.#direction.tick(now);
    this.#requester.tick(now);
    this.#uplink.tick(now);
  }

  /** Takes requests back and chokes everybody; connections stay. */
  pause(): void {
    if (this.#context.paused) return;
    this.#context.paused = true;
    for (const neighbour of this.#context.neighbours) {
      this.#requester.cancelAll(neighbour);
      this.#updateInterest(neighbour);
    }
    this.#choker.chokeAll();
  }

  resume(): void {
    if (!this.#context.paused) return;
    this.#context.paused = false;
    const now = this.#context.clock.monotonic();
    for (const neighbour of this.#context.neighbours) {
      this.#updateInterest(neighbour);
      this.#direction.direct(neighbour, now);
      this.#choker.admit(neighbour, now);
    }
    this.#requester.fillAll(now);
  }

  #shown(neighbour: Neighbour, pieces: Bitfield): void {
    if (neighbour.availability.isShown) {
      this.#shownAgain(neighbour, pieces);
      return;
    }
    const now = this.#context.clock.monotonic();
    this.#uplink.brought(neighbour, pieces.count * this.geometry.pieceLength);
    this.#holders.shown(neighbour, pieces);
    this.#direction.shown(neighbour, now);
    this.#updateInterest(neighbour);
    this.#requester.fill(neighbour, now);
    this.#dropIfUseless(neighbour);
  }

  /** BEP 3 knows no second bitfield; aria2 sends one where it would have many HAVEs to send. */
  #shownAgain(neighbour: Neighbour, pieces: Bitfield): void {
    let isNews = false;
    for (let piece = pieces.nextSet(0); piece >= 0; piece = pieces.nextSet(piece + 1)) {
      if (neighbour.pieces.get(piece)) continue;
      isNews = true;
      this.have(neighbour, piece);
      if (!neighbour.connected) return;
    }
    if (!isNews) this.#idle(neighbour);
  }

  /** We are interested in who has something that we lack. */
  #updateInterest(neighbour: Neighbour): void {
    const interested = neighbour.availability.useful > 0 && !this.#context.paused;
    if (interested === neighbour.amInterested) return;
    neighbour.setInterested(interested);
    if (interested) neighbour.link.interested();
    else neighbour.link.notInterested();
  }

  /** The same of all who have the piece. */
  #updateInterestIn(piece: number): void {
    const holders = this.#holders;
    for (let slot = holders.next(piece, 0); slot >= 0; slot = holders.next(piece, slot + 1)) {
      this.#updateInterest(holders.at(slot));
    }
  }

  /** Two that have everything, or want no more (BEP 21), have nothing to say to each other. */
  #dropIfUseless(neighbour: Neighbour): void {
    if (!this.isComplete) return;
    if (neighbour.isSeed) this.drop(neighbour, 'both have every piece');
    else if (neighbour.uploadOnly) this.drop(neighbour, 'both only upload');
  }

  #wantAgain(piece: number): void {
    this.#picker.failed(piece);
    this.#holders.wantedAgain(piece);
  }

  #ban(guilty: readonly number[]): void {
    for (const number of guilty) {
      const identity = this.#identities.nameOf(number);
      if (identity === undefined) continue;
      const reason = 'it sent bytes that failed their hash';
      for (const neighbour of [...this.#context.neighbours]) {
        if (neighbour.identity === identity) this.drop(neighbour, reason);
      }
      this.#context.host.banned(identity, reason);
    }
  }

  /** A message that says nothing new, or may say it only so often. */
  #idle(neighbour: Neighbour): void {
    if (neighbour.flood.allowsIdle(this.#context.clock.monotonic())) return;
    this.drop(neighbour, 'it floods us with messages that say nothing');
  }

  #watch(neighbour: Neighbour, now: number): void {
    const { policy } = neighbour;
    const silent = now - neighbour.heardAt;
    if (silent > policy.silenceMilliseconds) {
      this.drop(neighbour, `it has been silent for ${Math.round(silent / 1000)} s`);
      return;
    }
    const owing = Math.min(silent, now - neighbour.download.waitingSince);
    if (neighbour.download.outstandingCount > 0 && neighbour.ownAgent && owing > policy.owingMilliseconds) {
      this.drop(neighbour, `it owes blocks and has been silent for ${Math.round(silent / 1000)} s`);
      return;
    }
    const owes = neighbour.upload.requests.size > 0;
    const longest = owes ? OWING_KEEP_ALIVE_MILLISECONDS : policy.keepAliveMilliseconds;
    if (now - Math.max(neighbour.spokeAt, this.#toldAllAt) > longest) {
      neighbour.speak(now);
      neighbour.link.keepAlive();
    }
  }
}
