// What one peer has. Invariant: the availability index alone holds it as PeerAvailability and changes it; everybody else
// sees AvailabilityState, which has nothing that changes.
// Hot: gain() once a HAVE; it allocates nothing.
import type { Bitfield } from '../../bitfield.ts';

/** What everybody may know of what a peer has. */
export interface AvailabilityState {
  /** Read only. */
  readonly pieces: Bitfield;
  /** It said what it has. */
  readonly isShown: boolean;
  /** How many pieces it has, in sixteenths of all. */
  readonly sixteenths: number;
  /** Pieces that it has and we do not hold. */
  readonly useful: number;
  /** Of those, the ones that nobody was asked for yet. */
  readonly pickable: number;
}

function sixteenthsOf({ count, length }: Bitfield): number {
  return Math.trunc((16 * count) / length);
}

/** The pieces of one peer. */
export class PeerAvailability implements AvailabilityState {
  readonly #pieces: Bitfield;
  #slot = -1;
  #useful = 0;
  #pickable = 0;
  #sixteenths = 0;
  #isShown = false;
  #isCountedAsSeed = false;
  #hasLostPieces = false;

  /** @param pieces that it has: none; from here on changed here alone */
  constructor(pieces: Bitfield) {
    this.#pieces = pieces;
  }

  get pieces(): Bitfield {
    return this.#pieces;
  }

  get isShown(): boolean {
    return this.#isShown;
  }

  get sixteenths(): number {
    return this.#sixteenths;
  }

  /** Its place in the index. */
  get slot(): number {
    return this.#slot;
  }

  get useful(): number {
    return this.#useful;
  }

  get pickable(): number {
    return this.#pickable;
  }

  /** It is counted among those who have every piece, and not piece by piece (PiecePicker). */
  get isCountedAsSeed(): boolean {
    return this.#isCountedAsSeed;
  }

  get hasLostPieces(): boolean {
    return this.#hasLostPieces;
  }

  setSlot(slot: number): void {
    this.#slot = slot;
  }

  countAsSeed(isSeed: boolean): void {
    this.#isCountedAsSeed = isSeed;
  }

  /** It shows all that it has. */
  show(pieces: Bitfield): void {
    this.#isShown = true;
    this.#pieces.assign(pieces);
    this.#sixteenths = sixteenthsOf(this.#pieces);
  }

  /** It has a piece. False if that is known. */
  gain(piece: number): boolean {
    this.#isShown = true;
    if (!this.#pieces.set(piece)) return false;
    this.#sixteenths = sixteenthsOf(this.#pieces);
    return true;
  }

  /** It has lost a piece. */
  lose(piece: number): void {
    this.#pieces.clear(piece);
    this.#hasLostPieces = true;
    this.#sixteenths = sixteenthsOf(this.#pieces);
  }

  /** So many pieces more of it are useful, and so many more may be picked. */
  count(useful: number, pickable: number): void {
    this.#useful += useful;
    this.#pickable += pickable;
  }
}
