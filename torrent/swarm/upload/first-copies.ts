// A seed sends each block once before it sends any twice, as far as peers ask for it: while all still come to the seed
// for the same pieces, second copies are what a swarm can give itself. Invariant: only the order within one peer's
// queue changes; nobody waits longer for its turn, and no request is held back or refused for it.
// Hot: choose() once a block until everything was sent once, afterwards it costs one comparison.
import { Bitfield } from '../../bitfield.ts';
import type { Geometry } from '../pieces/geometry.ts';
import type { RequestQueue } from './request-queue.ts';

/** Requests from the front of a queue that are looked through. */
const LOOKED_THROUGH = 256;

/** Which blocks a seed has sent. */
export class FirstCopies {
  readonly #geometry: Geometry;
  #sent: Bitfield | undefined;
  #left: number;

  constructor(geometry: Geometry) {
    this.#geometry = geometry;
    this.#left = geometry.pieceCount === 0 ? 0 : this.#blockCount;
  }

  /** True once every block was sent. */
  get isOver(): boolean {
    return this.#left === 0;
  }

  /** Brings a request for a block that was never sent to the front of the queue, if there is one. */
  choose(requests: RequestQueue): void {
    if (this.#left === 0) return;
    const sent = this.#blocks;
    const end = Math.min(requests.size, LOOKED_THROUGH);
    for (let place = 0; place < end; place++) {
      if (sent.get(this.#blockOf(requests.pieceAt(place), requests.beginAt(place)))) continue;
      if (place > 0) requests.bringForward(place);
      return;
    }
  }

  /** A block was handed over. */
  handed(piece: number, begin: number): void {
    if (this.#left > 0 && this.#blocks.set(this.#blockOf(piece, begin))) this.#left--;
    if (this.#left === 0) this.#sent = undefined;
  }

  get #blockCount(): number {
    const { pieceCount, blocksPerPiece } = this.#geometry;
    return (pieceCount - 1) * blocksPerPiece + this.#geometry.blocksIn(pieceCount - 1);
  }

  get #blocks(): Bitfield {
    this.#sent ??= new Bitfield(this.#blockCount);
    return this.#sent;
  }

  #blockOf(piece: number, begin: number): number {
    return piece * this.#geometry.blocksPerPiece + Math.trunc(begin / this.#geometry.blockBytes);
  }
}
