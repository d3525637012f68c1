// Whom we serve now. Invariants: requests wait here and not in a socket: what is handed to one link, and to all of
// them, is bounded by a moment of their rate, so that a CANCEL, a turn and a limit still mean something; those who
// wait stand in `#waiting`, each once; `#handedBytes` counts what links that move have not sent yet.
import type { SwarmContext } from './context.ts';
import { FirstCopies } from './first-copies.ts';
import type { Neighbour } from './neighbour.ts';
import { TransferRate } from './transfer-rate.ts';
import {
  ALL_HANDED_MILLISECONDS,
  HANDED_MILLISECONDS,
  LEAST_ALL_HANDED_BYTES,
  MAX_HANDED_BYTES,
  MAX_QUEUED_REQUESTS,
  MIN_HANDED_BYTES,
  RATE_WINDOW_MILLISECONDS,
  STUCK_MILLISECONDS,
  TURN_BLOCKS,
  TURN_MILLISECONDS,
} from './tunables.ts';

/**
 * A seed of so many neighbours sends a piece in one go: in turns, the first piece would be out only when all the
 * first ones are. Fewer neighbours are better off with a block each in turn.
 */
const MANY_NEIGHBOURS = 25;

/** The serving side of a torrent. */
export class Uplink {
  readonly #context: SwarmContext;
  readonly #largestRequest: number;
  readonly #rate = new TransferRate(RATE_WINDOW_MILLISECONDS);
  /** Those whose requests wait, in no order. */
  readonly #waiting: Neighbour[] = [];
  readonly #firstCopies: FirstCopies;
  #handedBytes = 0;
  #turn = 0;
  /** Turns of own agents and of others while both waited, in shares of one of them; the lesser is 0. */
  #ownTurns = 0;
  #otherTurns = 0;
  #idleAt = Number.NEGATIVE_INFINITY;

  constructor(context: SwarmContext, largestRequest: number) {
    this.#context = context;
    this.#largestRequest = largestRequest;
    this.#firstCopies = new FirstCopies(context.geometry);
  }

  /** When it last had nothing to send. */
  get idleAt(): number {
    return this.#idleAt;
  }

  /** Bytes per millisecond that leave. */
  rate(now: number): number {
    return this.#rate.perMillisecond(now);
  }

  /** A peer asks for a block. False if it broke the protocol by that and has been dropped. */
  requested(neighbour: Neighbour, piece: number, begin: number, length: number): boolean {
    const { geometry, picker } = this.#context;
    if (piece >= geometry.pieceCount || length === 0 || begin + length > geometry.pieceLengthAt(piece)) {
      this.#context.drop(neighbour, `it asked for ${length} bytes at ${begin} of piece ${piece}`);
      return false;
    }
    if (length > this.#largestRequest) {
      this.#context.drop(neighbour, `it asked for a block of ${length} bytes`);
      return false;
    }
    const isFull = neighbour.requests.size >= MAX_QUEUED_REQUESTS;
    const isRefused = neighbour.amChoking && !this.#isGranted(neighbour, piece, length);
    if (isRefused || isFull || !picker.isHeld(piece)) {
      if (neighbour.fast) neighbour.link.reject(piece, begin, length);
      else if (isFull) this.#context.drop(neighbour, 'it asked for more than it was told that we let wait');
      return neighbour.connected;
    }
    if (this.#waiting.length === 0 && this.#handedBytes === 0) this.#idleAt = this.#context.clock.monotonic();
    neighbour.requests.push(piece, begin, length);
    this.#noteWaiting(neighbour);
    return true;
  }

  /**
   * A peer takes a request back. What was handed to the link already is sent all the same. False if we looked through
   * what it waits for and it was not there.
   */
  cancelled(neighbour: Neighbour, piece: number, begin: number, length: number): boolean {
    if (neighbour.requests.size === 0) return true;
    if (piece > 0x7fffffff || begin > 0x7fffffff || length > 0x7fffffff) return false;
    if (!neighbour.requests.remove(piece, begin, length)) return false;
    if (neighbour.fast) neighbour.link.reject(piece, begin, length);
    return true;
  }

  /** True if a choked peer may have the block all the same (BEP 6), as long as it has few pieces itself. */
  #isGranted(neighbour: Neighbour, piece: number, length: number): boolean {
    const { granted, pieces } = neighbour;
    if (this.#context.paused || !granted.includes(piece)) return false;
    if (pieces.count >= granted.length || neighbour.grantedBytes < length) return false;
    neighbour.grantedBytes -= length;
    return true;
  }

  /** Forgets what a peer waits for: it is choked or gone. What it may have while choked stays (BEP 6). */
  refuseAll(neighbour: Neighbour): void {
    const { requests } = neighbour;
    for (let left = requests.size; left > 0; left--) {
      const { firstPiece: piece, firstBegin: begin, firstLength: length } = requests;
      if (neighbour.connected && this.#isGranted(neighbour, piece, length)) {
        requests.shift();
        requests.push(piece, begin, length);
        continue;
      }
      if (neighbour.fast && neighbour.connected) {
        neighbour.link.reject(requests.firstPiece, requests.firstBegin, requests.firstLength);
      }
      requests.shift();
    }
    this.#noteWaiting(neighbour);
  }

  /** The peer is gone: what was handed to its link counts no more. */
  gone(neighbour: Neighbour): void {
    this.refuseAll(neighbour);
    if (!neighbour.isStuck) this.#handedBytes -= neighbour.handedBytes;
    neighbour.handedBytes = 0;
  }

  /** What was handed to links that move no more does not keep others waiting. */
  tick(now: number): void {
    for (const neighbour of this.#context.neighbours) {
      if (neighbour.handedBytes === 0 || neighbour.isStuck) continue;
      if (now - neighbour.leftAt < STUCK_MILLISECONDS) continue;
      neighbour.isStuck = true;
      this.#handedBytes -= neighbour.handedBytes;
    }
    this.serve(now);
  }

  /** Hands blocks to links, turn after turn, as long as somebody waits who has room and the limits allow. Hot. */
  serve(now: number): void {
    const { host, paused } = this.#context;
    if (paused || this.#waiting.length === 0) return;
    const most = Math.max(LEAST_ALL_HANDED_BYTES, this.#rate.perMillisecond(now) * ALL_HANDED_MILLISECONDS);
    while (this.#handedBytes < most && host.mayUpload(now)) {
      const chosen = this.#next(now);
      if (chosen === undefined) return;
      this.#serveOne(chosen, now);
    }
  }

  /** A block that was handed to the link cannot be read. */
  unsent(neighbour: Neighbour, piece: number, begin: number, length: number): void {
    neighbour.handedBytes -= length;
    if (!neighbour.isStuck) this.#handedBytes -= length;
    if (neighbour.fast) neighbour.link.reject(piece, begin, length);
    else this.#context.drop(neighbour, 'a block for it could not be read');
  }

  /** What a peer (which speaks BEP 6) waits for of a piece is refused. */
  withdraw(neighbour: Neighbour, piece: number): void {
    const { requests } = neighbour;
    for (let left = requests.size; left > 0; left--) {
      const { firstPiece, firstBegin, firstLength } = requests;
      requests.shift();
      if (firstPiece === piece) neighbour.link.reject(piece, firstBegin, firstLength);
      else requests.push(firstPiece, firstBegin, firstLength);
    }
    this.#noteWaiting(neighbour);
  }

  /** A block has left. */
  uploaded(neighbour: Neighbour, bytes: number, now: number): void {
    if (neighbour.isStuck) this.#handedBytes += neighbour.handedBytes;
    neighbour.isStuck = false;
    neighbour.handedBytes -= bytes;
    this.#handedBytes -= bytes;
    neighbour.leftAt = now;
    neighbour.uploadedBytes += bytes;
    this.#noteServed(neighbour);
    neighbour.sendRate.add(bytes, now);
    neighbour.sentInRounds[0] = (neighbour.sentInRounds[0] as number) + bytes;
    this.#rate.add(bytes, now);
    this.#context.totals.uploadedBytes += bytes;
  }

  /** Who is served next, of those that wait and whose link has room: own agents and others take turns. Hot. */
  #next(now: number): Neighbour | undefined {
    const { picker } = this.#context;
    const waiting = this.#waiting;
    const inOneGo = picker.have.isFull && this.#context.neighbours.length >= MANY_NEIGHBOURS;
    let own: Neighbour | undefined;
    let other: Neighbour | undefined;
    let owns = 0;
    for (let i = 0; i < waiting.length; i++) {
      const neighbour = waiting[i] as Neighbour;
      if (neighbour.ownAgent) owns++;
      const chosen = neighbour.ownAgent ? own : other;
      if (chosen !== undefined && !neighbour.policy.servesBefore(neighbour, chosen, inOneGo)) continue;
      if (
        neighbour.link.pendingBytes >= MIN_HANDED_BYTES &&
        neighbour.link.pendingBytes >= this.#mostHanded(neighbour, now)
      )
        continue;
      if (neighbour.ownAgent) own = neighbour;
      else other = neighbour;
    }
    if (own === undefined || other === undefined) return own ?? other;
    // Each of them is worth as much as another: the more wait of one kind, the more turns it has.
    const isOwn = this.#ownTurns <= this.#otherTurns;
    if (isOwn) this.#ownTurns += 1 / owns;
    else this.#otherTurns += 1 / (waiting.length - owns);
    const least = Math.min(this.#ownTurns, this.#otherTurns);
    this.#ownTurns -= least;
    this.#otherTurns -= least;
    return isOwn ? own : other;
  }

  /** The neighbour came with so much, or had been sent it before. */
  brought(neighbour: Neighbour, bytes: number): void {
    neighbour.broughtBytes = Math.max(neighbour.broughtBytes, bytes);
    this.#noteServed(neighbour);
  }

  /** Who never says what it has, or says that it lost it, is no more in need than what it was sent allows. Hot. */
  #noteServed(neighbour: Neighbour): void {
    const { totalBytes } = this.#context.geometry;
    const bytes = Math.min(totalBytes, neighbour.broughtBytes + neighbour.uploadedBytes);
    neighbour.servedSixteenths = Math.trunc((16 * bytes) / totalBytes);
  }

  /** Who asks for one piece again and again goes on with it for no longer than others do. */
  #noteServedPiece(neighbour: Neighbour, piece: number, bytes: number): void {
    const before = piece === neighbour.servedPiece ? neighbour.servedPieceBytes : 0;
    neighbour.servedPieceBytes = before + bytes;
    const isWhole = neighbour.servedPieceBytes >= this.#context.geometry.pieceLengthAt(piece);
    neighbour.servedPiece = isWhole ? -1 : piece;
  }

  #mostHanded(neighbour: Neighbour, now: number): number {
    const moment = neighbour.sendRate.perMillisecond(now) * HANDED_MILLISECONDS;
    return Math.min(MAX_HANDED_BYTES, Math.max(MIN_HANDED_BYTES, moment));
  }

  #serveOne(neighbour: Neighbour, now: number): void {
    const { host, picker } = this.#context;
    const { requests } = neighbour;
    // Where the seed directs, it is asked for what it wants to send.
    const ordersFirstCopies = !neighbour.policy.directed && picker.have.isFull && !this.#firstCopies.isOver;
    neighbour.servedAt = ++this.#turn;
    let bytes = Math.min(
      Math.max(1, this.#rate.perMillisecond(now) * TURN_MILLISECONDS),
      this.#mostHanded(neighbour, now) - neighbour.link.pendingBytes,
    );
    for (let blocks = 0; blocks < TURN_BLOCKS && bytes > 0 && requests.size > 0; blocks++) {
      if (ordersFirstCopies) {
        this.#firstCopies.choose(requests);
        this.#firstCopies.handed(requests.firstPiece, requests.firstBegin);
      }
      const length = requests.firstLength;
      bytes -= length;
      host.spendUpload(length);
      this.#noteServedPiece(neighbour, requests.firstPiece, length);
      if (neighbour.handedBytes === 0) neighbour.leftAt = now;
      neighbour.handedBytes += length;
      if (!neighbour.isStuck) this.#handedBytes += length;
      neighbour.link.sendBlock(requests.firstPiece, requests.firstBegin, length);
      requests.shift();
      if (!host.mayUpload(now)) break;
    }
    this.#noteWaiting(neighbour);
  }

  /** Keeps the list of those who wait. */
  #noteWaiting(neighbour: Neighbour): void {
    const waits = neighbour.requests.size > 0 && neighbour.connected;
    if (waits === neighbour.waitingAt >= 0) return;
    if (waits) {
      neighbour.waitingAt = this.#waiting.length;
      this.#waiting.push(neighbour);
      return;
    }
    const last = this.#waiting.pop() as Neighbour;
    if (last !== neighbour) {
      this.#waiting[neighbour.waitingAt] = last;
      last.waitingAt = neighbour.waitingAt;
    }
    neighbour.waitingAt = -1;
  }
}
