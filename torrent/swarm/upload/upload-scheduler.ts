// Whom we serve now. Invariants: requests wait here and not in a socket: what is handed to one link, and to all of
// them, is bounded by a moment of their rate, so that a CANCEL, a turn and a limit still mean something; those who
// wait stand in `#waiting`, each once; `#handedBytes` counts what links that move have not sent yet.
import type { SwarmContext } from '../context.ts';
import type { UploadPeer } from '../peers/peer.ts';
import { TransferRate } from '../transfer-rate.ts';
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
} from '../tunables.ts';
import { fastSet, fastSetSize } from './fast-set.ts';
import { FirstCopies } from './first-copies.ts';

/**
 * A seed of so many peers sends a piece in one go: in turns, the first piece would be out only when all the
 * first ones are. Fewer peers are better off with a block each in turn.
 */
const MANY_PEERS = 25;

/** The serving side of a torrent. */
export class UploadScheduler {
  readonly #context: SwarmContext<UploadPeer>;
  readonly #largestRequest: number;
  readonly #rate = new TransferRate(RATE_WINDOW_MILLISECONDS);
  /** Those whose requests wait, in no order. */
  readonly #waiting: UploadPeer[] = [];
  readonly #firstCopies: FirstCopies;
  readonly #infoHash: Uint8Array | undefined;
  #handedBytes = 0;
  #turn = 0;
  /** Turns of own agents and of others while both waited, in shares of one of them; the lesser is 0. */
  #ownTurns = 0;
  #otherTurns = 0;
  #idleAt = Number.NEGATIVE_INFINITY;

  constructor(context: SwarmContext<UploadPeer>, largestRequest: number, infoHash: Uint8Array | undefined) {
    this.#context = context;
    this.#largestRequest = largestRequest;
    this.#infoHash = infoHash;
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
  requested(peer: UploadPeer, piece: number, begin: number, length: number): boolean {
    const { geometry, picker } = this.#context;
    if (piece >= geometry.pieceCount || length === 0 || begin + length > geometry.pieceLengthAt(piece)) {
      this.#context.drop(peer, `it asked for ${length} bytes at ${begin} of piece ${piece}`);
      return false;
    }
    if (length > this.#largestRequest) {
      this.#context.drop(peer, `it asked for a block of ${length} bytes`);
      return false;
    }
    const isFull = peer.upload.requests.size >= MAX_QUEUED_REQUESTS;
    const isRefused = peer.choke.amChoking && !this.#isAllowed(peer, piece, length);
    if (isRefused || isFull || !picker.isHeld(piece)) {
      if (peer.fast) peer.link.reject(piece, begin, length);
      else if (isFull) this.#context.drop(peer, 'it asked for more than it was told that we let wait');
      return peer.connected;
    }
    if (this.#waiting.length === 0 && this.#handedBytes === 0) this.#idleAt = this.#context.clock.monotonic();
    peer.upload.requests.push(piece, begin, length);
    this.#noteWaiting(peer);
    return true;
  }

  /**
   * A peer takes a request back. What was handed to the link already is sent all the same. False if we looked through
   * what it waits for and it was not there.
   */
  cancelled(peer: UploadPeer, piece: number, begin: number, length: number): boolean {
    if (peer.upload.requests.size === 0) return true;
    if (piece > 0x7fffffff || begin > 0x7fffffff || length > 0x7fffffff) return false;
    if (!peer.upload.requests.remove(piece, begin, length)) return false;
    if (peer.fast) peer.link.reject(piece, begin, length);
    return true;
  }

  /** True if a choked peer may have the block all the same (BEP 6), as long as it has few pieces itself. */
  #isAllowed(peer: UploadPeer, piece: number, length: number): boolean {
    const { pieces, upload } = peer;
    const { allowedFast } = upload;
    if (this.#context.paused || !allowedFast.includes(piece)) return false;
    return pieces.count < allowedFast.length && upload.spendAllowed(length);
  }

  /** Forgets what a peer waits for: it is choked or gone. What it may have while choked stays (BEP 6). */
  refuseAll(peer: UploadPeer): void {
    const { requests } = peer.upload;
    for (let left = requests.size; left > 0; left--) {
      const { firstPiece: piece, firstBegin: begin, firstLength: length } = requests;
      if (peer.connected && this.#isAllowed(peer, piece, length)) {
        requests.shift();
        requests.push(piece, begin, length);
        continue;
      }
      if (peer.fast && peer.connected) {
        peer.link.reject(requests.firstPiece, requests.firstBegin, requests.firstLength);
      }
      requests.shift();
    }
    this.#noteWaiting(peer);
  }

  /** The peer is gone: what was handed to its link counts no more. */
  gone(peer: UploadPeer): void {
    this.refuseAll(peer);
    const { upload } = peer;
    if (!upload.isStuck) this.#handedBytes -= upload.handedBytes;
    upload.unsent(upload.handedBytes);
  }

  /** What was handed to links that move no more does not keep others waiting. */
  tick(now: number): void {
    for (const { upload } of this.#context.peers) {
      if (upload.handedBytes === 0 || upload.isStuck) continue;
      if (now - upload.leftAt < STUCK_MILLISECONDS) continue;
      upload.stick();
      this.#handedBytes -= upload.handedBytes;
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
  unsent(peer: UploadPeer, piece: number, begin: number, length: number): void {
    peer.upload.unsent(length);
    if (!peer.upload.isStuck) this.#handedBytes -= length;
    if (peer.fast) peer.link.reject(piece, begin, length);
    else this.#context.drop(peer, 'a block for it could not be read');
  }

  /** What a peer (which speaks BEP 6) waits for of a piece is refused. */
  withdraw(peer: UploadPeer, piece: number): void {
    const { requests } = peer.upload;
    for (let left = requests.size; left > 0; left--) {
      const { firstPiece, firstBegin, firstLength } = requests;
      requests.shift();
      if (firstPiece === piece) peer.link.reject(piece, firstBegin, firstLength);
      else requests.push(firstPiece, firstBegin, firstLength);
    }
    this.#noteWaiting(peer);
  }

  /** A block has left. */
  uploaded({ upload }: UploadPeer, bytes: number, now: number): void {
    if (upload.isStuck) this.#handedBytes += upload.handedBytes;
    upload.left(bytes, now);
    this.#handedBytes -= bytes;
    this.#rate.add(bytes, now);
    this.#context.totals.uploadedBytes += bytes;
  }

  /** Who is served next, of those that wait and whose link has room: own agents and others take turns. Hot. */
  #next(now: number): UploadPeer | undefined {
    const { picker } = this.#context;
    const waiting = this.#waiting;
    const inOneGo = picker.have.isFull && this.#context.peers.length >= MANY_PEERS;
    let own: UploadPeer | undefined;
    let other: UploadPeer | undefined;
    let owns = 0;
    for (let i = 0; i < waiting.length; i++) {
      const peer = waiting[i] as UploadPeer;
      if (peer.ownAgent) owns++;
      const chosen = peer.ownAgent ? own : other;
      if (chosen !== undefined && !peer.policy.servesBefore(peer, chosen, inOneGo)) continue;
      if (peer.link.pendingBytes >= MIN_HANDED_BYTES && peer.link.pendingBytes >= this.#mostHanded(peer, now))
        continue;
      if (peer.ownAgent) own = peer;
      else other = peer;
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

  /** The peer came with so much, or had been sent it before. */
  brought(peer: UploadPeer, bytes: number): void {
    peer.upload.bring(bytes);
  }

  /** Lets the peer ask for a few pieces while it is choked (BEP 6). Nothing if it was let before. */
  allowFast(peer: UploadPeer): void {
    const { fast, identity, link, upload } = peer;
    if (this.#infoHash === undefined || !fast || upload.allowedFast.length > 0) return;
    const { geometry, picker } = this.#context;
    const { pieceCount, pieceLength } = geometry;
    const set = fastSet(this.#infoHash, identity, pieceCount, fastSetSize(pieceLength));
    const pieces = set.filter((piece) => picker.isHeld(piece));
    // A request may come twice, where the first answer was lost with a choke.
    upload.allow(pieces, 2 * pieces.length * pieceLength);
    for (const piece of pieces) link.allowedFast(piece);
  }

  #mostHanded(peer: UploadPeer, now: number): number {
    const moment = peer.upload.rate(now) * HANDED_MILLISECONDS;
    return Math.min(MAX_HANDED_BYTES, Math.max(MIN_HANDED_BYTES, moment));
  }

  #serveOne(peer: UploadPeer, now: number): void {
    const { geometry, host, picker } = this.#context;
    const { upload } = peer;
    const { requests } = upload;
    // Where the seed directs, it is asked for what it wants to send.
    const ordersFirstCopies = !peer.policy.directed && picker.have.isFull && !this.#firstCopies.isOver;
    upload.beginTurn(++this.#turn);
    let bytes = Math.min(
      Math.max(1, this.#rate.perMillisecond(now) * TURN_MILLISECONDS),
      this.#mostHanded(peer, now) - peer.link.pendingBytes,
    );
    for (let blocks = 0; blocks < TURN_BLOCKS && bytes > 0 && requests.size > 0; blocks++) {
      if (ordersFirstCopies) {
        this.#firstCopies.choose(requests);
        this.#firstCopies.handed(requests.firstPiece, requests.firstBegin);
      }
      const length = requests.firstLength;
      bytes -= length;
      host.spendUpload(length);
      upload.noteServed(requests.firstPiece, length, geometry.pieceLengthAt(requests.firstPiece));
      upload.hand(length, now);
      if (!upload.isStuck) this.#handedBytes += length;
      peer.link.sendBlock(requests.firstPiece, requests.firstBegin, length);
      requests.shift();
      if (!host.mayUpload(now)) break;
    }
    this.#noteWaiting(peer);
  }

  /** Keeps the list of those who wait. */
  #noteWaiting(peer: UploadPeer): void {
    const waits = peer.upload.requests.size > 0 && peer.connected;
    const { waitingAt } = peer.upload;
    if (waits === waitingAt >= 0) return;
    if (waits) {
      peer.upload.waitAt(this.#waiting.length);
      this.#waiting.push(peer);
      return;
    }
    const last = this.#waiting.pop() as UploadPeer;
    if (last !== peer) {
      this.#waiting[waitingAt] = last;
      last.upload.waitAt(waitingAt);
    }
    peer.upload.waitAt(-1);
  }
}
