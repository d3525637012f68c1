// How a simulation went, sampled in virtual time. Invariants: `#copies` counts, for each piece, the nodes present
// that hold it, the seed among them; there are never more than MOST_POINTS points, however long it takes.
import type { Bitfield } from '../torrent/bitfield.ts';

/** How it stood at one moment. */
export interface TimelinePoint {
  seconds: number;
  /** Leechers present, and how many of them are complete. */
  present: number;
  complete: number;
  /** Nodes present that hold a piece, the seed among them: of the rarest, on average, and of the commonest. */
  rarest: number;
  mean: number;
  commonest: number;
}

/** Points in the ideal time, at first. */
const POINTS_PER_IDEAL = 100;
/** Beyond it every other point is forgotten. */
const MOST_POINTS = 400;

/** The course of one simulation. */
export class Timeline {
  points: TimelinePoint[] = [];
  /** Until the next point. */
  stepSeconds: number;
  readonly #copies: Int32Array;
  #total = 0;
  /** Pieces that a leecher present holds. */
  #out = 0;
  #seeds = 0;
  #present = 0;
  #complete = 0;

  constructor(pieceCount: number, idealSeconds: number) {
    this.#copies = new Int32Array(pieceCount);
    this.stepSeconds = idealSeconds / POINTS_PER_IDEAL;
  }

  /** True if leechers hold every piece among themselves. */
  get isOut(): boolean {
    return this.#out === this.#copies.length;
  }

  /** A leecher has one piece more. */
  got(piece: number): void {
    const copies = (this.#copies[piece] as number) + 1;
    this.#copies[piece] = copies;
    this.#total++;
    if (copies === 1 + this.#seeds) this.#out++;
  }

  completed(): void {
    this.#complete++;
  }

  joined(held: Bitfield, isSeed: boolean): void {
    if (!isSeed) {
      this.#present++;
      return;
    }
    this.#seeds = 1;
    for (let piece = held.nextSet(0); piece >= 0; piece = held.nextSet(piece + 1)) {
      this.#copies[piece] = (this.#copies[piece] as number) + 1;
    }
    this.#total += held.count;
  }

  left(held: Bitfield, wasComplete: boolean, isSeed: boolean): void {
    for (let piece = held.nextSet(0); piece >= 0; piece = held.nextSet(piece + 1)) {
      const copies = (this.#copies[piece] as number) - 1;
      this.#copies[piece] = copies;
      if (!isSeed && copies === this.#seeds) this.#out--;
    }
    this.#total -= held.count;
    if (isSeed) this.#seeds = 0;
    else this.#present--;
    if (wasComplete) this.#complete--;
  }

  /** Notes how it stands. */
  sample(seconds: number): void {
    let rarest = Number.POSITIVE_INFINITY;
    let commonest = 0;
    for (const copies of this.#copies) {
      if (copies < rarest) rarest = copies;
      if (copies > commonest) commonest = copies;
    }
    this.points.push({
      seconds,
      present: this.#present,
      complete: this.#complete,
      rarest,
      mean: this.#total / this.#copies.length,
      commonest,
    });
    if (this.points.length < MOST_POINTS) return;
    this.points = this.points.filter((_, index) => index % 2 === 0);
    this.stepSeconds *= 2;
  }
}
