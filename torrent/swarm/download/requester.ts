// What we ask of whom: pipelining, endgame, and what happens to requests that are not answered. Invariants:
// outside endgame a block is asked of one peer at most; a block that was asked for is here, asked for, or
// free to be asked for again, whatever became of the peer.
// Hot: fill() and blockReceived() once a block; they allocate nothing.
import type { SwarmContext } from '../context.ts';
import type { BlockVerdict } from '../host.ts';
import type { DownloadPeer } from '../peers/peer.ts';
import type { PieceSet } from '../pieces/rarity-order.ts';
import type { StartedPiece } from '../pieces/started-piece.ts';
import {
  ENDGAME_COPIES,
  FIRST_REQUESTED_BYTES,
  LEAST_REQUESTED_BYTES,
  MAX_STARTED_BYTES,
  MAX_STARTED_PER_PEER,
  MAX_UNSOLICITED_BLOCKS,
  MAX_VERIFYING_BYTES,
  READ_AHEAD_BYTES,
  STALL_FACTOR,
  STALL_MILLISECONDS,
  STARTED_BYTES,
  STARTED_PER_PEER,
} from '../tunables.ts';
import type { ReadingOrder } from './peer-download.ts';
import { SuspectPieces } from './suspect-pieces.ts';

/** A peer asks for second copies only while it has less than this outstanding. */
const ENDGAME_REQUESTS = 2;

/** Before a peer's first block nothing is known of its rate, and it may be busy with others. */
const FIRST_BLOCK_MILLISECONDS = 3000;

/** A peer that refuses a request though it unchoked us is left alone for this long. */
const REST_AFTER_REJECT_MILLISECONDS = 1000;

/**
 * A peer that snubbed us and does not answer its one request either is left alone for as long as it had. More than
 * the time after which a policy drops an own agent that owes blocks.
 */
const SNUBBED_REST_MILLISECONDS = 12_000;

/** So few peers have to answer without pauses; more fill each other's. */
const FEW_GIVERS = 10;

/** A suggestion takes at most so many of the seed's answers to come, or so long: then we choose ourselves. */
const SUGGESTION_WAIT_RESPONSES = 3;
const MIN_SUGGESTION_WAIT_MILLISECONDS = 100;

/** The requesting side of a torrent. */
export class Requester {
  readonly #context: SwarmContext<DownloadPeer>;
  readonly #suspects: SuspectPieces;
  readonly #mostVerifying: number;
  readonly #leastRequested: number;
  #sharers = 1;
  /** Something was not asked for because too many pieces wait for their hash. */
  #waitsForHash = false;

  constructor(context: SwarmContext<DownloadPeer>) {
    this.#context = context;
    this.#suspects = new SuspectPieces(context);
    const { blockBytes } = context.geometry;
    this.#leastRequested = Math.max(1, Math.trunc(LEAST_REQUESTED_BYTES / blockBytes));
    // A piece that is shorter than a block costs as much beside its bytes.
    const pieceBytes = Math.max(context.geometry.pieceLength, blockBytes);
    this.#mostVerifying = Math.max(2, Math.trunc(MAX_VERIFYING_BYTES / pieceBytes));
  }

  /** A peer has come. */
  enter({ download }: DownloadPeer): void {
    download.beginWindow(FIRST_REQUESTED_BYTES / this.#context.geometry.blockBytes);
  }

  /**
   * The peer gives pieces in their order for less than others, as a web server does: it is asked for them so.
   *
   * @param fromStart and from the first one on while nobody else is connected; otherwise from any
   */
  readInOrder({ download }: DownloadPeer, fromStart: boolean): void {
    download.readInOrder(fromStart);
    download.beginWindow(READ_AHEAD_BYTES / this.#context.geometry.blockBytes);
  }

  /** Asks a peer for as much as it should have outstanding. */
  fill(peer: DownloadPeer, now: number): void {
    const { host, picker, paused } = this.#context;
    const { download } = peer;
    if (paused || peer.availability.useful === 0 || !peer.connected) return;
    if (peer.peerChoking && download.allowedFast.length === 0) return;
    if (download.rests(now)) return;
    const most = this.#mostOutstanding(peer);
    while (download.outstandingCount < most) {
      if (picker.verifyingCount >= this.#mostVerifying) {
        this.#waitsForHash = true;
        return;
      }
      if (!host.mayDownload(now)) return;
      const block = peer.peerChoking ? this.#chooseFast(peer, now) : this.#choose(peer, now);
      if (block < 0) return;
      this.#request(peer, block, now);
    }
  }

  /** Counts among whom is shared what is asked for. */
  countGivers(): void {
    let unchoking = 0;
    for (const peer of this.#context.peers) if (!peer.peerChoking) unchoking++;
    this.#sharers = Math.max(1, unchoking);
  }

  /** Asks every peer that has room, the fastest first. */
  fillAll(now: number): void {
    const { peers, picker } = this.#context;
    if (picker.have.isFull) return;
    if (!picker.isEndgame) {
      for (let i = 0; i < peers.length; i++) this.fill(peers[i] as DownloadPeer, now);
      return;
    }
    const bySpeed = peers
      .filter((peer) => !peer.peerChoking && peer.availability.useful > 0)
      .sort((a, b) => b.download.rate(now) - a.download.rate(now));
    for (const peer of bySpeed) this.fill(peer, now);
  }

  /** A block has come. */
  blockReceived(peer: DownloadPeer, piece: number, begin: number, length: number, now: number): BlockVerdict {
    const { geometry, picker, totals } = this.#context;
    const { download } = peer;
    download.received(length, now);
    totals.downloadedBytes += length;
    const block = geometry.blockAt(piece, begin, length);
    const asked = block >= 0 && download.settle(block);
    if (asked) this.#gotBlock(peer, now);
    else if (!download.tolerates(block)) {
      totals.duplicateBytes += length;
      if (download.unsolicited > MAX_UNSOLICITED_BLOCKS) {
        this.#context.drop(peer, 'it sent blocks that nobody had asked for');
      }
      return 'discard';
    }
    const place = block % geometry.blocksPerPiece;
    const started = picker.startedPiece(piece);
    const copies = started?.copies(place) ?? 0;
    let verdict: BlockVerdict = 'discard';
    if (
      started === undefined ||
      started.isHere(place) ||
      (started.exclusive && started.starter !== peer.number)
    ) {
      totals.duplicateBytes += length;
    } else {
      picker.received(piece, place, peer.identityNumber);
      if (copies > (asked ? 1 : 0)) this.#cancelElsewhere(peer, block, now);
      verdict = picker.isVerifying(piece) ? 'finish' : 'keep';
    }
    this.fill(peer, now);
    return verdict;
  }

  /** The peer refuses a request (BEP 6). */
  rejected(peer: DownloadPeer, piece: number, begin: number, length: number, now: number): void {
    const block = this.#context.geometry.blockAt(piece, begin, length);
    const { download } = peer;
    if (block < 0 || !download.settle(block)) return;
    this.#release(block);
    this.#context.host.refundDownload(length);
    // A refusal that was not announced by a choke: asking again at once would go round in a circle.
    if (!peer.peerChoking) download.rest(now + REST_AFTER_REJECT_MILLISECONDS);
    else download.disallow(piece);
    this.#passOnOf(peer, piece);
  }

  /** The peer chokes us: what it refuses is asked elsewhere. */
  choked(peer: DownloadPeer): void {
    // Under BEP 6 each request is refused by a message of its own; without it all are lost.
    if (peer.fast) this.#passOnAll(peer);
    else this.releaseAll(peer);
  }

  /** The peer lets us ask. */
  unchoked(peer: DownloadPeer, now: number): void {
    peer.download.unchoked(now);
    this.countGivers();
    this.fill(peer, now);
  }

  /** The peer lets us ask for the piece while it chokes us (BEP 6). */
  allowedFast(peer: DownloadPeer, piece: number, now: number): void {
    if (peer.download.allow(piece)) this.fill(peer, now);
  }

  /** Nothing that is outstanding at the peer will come. */
  releaseAll(peer: DownloadPeer): void {
    const { geometry, host } = this.#context;
    const { download } = peer;
    for (let i = 0; i < download.outstandingCount; i++) {
      const block = download.outstandingAt(i);
      this.#release(block);
      host.refundDownload(geometry.lengthOf(block));
    }
    download.clear();
    this.#passOnAll(peer);
  }

  /** The peer has lost the piece: nothing of it that is outstanding there will come. */
  lost(peer: DownloadPeer, piece: number): void {
    this.#releasePiece(peer, piece, false);
    this.#passOnOf(peer, piece);
  }

  /** Cancels what is outstanding at the peer; what comes all the same is welcome. */
  cancelAll(peer: DownloadPeer): void {
    const { geometry } = this.#context;
    const { download } = peer;
    for (let i = 0; i < download.outstandingCount; i++) {
      const block = download.outstandingAt(i);
      peer.link.cancel(geometry.pieceOf(block), geometry.beginOf(block), geometry.lengthOf(block));
    }
    download.expectCancelled();
    this.releaseAll(peer);
  }

  /** A peer suggests a piece (BEP 6). */
  suggested(peer: DownloadPeer, piece: number, now: number): void {
    if (!peer.policy.directed) return;
    peer.download.suggest(piece, now);
    this.fill(peer, now);
  }

  /** The piece failed its hash and several had a part in it. */
  suspect(piece: number): void {
    this.#suspects.add(piece);
  }

  /** The piece is held. */
  settled(piece: number): void {
    if (this.#suspects.size > 0) this.#suspects.settled(piece);
  }

  /** A piece waits for its hash no more: asks for what had to wait for that. Hot. */
  hashed(now: number): void {
    if (!this.#waitsForHash && !this.#context.picker.isEndgame) return;
    this.#waitsForHash = false;
    this.fillAll(now);
  }

  /** Asks elsewhere for what a silent peer owes. */
  tick(now: number): void {
    const { peers, totals } = this.#context;
    let released = false;
    this.countGivers();
    if (this.#suspects.size > 0) for (const started of this.#suspects.overdue(now)) this.#passOn(started);
    for (const peer of peers) {
      const { download } = peer;
      if (download.outstandingCount === 0) continue;
      if (now - download.waitingSince <= this.#patience(peer, now)) continue;
      totals.stalledRequests += download.outstandingCount;
      this.cancelAll(peer);
      download.snubbed(now + SNUBBED_REST_MILLISECONDS);
      released = true;
    }
    if (!released) {
      this.fillAll(now);
      return;
    }
    // The others first; then each of the silent ones is asked for one block, to see whether it lives.
    for (const peer of peers) if (!peer.download.isSnubbed) this.fill(peer, now);
    for (const peer of peers) if (peer.download.isSnubbed) this.fill(peer, now);
  }

  /** How many blocks the peer should owe us. Hot. */
  #mostOutstanding(peer: DownloadPeer): number {
    const { geometry, host, peers, picker } = this.#context;
    const { download, policy } = peer;
    const { outstandingCount } = download;
    let most = Math.min(download.windowBlocks, peer.requestQueue);
    const mostBytes = host.memory?.mostOutstandingBytes ?? Number.POSITIVE_INFINITY;
    if (most * geometry.blockBytes * this.#sharers > mostBytes) {
      most = Math.trunc(mostBytes / (geometry.blockBytes * this.#sharers));
      if (outstandingCount >= most) this.#context.totals.memoryWaits++;
    }
    // Mostly there is no room, and the rest need not be looked at.
    if (outstandingCount >= most) return Math.max(1, most);
    // What waits at the only peer is kept from nobody.
    if (policy.mostShare < 1 && peers.length > 1 && most > this.#leastRequested) {
      // Towards the end long queues would keep blocks at busy peers while others have nothing to do.
      const missing = (geometry.pieceCount - picker.have.count) * geometry.blocksPerPiece;
      const share = (missing * policy.mostShare) / this.#sharers;
      if (most > share) {
        const { blockBytes } = geometry;
        const path =
          this.#sharers <= FEW_GIVERS
            ? download.path.withoutPause(blockBytes)
            : download.path.path(blockBytes);
        most = Math.max(share, this.#leastRequested, Math.min(most, path));
      }
    }
    return Math.max(1, most);
  }

  #patience({ download }: DownloadPeer, now: number): number {
    if (download.isSnubbed) return SNUBBED_REST_MILLISECONDS;
    if (download.downloadedBytes === 0) return FIRST_BLOCK_MILLISECONDS;
    const queued = download.outstandingCount * this.#context.geometry.blockBytes;
    // The rate decays while nothing comes, so that patience grows with the silence: a peer that serves many others
    // in turn over a slow link pauses for seconds. (By the rate at its last block, 20 such peers would receive a
    // tenth of all twice.)
    const rate = download.rate(now);
    const expected = rate > 0 ? queued / rate : 0;
    return Math.max(STALL_MILLISECONDS, Math.min(STALL_FACTOR * expected, 10 * STALL_MILLISECONDS));
  }

  #gotBlock({ download, policy }: DownloadPeer, now: number): void {
    const { blockBytes } = this.#context.geometry;
    const least = download.rate(now) * policy.pipelineMilliseconds;
    const floor = Math.max(least, download.inOrder === undefined ? 0 : READ_AHEAD_BYTES) / blockBytes;
    download.answered(now, floor, blockBytes, this.#sharers <= FEW_GIVERS);
  }

  #request(peer: DownloadPeer, block: number, now: number): void {
    const { geometry, host } = this.#context;
    const length = geometry.lengthOf(block);
    peer.download.ask(block, now);
    host.spendDownload(length);
    peer.link.request(geometry.pieceOf(block), geometry.beginOf(block), length);
  }

  #release(block: number): void {
    const { geometry, picker } = this.#context;
    picker.release(geometry.pieceOf(block), block % geometry.blocksPerPiece);
  }

  #releasePiece(peer: DownloadPeer, piece: number, cancels: boolean): void {
    const { geometry, host } = this.#context;
    const { download } = peer;
    for (let i = download.outstandingCount - 1; i >= 0; i--) {
      const block = download.outstandingAt(i);
      if (geometry.pieceOf(block) !== piece) continue;
      const length = geometry.lengthOf(block);
      download.cancel(block);
      if (cancels) peer.link.cancel(piece, geometry.beginOf(block), length);
      this.#release(block);
      host.refundDownload(length);
    }
  }

  #cancelElsewhere(from: DownloadPeer, block: number, now: number): void {
    const { geometry, host, peers } = this.#context;
    for (const other of peers) {
      if (other === from || other.download.outstandingCount === 0 || !other.download.cancel(block)) continue;
      other.link.cancel(geometry.pieceOf(block), geometry.beginOf(block), geometry.lengthOf(block));
      host.refundDownload(geometry.lengthOf(block));
      this.fill(other, now);
    }
  }

  // Choosing

  #choose(peer: DownloadPeer, now: number): number {
    const { picker } = this.#context;
    const own = this.#openPiece(peer, true);
    if (own !== undefined) return this.#take(own);
    if (this.#suspects.size > 0) {
      const suspect = this.#suspects.next(peer, now);
      if (suspect >= 0 && this.#mayStart(peer)) return this.#takeFirst(peer, suspect, now);
    }
    const suggestion = this.#suggestion(peer);
    if (suggestion >= 0) {
      peer.download.followed(now);
      return this.#takeFirst(peer, suggestion, now);
    }
    // Parts of what others began would tear up what it gives in one go.
    const following = peer.download.inOrder === undefined ? -1 : this.#newPiece(peer);
    if (following >= 0) return this.#takeFirst(peer, following, now);
    const sparing = this.#isSpared(peer);
    const shared = this.#openPiece(peer, false, sparing);
    if (shared !== undefined) return this.#take(shared);
    // A seed that directs has the next suggestion on its way when the last one was acted on.
    if (
      sparing &&
      peer.download.outstandingCount > 0 &&
      now - peer.download.suggestedAt < this.#suggestionWait(peer)
    )
      return -1;
    const piece = this.#newPiece(peer);
    if (piece >= 0) return this.#takeFirst(peer, piece, now);
    return picker.isEndgame ? this.#secondCopy(peer, now) : -1;
  }

  /** A block of a piece that the peer gives also while it chokes us (BEP 6); -1 if there is none. */
  #chooseFast(peer: DownloadPeer, now: number): number {
    const { picker } = this.#context;
    if (this.#suspects.size > 0) {
      const suspect = this.#suspects.next(peer, now);
      if (suspect >= 0 && this.#mayStart(peer)) return this.#takeFirst(peer, suspect, now);
    }
    for (const piece of peer.download.allowedFast) {
      if (!peer.pieces.get(piece)) continue;
      if (picker.isWanted(piece) && !this.#suspects.has(piece) && this.#mayStart(peer))
        return this.#takeFirst(peer, piece, now);
      const started = picker.open.find((open) => open.piece === piece);
      if (started === undefined) continue;
      if (!started.exclusive || started.starter === peer.number) return this.#take(started);
    }
    return -1;
  }

  #take(started: StartedPiece): number {
    const { geometry, picker } = this.#context;
    return started.piece * geometry.blocksPerPiece + picker.take(started);
  }

  #takeFirst(peer: DownloadPeer, piece: number, now: number): number {
    const { availabilityIndex, picker } = this.#context;
    availabilityIndex.started(piece);
    const exclusive = this.#suspects.size > 0 && this.#suspects.begin(peer, piece, now);
    this.#context.host.memory?.started(piece);
    return this.#take(picker.start(piece, peer.number, exclusive));
  }

  /** True if a seed's uplink is to be kept for what only seeds have. */
  #isSpared(peer: DownloadPeer): boolean {
    const { picker } = this.#context;
    return peer.policy.directed && peer.isSeed && picker.seedsAloneHaveSome;
  }

  /** An open piece that the peer has and may give: of its own, or of others. */
  #openPiece(peer: DownloadPeer, own: boolean, sparing = false): StartedPiece | undefined {
    const { picker } = this.#context;
    const { open } = picker;
    for (let i = 0; i < open.length; i++) {
      const started = open[i] as StartedPiece;
      if ((started.starter === peer.number) !== own) continue;
      if (!own && started.exclusive) continue;
      if (!peer.pieces.get(started.piece)) continue;
      if (sparing && picker.availability(started.piece) > picker.seeds) continue;
      return started;
    }
    return undefined;
  }

  /** How long the next suggestion may take to come. */
  #suggestionWait({ download }: DownloadPeer): number {
    const { leastResponse } = download.path;
    return Math.max(MIN_SUGGESTION_WAIT_MILLISECONDS, SUGGESTION_WAIT_RESPONSES * leastResponse);
  }

  #suggestion(peer: DownloadPeer): number {
    const { picker } = this.#context;
    const { download } = peer;
    const { suggestions } = download;
    while (suggestions.length > 0) {
      const piece = suggestions[0] as number;
      if (picker.isWanted(piece) && peer.pieces.get(piece) && !this.#suspects.has(piece)) {
        if (!this.#mayStart(peer, true)) return -1;
        download.shiftSuggestion();
        return piece;
      }
      download.shiftSuggestion();
    }
    return -1;
  }

  #newPiece(peer: DownloadPeer): number {
    const { picker, random } = this.#context;
    if (peer.availability.pickable === 0 || !this.#mayStart(peer)) return -1;
    const except = this.#suspects.size > 0 ? this.#suspects : undefined;
    const { inOrder } = peer.download;
    if (inOrder !== undefined) return this.#followingPiece(peer, inOrder, except);
    if (picker.have.count < peer.policy.randomFirstPieces) return picker.any(peer.pieces, random(), except);
    return picker.rarest(peer.pieces, random(), except);
  }

  /**
   * The piece behind the last one, for a peer that gives pieces in order; where that is taken, any: whoever fetches
   * the same from the same server begins elsewhere, and they exchange what they have.
   */
  #followingPiece(
    { download, pieces }: DownloadPeer,
    order: ReadingOrder,
    except: PieceSet | undefined,
  ): number {
    const { peers, picker, random } = this.#context;
    const { next } = order;
    const isAlone = order.fromStart && peers.length === 1;
    const follows = next >= 0 && picker.isWanted(next) && pieces.get(next) && except?.has(next) !== true;
    let piece = next;
    if (isAlone) piece = picker.nextWanted(Math.max(next, 0), pieces, except);
    else if (!follows) piece = picker.any(pieces, random(), except);
    download.readOn(piece + 1);
    return piece;
  }

  /**
   * Memory for started pieces is bounded; within a wider bound whoever can give none of them may start one. Where there
   * is no memory for a piece it is staged: that costs the disk twice the writes, and only whoever would have nothing to
   * do may start one, or one that its giver suggests.
   */
  #mayStart(peer: DownloadPeer, isSuggested = false): boolean {
    const { geometry, host, picker } = this.#context;
    const startedBytes = (picker.startedCount + 1) * geometry.pieceLength;
    const hasRoom = host.memory?.hasRoomFor(geometry.pieceLength) ?? startedBytes <= MAX_STARTED_BYTES;
    if (hasRoom && startedBytes <= STARTED_BYTES) return true;
    const unchoking = this.#unchoking();
    const isFewForEach = picker.startedCount < STARTED_PER_PEER * unchoking;
    if (hasRoom && isFewForEach) return true;
    if (!hasRoom && host.memory !== undefined) {
      if (isSuggested && isFewForEach) return true;
      if (picker.startedCount < MAX_STARTED_PER_PEER * unchoking && this.#isIdle(peer)) return true;
      this.#context.totals.memoryWaits++;
    }
    for (const started of picker.started()) if (peer.pieces.get(started.piece)) return false;
    return hasRoom || this.#abandonUnavailable();
  }

  /** True if nothing is asked of the peer, and no started piece has anything that it could be asked for. */
  #isIdle(peer: DownloadPeer): boolean {
    return peer.download.outstandingCount === 0 && this.#openPiece(peer, false) === undefined;
  }

  #unchoking(): number {
    let count = 0;
    for (const peer of this.#context.peers) if (!peer.peerChoking) count++;
    return count;
  }

  /** Makes room by giving up a started piece that no peer has any more. */
  #abandonUnavailable(): boolean {
    const { host, picker } = this.#context;
    for (const { piece } of picker.started()) {
      if (picker.availability(piece) > 0) continue;
      picker.drop(piece);
      host.pieceDropped(piece);
      return true;
    }
    return false;
  }

  // Suspect pieces

  /** Somebody else may give the suspect pieces that only this peer might. */
  #passOnAll(peer: DownloadPeer): void {
    if (this.#suspects.size === 0) return;
    for (const started of [...this.#context.picker.started()]) {
      if (started.exclusive && started.starter === peer.number) this.#passOn(started);
    }
  }

  /** The same of one piece, if it is one. */
  #passOnOf(peer: DownloadPeer, piece: number): void {
    if (this.#suspects.size === 0) return;
    const started = this.#context.picker.startedPiece(piece);
    if (started?.exclusive && started.starter === peer.number) this.#passOn(started);
  }

  /** What has come of the piece is given up: the next one gives all of it. */
  #passOn({ piece, starter }: StartedPiece): void {
    const { availabilityIndex, host, peers, picker } = this.#context;
    for (const peer of peers) {
      if (peer.number === starter) this.#releasePiece(peer, piece, true);
    }
    picker.drop(piece);
    host.pieceDropped(piece);
    availabilityIndex.wantedAgain(piece);
  }

  // Endgame

  /** A block that the peer would bring sooner than whoever was asked for it. */
  #secondCopy(peer: DownloadPeer, now: number): number {
    const { peers, totals } = this.#context;
    // What a silent one is asked for shows whether it lives; a copy there would keep others from asking.
    if (peer.download.outstandingCount >= ENDGAME_REQUESTS || peer.download.isSnubbed) return -1;
    let worst = 1.5 * this.#expectedWait(peer, 1, now);
    let chosen = -1;
    for (const other of peers) {
      if (other === peer || other.download.outstandingCount === 0) continue;
      const wait = Math.max(this.#expectedWait(other, 0, now), now - other.download.waitingSince);
      if (wait <= worst) continue;
      const block = this.#stealable(peer, other);
      if (block < 0) continue;
      worst = wait;
      chosen = block;
    }
    if (chosen < 0) return -1;
    this.#startedOf(chosen)?.addCopy(chosen % this.#context.geometry.blocksPerPiece);
    totals.endgameRequests++;
    return chosen;
  }

  /** Milliseconds until what is outstanding, and `more` blocks, should be here. */
  #expectedWait({ download }: DownloadPeer, more: number, now: number): number {
    const blocks = download.outstandingCount + more;
    const rate = download.rate(now);
    if (rate <= 0) return FIRST_BLOCK_MILLISECONDS;
    const expected = (blocks * this.#context.geometry.blockBytes) / rate;
    // The rate of one that was asked for nothing says nothing: it decays all the same.
    return download.outstandingCount === 0 ? Math.min(expected, FIRST_BLOCK_MILLISECONDS) : expected;
  }

  #stealable(peer: DownloadPeer, other: DownloadPeer): number {
    const { geometry } = this.#context;
    const { download } = other;
    for (let i = download.outstandingCount - 1; i >= 0; i--) {
      const block = download.outstandingAt(i);
      const started = this.#startedOf(block);
      if (started === undefined || started.exclusive || !peer.pieces.get(started.piece)) continue;
      if (started.copies(block % geometry.blocksPerPiece) >= ENDGAME_COPIES) continue;
      if (!peer.download.isOutstanding(block)) return block;
    }
    return -1;
  }

  #startedOf(block: number): StartedPiece | undefined {
    return this.#context.picker.startedPiece(this.#context.geometry.pieceOf(block));
  }
}
