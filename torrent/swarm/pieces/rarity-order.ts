// Pieces in order of a small count (availability, or how often a seed assigned them). Invariant: `#order` holds
// the members sorted by count, each exactly once, bucket after bucket; `#places` is its inverse; bucket c ends at
// `#ends[c]` (so it begins where bucket c - 1 ends); a piece that is no member has a count and no place.
//
//   #order   [ 7 3 9 | 1 4 | | 0 8 2 ]
//   #ends          3     5 5       8      counts 0, 1, 2, 3
//
// Hot: a count changes in O(1), by swapping the piece to its bucket's edge and moving the edge. Whole bitfields
// only change counts and leave the order to be rebuilt before the next question.
import type { Bitfield } from '../../bitfield.ts';

/** Some pieces. */
export interface PieceSet {
  has(piece: number): boolean;
}

/** Pieces by count, lowest first. */
export class RarityOrder {
  /** Count of every piece, member or not. */
  readonly counts: Int32Array;
  readonly #order: Int32Array;
  readonly #places: Int32Array;
  #size = 0;
  #ends = new Int32Array(8);
  #stale = false;

  constructor(pieceCount: number) {
    this.counts = new Int32Array(pieceCount);
    this.#order = new Int32Array(pieceCount);
    this.#places = new Int32Array(pieceCount).fill(-1);
  }

  /** How many members there are. */
  get size(): number {
    return this.#size;
  }

  /** True if the piece is a member. */
  has(piece: number): boolean {
    return this.#places[piece] !== -1;
  }

  /** Makes a piece a member; nothing if it is one. */
  add(piece: number): void {
    if (this.has(piece)) return;
    this.#put(this.#size++, piece);
    if (this.#stale) return;
    const count = this.counts[piece] as number;
    this.#grow(count);
    const ends = this.#ends;
    for (let c = ends.length - 1; c > count; c--) {
      // The new place is behind bucket c: c's first piece takes it, and c begins one later.
      const first = ends[c - 1] as number;
      const last = ends[c] as number;
      if (first !== last) this.#swap(first, last);
      ends[c] = last + 1;
    }
    ends[count] = (ends[count] as number) + 1;
  }

  /** Takes a piece out; its count stays. Nothing if it is no member. */
  remove(piece: number): void {
    if (!this.has(piece)) return;
    const last = this.#size - 1;
    if (this.#stale) {
      this.#swap(this.#places[piece] as number, last);
    } else {
      const ends = this.#ends;
      for (let c = this.counts[piece] as number; c < ends.length; c++) {
        const end = (ends[c] as number) - 1;
        this.#swap(this.#places[piece] as number, end);
        ends[c] = end;
      }
    }
    this.#size = last;
    this.#places[piece] = -1;
  }

  /** Hot. */
  increment(piece: number): void {
    const count = this.counts[piece] as number;
    this.counts[piece] = count + 1;
    if (this.#stale || this.#places[piece] === -1) return;
    this.#grow(count + 1);
    const end = (this.#ends[count] as number) - 1;
    this.#swap(this.#places[piece] as number, end);
    this.#ends[count] = end;
  }

  /** Hot. The count must not be 0. */
  decrement(piece: number): void {
    const count = this.counts[piece] as number;
    this.counts[piece] = count - 1;
    if (this.#stale || this.#places[piece] === -1) return;
    const first = this.#ends[count - 1] as number;
    this.#swap(this.#places[piece] as number, first);
    this.#ends[count - 1] = first + 1;
  }

  /** Adds `change` (+1 or -1) to the count of every piece in the bitfield. */
  shift(pieces: Bitfield, change: 1 | -1): void {
    for (let piece = pieces.nextSet(0); piece >= 0; piece = pieces.nextSet(piece + 1)) {
      this.counts[piece] = (this.counts[piece] as number) + change;
    }
    this.#stale = true;
  }

  /** How many members have the count. */
  countOf(count: number): number {
    if (this.#stale) this.#rebuild();
    if (count >= this.#ends.length) return 0;
    return (this.#ends[count] as number) - (count === 0 ? 0 : (this.#ends[count - 1] as number));
  }

  /**
   * A member with the lowest count ≥ `least` that the bitfield has (or lacks, if `set` is false); ties at random.
   * @param draw 0 ≤ draw < 1, decides ties.
   * @param except is passed over; it should be small
   */
  lowest(pieces: Bitfield, set: boolean, least: number, draw: number, except?: PieceSet): number {
    if (this.#stale) this.#rebuild();
    const ends = this.#ends;
    const order = this.#order;
    for (let count = least; count < ends.length; count++) {
      const first = count === 0 ? 0 : (ends[count - 1] as number);
      const end = ends[count] as number;
      const from = first + Math.trunc(draw * (end - first));
      for (let place = from; place < end; place++) {
        const piece = order[place] as number;
        if (pieces.get(piece) === set && !except?.has(piece)) return piece;
      }
      for (let place = first; place < from; place++) {
        const piece = order[place] as number;
        if (pieces.get(piece) === set && !except?.has(piece)) return piece;
      }
    }
    return -1;
  }

  /** Any member that the bitfield has, or -1; `except` is passed over. */
  any(pieces: Bitfield, draw: number, except?: PieceSet): number {
    const from = Math.trunc(draw * this.#size);
    for (let i = 0; i < this.#size; i++) {
      const place = from + i < this.#size ? from + i : from + i - this.#size;
      const piece = this.#order[place] as number;
      if (pieces.get(piece) && !except?.has(piece)) return piece;
    }
    return -1;
  }

  /** Sorts the members by count; equal ones keep their order. */
  #rebuild(): void {
    let highest = 0;
    for (let i = 0; i < this.#size; i++) {
      highest = Math.max(highest, this.counts[this.#order[i] as number] as number);
    }
    const ends = new Int32Array(Math.max(this.#ends.length, highest + 2));
    for (let i = 0; i < this.#size; i++) {
      const next = (this.counts[this.#order[i] as number] as number) + 1;
      if (next < ends.length) ends[next] = (ends[next] as number) + 1;
    }
    for (let c = 1; c < ends.length; c++) ends[c] = (ends[c] as number) + (ends[c - 1] as number);
    // `ends` now holds where each bucket begins; filling the buckets moves that to where each ends.
    const members = this.#order.slice(0, this.#size);
    for (const piece of members) {
      const count = this.counts[piece] as number;
      const place = ends[count] as number;
      ends[count] = place + 1;
      this.#put(place, piece);
    }
    this.#ends = ends;
    this.#stale = false;
  }

  #grow(count: number): void {
    if (count < this.#ends.length) return;
    const ends = new Int32Array(Math.max(count + 1, this.#ends.length * 2));
    ends.set(this.#ends);
    // The new buckets are empty, behind the old last one.
    ends.fill(this.#ends[this.#ends.length - 1] as number, this.#ends.length);
    this.#ends = ends;
  }

  #swap(a: number, b: number): void {
    if (a === b) return;
    const pieceA = this.#order[a] as number;
    this.#put(a, this.#order[b] as number);
    this.#put(b, pieceA);
  }

  #put(place: number, piece: number): void {
    this.#order[place] = piece;
    this.#places[piece] = place;
  }
}
