// Which piece next, and which block of it. Invariants:
// - A piece is in exactly one of: held, verifying (all blocks are here, the hash is not known), started (some of
//   its blocks were asked for or are here), wanted (none of that).
// - The wanted pieces are the members of the rarity order; their counts are availability among peers that
//   lack something. Peers that have everything are counted apart, except for those that ever lost a piece.
// - In a started piece a block is free, asked for (1 copy, or 2 in endgame), or here.
// - A started piece stands in `open` exactly as long as it has a free block.
//
//   wanted --start--> started --last block--> verifying --verified--> held
//     ^                  |                        |                   |
//     +----- drop -------+------ corrupt ---------+------ lost -------+
import type { Bitfield } from '../../bitfield.ts';
import type { Geometry } from './geometry.ts';
import { type PieceSet, RarityOrder } from './rarity-order.ts';
import { StartedPiece } from './started-piece.ts';

/** What a peer has, and how the picker counts that. */
export interface PeerPieces {
  readonly pieces: Bitfield;
  readonly isCountedAsSeed: boolean;
  readonly hasLostPieces: boolean;
  countAsSeed(isSeed: boolean): void;
}

/** State of the pieces of one torrent, as far as choosing goes. Knows no peers, only their numbers. */
export class PiecePicker {
  readonly #geometry: Geometry;
  readonly #have: Bitfield;
  readonly #rarity: RarityOrder;
  readonly #started = new Map<number, StartedPiece>();
  readonly #open: StartedPiece[] = [];
  readonly #verifying = new Map<number, StartedPiece>();
  readonly #spare: StartedPiece[] = [];
  #seeds = 0;

  /** `have` names the held pieces; the picker reads it here and keeps its own account afterwards. */
  constructor(geometry: Geometry, have: Bitfield, random: () => number) {
    this.#geometry = geometry;
    this.#have = have.clone();
    this.#rarity = new RarityOrder(geometry.pieceCount);
    // Shuffled once, so that ties are at random from the start.
    const wanted: number[] = [];
    for (let piece = have.nextMissing(0); piece >= 0; piece = have.nextMissing(piece + 1)) wanted.push(piece);
    for (let i = wanted.length - 1; i > 0; i--) {
      const j = Math.trunc(random() * (i + 1));
      [wanted[i], wanted[j]] = [wanted[j] as number, wanted[i] as number];
    }
    for (const piece of wanted) this.#rarity.add(piece);
  }

  /** Held pieces. Read only. */
  get have(): Bitfield {
    return this.#have;
  }

  get wantedCount(): number {
    return this.#rarity.size;
  }

  get startedCount(): number {
    return this.#started.size;
  }

  get verifyingCount(): number {
    return this.#verifying.size;
  }

  /** Peers that have every piece. */
  get seeds(): number {
    return this.#seeds;
  }

  /** Started pieces with a free block, longest started first. Read only. */
  get open(): readonly StartedPiece[] {
    return this.#open;
  }

  /** Every started piece. */
  started(): Iterable<StartedPiece> {
    return this.#started.values();
  }

  /** True if nothing is left to ask for but second copies. */
  get isEndgame(): boolean {
    return this.#rarity.size === 0 && this.#open.length === 0 && this.#started.size > 0;
  }

  isHeld(piece: number): boolean {
    return this.#have.get(piece);
  }

  isWanted(piece: number): boolean {
    return this.#rarity.has(piece);
  }

  startedPiece(piece: number): StartedPiece | undefined {
    return this.#started.get(piece);
  }

  isVerifying(piece: number): boolean {
    return this.#verifying.has(piece);
  }

  /** How many peers have the piece. */
  availability(piece: number): number {
    return this.#seeds + (this.#rarity.counts[piece] as number);
  }

  /** True if some wanted piece is had by no peer but those that have everything. */
  get seedsAloneHaveSome(): boolean {
    return this.#rarity.countOf(0) > 0;
  }

  // Availability

  /** A peer shows what it has. */
  peerHas(peer: PeerPieces): void {
    peer.countAsSeed(peer.pieces.isFull);
    if (peer.isCountedAsSeed) this.#seeds++;
    else if (!peer.pieces.isEmpty) this.#rarity.shift(peer.pieces, 1);
  }

  /** A peer is gone. */
  peerGone({ pieces, isCountedAsSeed }: PeerPieces): void {
    if (isCountedAsSeed) this.#seeds--;
    else if (!pieces.isEmpty) this.#rarity.shift(pieces, -1);
  }

  /** A peer has one piece more; `peer.pieces` has it already. Hot. */
  peerGot(piece: number, peer: PeerPieces): void {
    // To count it among the seeds looks at every piece: not for one that loses pieces and gets them again.
    if (!peer.pieces.isFull || peer.hasLostPieces) {
      this.#rarity.increment(piece);
      return;
    }
    // It was counted piece by piece so far, less the one that it has just got.
    this.#rarity.shift(peer.pieces, -1);
    this.#rarity.counts[piece] = (this.#rarity.counts[piece] as number) + 1;
    this.#seeds++;
    peer.countAsSeed(true);
  }

  /** A peer has one piece less; `peer.pieces` lacks it already. */
  peerLost(piece: number, peer: PeerPieces): void {
    if (!peer.isCountedAsSeed) {
      this.#rarity.decrement(piece);
      return;
    }
    this.#seeds--;
    peer.countAsSeed(false);
    this.#rarity.shift(peer.pieces, 1);
  }

  // Choosing

  /**
   * The wanted piece that is rarest among peers, of those in `pieces`; -1 if there is none.
   * `draw` (0 ≤ draw < 1) decides ties; `except` is passed over.
   */
  rarest(pieces: Bitfield, draw: number, except?: PieceSet): number {
    // What only seeds have stands in bucket 0, which nobody else needs to look at.
    return this.#rarity.lowest(pieces, true, pieces.isFull ? 0 : 1, draw, except);
  }

  /** Any wanted piece of those in `pieces`, or -1; `except` is passed over. */
  any(pieces: Bitfield, draw: number, except?: PieceSet): number {
    return this.#rarity.any(pieces, draw, except);
  }

  /** The first wanted piece from `from` on and then from the start, of those in `pieces`, or -1; `except` is passed over. */
  nextWanted(from: number, pieces: Bitfield, except?: PieceSet): number {
    for (let piece = pieces.nextSet(from); piece >= 0; piece = pieces.nextSet(piece + 1)) {
      if (this.#rarity.has(piece) && except?.has(piece) !== true) return piece;
    }
    return from > 0 ? this.nextWanted(0, pieces, except) : -1;
  }

  /** Starts a wanted piece. `exclusive`: its starter alone may be asked for its blocks. */
  start(piece: number, starter: number, exclusive = false): StartedPiece {
    this.#rarity.remove(piece);
    const started = this.#spare.pop() ?? new StartedPiece(this.#geometry.blocksPerPiece);
    started.begin(piece, this.#geometry.blocksIn(piece), starter, exclusive);
    this.#started.set(piece, started);
    this.#open.push(started);
    return started;
  }

  /** Takes the next free block of an open piece: it is asked for now. Returns its place in the piece. Hot. */
  take(started: StartedPiece): number {
    const place = started.take();
    if (started.free === 0) this.#close(started);
    return place;
  }

  /** One copy of a block is not asked for any more. Nothing if the piece is not started or the block is here. */
  release(piece: number, place: number): void {
    const started = this.#started.get(piece);
    if (started === undefined) return;
    const wasClosed = started.free === 0;
    if (started.release(place) && wasClosed && started.free > 0) this.#open.push(started);
  }

  /**
   * A block has come. True if the piece lacked it; the piece is verifying then if that was its last one.
   * Hot.
   */
  received(piece: number, place: number, sender: number): boolean {
    const started = this.#started.get(piece);
    if (started === undefined) return false;
    const wasFree = started.isFree(place);
    if (!started.receive(place, sender)) return false;
    if (wasFree && started.free === 0) this.#close(started);
    if (started.missing === 0) {
      this.#started.delete(piece);
      this.#verifying.set(piece, started);
    }
    return true;
  }

  // Outcomes

  /** The piece passed its hash and is written. */
  verified(piece: number): void {
    this.#recycle(this.#verifying.get(piece));
    this.#verifying.delete(piece);
    this.#have.set(piece);
  }

  /** The piece failed its hash, or could not be written: it is wanted again. */
  failed(piece: number): void {
    this.#recycle(this.#verifying.get(piece));
    this.#verifying.delete(piece);
    this.#rarity.add(piece);
  }

  /** A held piece is not there any more: it is wanted again. */
  lost(piece: number): void {
    this.#have.clear(piece);
    this.#rarity.add(piece);
  }

  /** Gives a started piece up: its blocks are lost. */
  drop(piece: number): void {
    const started = this.#started.get(piece);
    if (started === undefined) return;
    this.#started.delete(piece);
    this.#close(started);
    this.#recycle(started);
    this.#rarity.add(piece);
  }

  /** Who sent each block of a piece that is verifying. */
  sendersByBlock(piece: number): number[] {
    return this.#verifying.get(piece)?.sendersOf() ?? [];
  }

  #close(started: StartedPiece): void {
    const at = this.#open.indexOf(started);
    if (at >= 0) this.#open.splice(at, 1);
  }

  #recycle(started: StartedPiece | undefined): void {
    if (started !== undefined && this.#spare.length < 64) this.#spare.push(started);
  }
}
