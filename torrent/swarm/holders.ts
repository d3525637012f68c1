// Which neighbours have a piece: the bitfields of all neighbours, turned by a quarter. Invariant: bit s of a piece's
// words is set exactly if the neighbour in slot s is connected and its bitfield has the piece.
// Hot: what concerns the holders of one piece looks at a word or two instead of at the bitfield of every neighbour.
import type { Bitfield } from '../bitfield.ts';
import type { Neighbour } from './neighbour.ts';

const BITS = 32;

/** Neighbours by piece. */
export class Holders {
  readonly #pieceCount: number;
  /** Words of one piece. */
  #words = 1;
  #bits: Int32Array;
  readonly #slots: (Neighbour | undefined)[] = [];

  constructor(pieceCount: number) {
    this.#pieceCount = pieceCount;
    this.#bits = new Int32Array(pieceCount);
  }

  /** Gives a neighbour that has nothing yet a slot: the lowest that is free. */
  enter(neighbour: Neighbour): void {
    let slot = this.#slots.indexOf(undefined);
    if (slot < 0) slot = this.#slots.length;
    this.#slots[slot] = neighbour;
    neighbour.slot = slot;
    if (slot >= this.#words * BITS) this.#widen();
  }

  /** The neighbour is gone; `pieces` is what it had. */
  leave(neighbour: Neighbour): void {
    const { pieces, slot } = neighbour;
    for (let piece = pieces.nextSet(0); piece >= 0; piece = pieces.nextSet(piece + 1)) {
      this.remove(neighbour, piece);
    }
    this.#slots[slot] = undefined;
  }

  /** The neighbour has a piece. Hot. */
  add({ slot }: Neighbour, piece: number): void {
    const at = piece * this.#words + (slot >>> 5);
    this.#bits[at] = (this.#bits[at] as number) | (1 << (slot & 31));
  }

  /** The neighbour has all of these. */
  addAll(neighbour: Neighbour, pieces: Bitfield): void {
    for (let piece = pieces.nextSet(0); piece >= 0; piece = pieces.nextSet(piece + 1)) {
      this.add(neighbour, piece);
    }
  }

  /** The neighbour has the piece no more. */
  remove({ slot }: Neighbour, piece: number): void {
    const at = piece * this.#words + (slot >>> 5);
    this.#bits[at] = (this.#bits[at] as number) & ~(1 << (slot & 31));
  }

  /** The first slot ≥ `from` whose neighbour has the piece, or -1. Hot. */
  next(piece: number, from: number): number {
    const words = this.#words;
    let word = from >>> 5;
    if (word >= words) return -1;
    let bits = (this.#bits[piece * words + word] as number) & (-1 << (from & 31));
    while (bits === 0) {
      word++;
      if (word >= words) return -1;
      bits = this.#bits[piece * words + word] as number;
    }
    return word * BITS + (31 - Math.clz32(bits & -bits));
  }

  /** The neighbour in a slot that next() gave. */
  at(slot: number): Neighbour {
    return this.#slots[slot] as Neighbour;
  }

  #widen(): void {
    const wide = new Int32Array(this.#pieceCount * (this.#words + 1));
    for (let piece = 0; piece < this.#pieceCount; piece++) {
      for (let word = 0; word < this.#words; word++) {
        wide[piece * (this.#words + 1) + word] = this.#bits[piece * this.#words + word] as number;
      }
    }
    this.#bits = wide;
    this.#words++;
  }
}
