// What we ask of whom: pipelining, endgame, and what happens to requests that are not answered. Invariants:
// outside endgame a block is asked of one neighbour at most; a block that was asked for is here, asked for, or
// free to be asked for again, whatever became of the neighbour.
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

/** A neighbour asks for second copies only while it has less than this outstanding. */
const ENDGAME_REQUESTS = 2;

/** Before a neighbour's first block nothing is known of its rate, and it may be busy with others. */
const FIRST_BLOCK_MILLISECONDS = 3000;

/** A neighbour that refuses a request though it unchoked us is left alone for this long. */
const REST_AFTER_REJECT_MILLISECONDS = 1000;

/**
 * A neighbour that snubbed us and does not answer its one request either is left alone for as long as it had. More than
 * the time after which a policy drops an own agent that owes blocks.
 */
const SNUBBED_REST_MILLISECONDS = 12_000;

/** So few neighbours have to answer without pauses; more fill each other's. */
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

  /** A neighbour has come. */
  enter({ download }: DownloadPeer): void {
    download.beginWindow(FIRST_REQUESTED_BYTES / this.#context.geometry.blockBytes);
  }

  /**
   * The neighbour gives pieces in their order for less than others, as a web server does: it is asked for them so.
   *
   * @param fromStart and from the first one on while nobody else is connected; otherwise from any
   */
  readInOrder({ download }: DownloadPeer, fromStart: boolean): void {
    download.readInOrder(fromStart);
    download.beginWindow(READ_AHEAD_BYTES / this.#context.geometry.blockBytes);
  }

  /** Asks a neighbour for as much as it should have outstanding. */
  fill(neighbour: DownloadPeer, now: number): void {
    const { host, picker, paused } = this.#context;
    const { download } = neighbour;
    if (paused || neighbour.availability.useful === 0 || !neighbour.connected) return;
    if (neighbour.peerChoking && download.allowedFast.length === 0) return;
    if (download.rests(now)) return;
    const most = this.#mostOutstanding(neighbour);
    while (download.outstandingCount < most) {
      if (picker.verifyingCount >= this.#mostVerifying) {
        this.#waitsForHash = true;
        return;
      }
      if (!host.mayDownload(now)) return;
      const block = neighbour.peerChoking ? this.#chooseFast(neighbour, now) : this.#choose(neighbour, now);
      if (block < 0) return;
      this.#request(neighbour, block, now);
    }
  }

  /** Counts among whom is shared what is asked for. */
  countGivers(): void {
    let unchoking = 0;
    for (const neighbour of this.#context.neighbours) if (!neighbour.peerChoking) unchoking++;
    this.#sharers = Math.max(1, unchoking);
  }

  /** Asks every neighbour that has room, the fastest first. */
  fillAll(now: number): void {
    const { neighbours, picker } = this.#context;
    if (picker.have.isFull) return;
    if (!picker.isEndgame) {
      for (let i = 0; i < neighbours.length; i++) this.fill(neighbours[i] as DownloadPeer, now);
      return;
    }
    const bySpeed = neighbours
      .filter((neighbour) => !neighbour.peerChoking && neighbour.availability.useful > 0)
      .sort((a, b) => b.download.rate(now) - a.download.rate(now));
    for (const neighbour of bySpeed) this.fill(neighbour, now);
  }

  /** A block has come. */
  blockReceived(
    neighbour: DownloadPeer,
    piece: number,
    begin: number,
    length: number,
    now: number,
  ): BlockVerdict {
    const { geometry, picker, totals } = this.#context;
    const { download } = neighbour;
    download.received(length, now);
    totals.downloadedBytes += length;
    const block = geometry.blockAt(piece, begin, length);
    const asked = block >= 0 && download.settle(block);
    if (asked) this.#gotBlock(neighbour, now);
    else if (!download.tolerates(block)) {
      totals.duplicateBytes += length;
      if (download.unsolicited > MAX_UNSOLICITED_BLOCKS) {
        this.#context.drop(neighbour, 'it sent blocks that nobody had asked for');
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
      (started.exclusive && started.starter !== neighbour.number)
    ) {
      totals.duplicateBytes += length;
    } else {
      picker.received(piece, place, neighbour.identityNumber);
      if (copies > (asked ? 1 : 0)) this.#cancelElsewhere(neighbour, block, now);
      verdict = picker.isVerifying(piece) ? 'finish' : 'keep';
    }
    this.fill(neighbour, now);
    return verdict;
  }

  /** The neighbour refuses a request (BEP 6). */
  rejected(neighbour: DownloadPeer, piece: number, begin: number, length: number, now: number): void {
    const block = this.#context.geometry.blockAt(piece, begin, length);
    const { download } = neighbour;
    if (block < 0 || !download.settle(block)) return;
    this.#release(block);
    this.#context.host.refundDownload(length);
    // A refusal that was not announced by a choke: asking again at once would go round in a circle.
    if (!neighbour.peerChoking) download.rest(now + REST_AFTER_REJECT_MILLISECONDS);
    else download.disallow(piece);
    this.#passOnOf(neighbour, piece);
  }

  /** The neighbour chokes us: what it refuses is asked elsewhere. */
  choked(neighbour: DownloadPeer): void {
    // Under BEP 6 each request is refused by a message of its own; without it all are lost.
    if (neighbour.fast) this.#passOnAll(neighbour);
    else this.releaseAll(neighbour);
  }

  /** The neighbour lets us ask. */
  unchoked(neighbour: DownloadPeer, now: number): void {
    neighbour.download.unchoked(now);
    this.countGivers();
    this.fill(neighbour, now);
  }

  /** The neighbour lets us ask for the piece while it chokes us (BEP 6). */
  allowedFast(neighbour: DownloadPeer, piece: number, now: number): void {
    if (neighbour.download.allow(piece)) this.fill(neighbour, now);
  }

  /** Nothing that is outstanding at the neighbour will come. */
  releaseAll(neighbour: DownloadPeer): void {
    const { geometry, host } = this.#context;
    const { download } = neighbour;
    for (let i = 0; i < download.outstandingCount; i++) {
      const block = download.outstandingAt(i);
      this.#release(block);
      host.refundDownload(geometry.lengthOf(block));
    }
    download.clear();
    this.#passOnAll(neighbour);
  }

  /** The neighbour has lost the piece: nothing of it that is outstanding there will come. */
  lost(neighbour: DownloadPeer, piece: number): void {
    this.#releasePiece(neighbour, piece, false);
    this.#passOnOf(neighbour, piece);
  }

  /** Cancels what is outstanding at the neighbour; what comes all the same is welcome. */
  cancelAll(neighbour: DownloadPeer): void {
    const { geometry } = this.#context;
    const { download } = neighbour;
    for (let i = 0; i < download.outstandingCount; i++) {
      const block = download.outstandingAt(i);
      neighbour.link.cancel(geometry.pieceOf(block), geometry.beginOf(block), geometry.lengthOf(block));
    }
    download.expectCancelled();
    this.releaseAll(neighbour);
  }

  /** A peer suggests a piece (BEP 6). */
  suggested(neighbour: DownloadPeer, piece: number, now: number): void {
    if (!neighbour.policy.directed) return;
    neighbour.download.suggest(piece, now);
    this.fill(neighbour, now);
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

  /** Asks elsewhere for what a silent neighbour owes. */
  tick(now: number): void {
    const { neighbours, totals } = this.#context;
    let released = false;
    this.countGivers();
    if (this.#suspects.size > 0) for (const started of this.#suspects.overdue(now)) this.#passOn(started);
    for (const neighbour of neighbours) {
      const { download } = neighbour;
      if (download.outstandingCount === 0) continue;
      if (now - download.waitingSince <= this.#patience(neighbour, now)) continue;
      totals.stalledRequests += download.outstandingCount;
      this.cancelAll(neighbour);
      download.snubbed(now + SNUBBED_REST_MILLISECONDS);
      released = true;
    }
    if (!released) {
      this.fillAll(now);
      return;
    }
    // The others first; then each of the silent ones is asked for one block, to see whether it lives.
    for (const neighbour of neighbours) if (!neighbour.download.isSnubbed) this.fill(neighbour, now);
    for (const neighbour of neighbours) if (neighbour.download.isSnubbed) this.fill(neighbour, now);
  }

  /** How many blocks the neighbour should owe us. Hot. */
  #mostOutstanding(neighbour: DownloadPeer): number {
    const { geometry, host, neighbours, picker } = this.#context;
    const { download, policy } = neighbour;
    const { outstandingCount } = download;
    let most = Math.min(download.windowBlocks, neighbour.requestQueue);
    const mostBytes = host.memory?.mostOutstandingBytes ?? Number.POSITIVE_INFINITY;
    if (most * geometry.blockBytes * this.#sharers > mostBytes) {
      most = Math.trunc(mostBytes / (geometry.blockBytes * this.#sharers));
      if (outstandingCount >= most) this.#context.totals.memoryWaits++;
    }
    // Mostly there is no room, and the rest need not be looked at.
    if (outstandingCount >= most) return Math.max(1, most);
    // What waits at the only neighbour is kept from nobody.
    if (policy.mostShare < 1 && neighbours.length > 1 && most > this.#leastRequested) {
      // Towards the end long queues would keep blocks at busy neighbours while others have nothing to do.
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
    download.answered(now, floor, blockBytes);
  }

  #request(neighbour: DownloadPeer, block: number, now: number): void {
    const { geometry, host } = this.#context;
    const length = geometry.lengthOf(block);
    neighbour.download.ask(block, now);
    host.spendDownload(length);
    neighbour.link.request(geometry.pieceOf(block), geometry.beginOf(block), length);
  }

  #release(block: number): void {
    const { geometry, picker } = this.#context;
    picker.release(geometry.pieceOf(block), block % geometry.blocksPerPiece);
  }

  #releasePiece(neighbour: DownloadPeer, piece: number, cancels: boolean): void {
    const { geometry, host } = this.#context;
    const { download } = neighbour;
    for (let i = download.outstandingCount - 1; i >= 0; i--) {
      const block = download.outstandingAt(i);
      if (geometry.pieceOf(block) !== piece) continue;
      const length = geometry.lengthOf(block);
      download.cancel(block);
      if (cancels) neighbour.link.cancel(piece, geometry.beginOf(block), length);
      this.#release(block);
      host.refundDownload(length);
    }
  }

  #cancelElsewhere(from: DownloadPeer, block: number, now: number): void {
    const { geometry, host, neighbours } = this.#context;
    for (const other of neighbours) {
      if (other === from || other.download.outstandingCount === 0 || !other.download.cancel(block)) continue;
      other.link.cancel(geometry.pieceOf(block), geometry.beginOf(block), geometry.lengthOf(block));
      host.refundDownload(geometry.lengthOf(block));
      this.fill(other, now);
    }
  }

  // Choosing

  #choose(neighbour: DownloadPeer, now: number): number {
    const { picker } = this.#context;
    const own = this.#openPiece(neighbour, true);
    if (own !== undefined) return this.#take(own);
    if (this.#suspects.size > 0) {
      const suspect = this.#suspects.next(neighbour, now);
      if (suspect >= 0 && this.#mayStart(neighbour)) return this.#takeFirst(neighbour, suspect, now);
    }
    const suggestion = this.#suggestion(neighbour);
    if (suggestion >= 0) {
      neighbour.download.followed(now);
      return this.#takeFirst(neighbour, suggestion, now);
    }
    // Parts of what others began would tear up what it gives in one go.
    const following = neighbour.download.inOrder === undefined ? -1 : this.#newPiece(neighbour);
    if (following >= 0) return this.#takeFirst(neighbour, following, now);
    const sparing = this.#isSpared(neighbour);
    const shared = this.#openPiece(neighbour, false, sparing);
    if (shared !== undefined) return this.#take(shared);
    // A seed that directs has the next suggestion on its way when the last one was acted on.
    if (
      sparing &&
      neighbour.download.outstandingCount > 0 &&
      now - neighbour.download.suggestedAt < this.#suggestionWait(neighbour)
    )
      return -1;
    const piece = this.#newPiece(neighbour);
    if (piece >= 0) return this.#takeFirst(neighbour, piece, now);
    return picker.isEndgame ? this.#secondCopy(neighbour, now) : -1;
  }

  /** A block of a piece that the neighbour gives also while it chokes us (BEP 6); -1 if there is none. */
  #chooseFast(neighbour: DownloadPeer, now: number): number {
    const { picker } = this.#context;
    if (this.#suspects.size > 0) {
      const suspect = this.#suspects.next(neighbour, now);
      if (suspect >= 0 && this.#mayStart(neighbour)) return this.#takeFirst(neighbour, suspect, now);
    }
    for (const piece of neighbour.download.allowedFast) {
      if (!neighbour.pieces.get(piece)) continue;
      if (picker.isWanted(piece) && !this.#suspects.has(piece) && this.#mayStart(neighbour))
        return this.#takeFirst(neighbour, piece, now);
      const started = picker.open.find((open) => open.piece === piece);
      if (started === undefined) continue;
      if (!started.exclusive || started.starter === neighbour.number) return this.#take(started);
    }
    return -1;
  }

  #take(started: StartedPiece): number {
    const { geometry, picker } = this.#context;
    return started.piece * geometry.blocksPerPiece + picker.take(started);
  }

  #takeFirst(neighbour: DownloadPeer, piece: number, now: number): number {
    const { holders, picker } = this.#context;
    holders.started(piece);
    const exclusive = this.#suspects.size > 0 && this.#suspects.begin(neighbour, piece, now);
    this.#context.host.memory?.started(piece);
    return this.#take(picker.start(piece, neighbour.number, exclusive));
  }

  /** True if a seed's uplink is to be kept for what only seeds have. */
  #isSpared(neighbour: DownloadPeer): boolean {
    const { picker } = this.#context;
    return neighbour.policy.directed && neighbour.isSeed && picker.seedsAloneHaveSome;
  }

  /** An open piece that the neighbour has and may give: of its own, or of others. */
  #openPiece(neighbour: DownloadPeer, own: boolean, sparing = false): StartedPiece | undefined {
    const { picker } = this.#context;
    const { open } = picker;
    for (let i = 0; i < open.length; i++) {
      const started = open[i] as StartedPiece;
      if ((started.starter === neighbour.number) !== own) continue;
      if (!own && started.exclusive) continue;
      if (!neighbour.pieces.get(started.piece)) continue;
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

  #suggestion(neighbour: DownloadPeer): number {
    const { picker } = this.#context;
    const { download } = neighbour;
    const { suggestions } = download;
    while (suggestions.length > 0) {
      const piece = suggestions[0] as number;
      if (picker.isWanted(piece) && neighbour.pieces.get(piece) && !this.#suspects.has(piece)) {
        if (!this.#mayStart(neighbour, true)) return -1;
        download.shiftSuggestion();
        return piece;
      }
      download.shiftSuggestion();
    }
    return -1;
  }

  #newPiece(neighbour: DownloadPeer): number {
    const { picker, random } = this.#context;
    if (neighbour.availability.pickable === 0 || !this.#mayStart(neighbour)) return -1;
    const except = this.#suspects.size > 0 ? this.#suspects : undefined;
    const { inOrder } = neighbour.download;
    if (inOrder !== undefined) return this.#followingPiece(neighbour, inOrder, except);
    if (picker.have.count < neighbour.policy.randomFirstPieces)
      return picker.any(neighbour.pieces, random(), except);
    return picker.rarest(neighbour.pieces, random(), except);
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
    const { neighbours, picker, random } = this.#context;
    const { next } = order;
    const isAlone = order.fromStart && neighbours.length === 1;
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
  #mayStart(neighbour: DownloadPeer, isSuggested = false): boolean {
    const { geometry, host, picker } = this.#context;
    const startedBytes = (picker.startedCount + 1) * geometry.pieceLength;
    const hasRoom = host.memory?.hasRoomFor(geometry.pieceLength) ?? startedBytes <= MAX_STARTED_BYTES;
    if (hasRoom && startedBytes <= STARTED_BYTES) return true;
    const unchoking = this.#unchoking();
    const isFewForEach = picker.startedCount < STARTED_PER_PEER * unchoking;
    if (hasRoom && isFewForEach) return true;
    if (!hasRoom && host.memory !== undefined) {
      if (isSuggested && isFewForEach) return true;
      if (picker.startedCount < MAX_STARTED_PER_PEER * unchoking && this.#isIdle(neighbour)) return true;
      this.#context.totals.memoryWaits++;
    }
    for (const started of picker.started()) if (neighbour.pieces.get(started.piece)) return false;
    return hasRoom || this.#abandonUnavailable();
  }

  /** True if nothing is asked of the neighbour, and no started piece has anything that it could be asked for. */
  #isIdle(neighbour: DownloadPeer): boolean {
    return neighbour.download.outstandingCount === 0 && this.#openPiece(neighbour, false) === undefined;
  }

  #unchoking(): number {
    let count = 0;
    for (const neighbour of this.#context.neighbours) if (!neighbour.peerChoking) count++;
    return count;
  }

  /** Makes room by giving up a started piece that no neighbour has any more. */
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

  /** Somebody else may give the suspect pieces that only this neighbour might. */
  #passOnAll(neighbour: DownloadPeer): void {
    if (this.#suspects.size === 0) return;
    for (const started of [...this.#context.picker.started()]) {
      if (started.exclusive && started.starter === neighbour.number) this.#passOn(started);
    }
  }

  /** The same of one piece, if it is one. */
  #passOnOf(neighbour: DownloadPeer, piece: number): void {
    if (this.#suspects.size === 0) return;
    const started = this.#context.picker.startedPiece(piece);
    if (started?.exclusive && started.starter === neighbour.number) this.#passOn(started);
  }

  /** What has come of the piece is given up: the next one gives all of it. */
  #passOn({ piece, starter }: StartedPiece): void {
    const { holders, host, neighbours, picker } = this.#context;
    for (const neighbour of neighbours) {
      if (neighbour.number === starter) this.#releasePiece(neighbour, piece, true);
    }
    picker.drop(piece);
    host.pieceDropped(piece);
    holders.wantedAgain(piece);
  }

  // Endgame

  /** A block that the neighbour would bring sooner than whoever was asked for it. */
  #secondCopy(neighbour: DownloadPeer, now: number): number {
    const { neighbours, totals } = this.#context;
    // What a silent one is asked for shows whether it lives; a copy there would keep others from asking.
    if (neighbour.download.outstandingCount >= ENDGAME_REQUESTS || neighbour.download.isSnubbed) return -1;
    let worst = 1.5 * this.#expectedWait(neighbour, 1, now);
    let chosen = -1;
    for (const other of neighbours) {
      if (other === neighbour || other.download.outstandingCount === 0) continue;
      const wait = Math.max(this.#expectedWait(other, 0, now), now - other.download.waitingSince);
      if (wait <= worst) continue;
      const block = this.#stealable(neighbour, other);
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

  #stealable(neighbour: DownloadPeer, other: DownloadPeer): number {
    const { geometry } = this.#context;
    const { download } = other;
    for (let i = download.outstandingCount - 1; i >= 0; i--) {
      const block = download.outstandingAt(i);
      const started = this.#startedOf(block);
      if (started === undefined || started.exclusive || !neighbour.pieces.get(started.piece)) continue;
      if (started.copies(block % geometry.blocksPerPiece) >= ENDGAME_COPIES) continue;
      if (!neighbour.download.isOutstanding(block)) return block;
    }
    return -1;
  }

  #startedOf(block: number): StartedPiece | undefined {
    return this.#context.picker.startedPiece(this.#context.geometry.pieceOf(block));
  }
}
