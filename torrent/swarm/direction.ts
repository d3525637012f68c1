// The seed directs (BEP 6 SUGGEST): it alone knows which pieces it gave to nobody yet. Invariant: `#assigned`
// counts, for every piece that no leecher among the neighbours has, how many were told or chose to fetch it from
// us; a neighbour holds at most one suggestion that it has not acted on.
import type { SwarmContext } from './context.ts';
import type { Neighbour } from './neighbour.ts';
import { RarityOrder } from './rarity-order.ts';
import { SUGGESTION_MILLISECONDS } from './tunables.ts';

/** A neighbour that did not act on a suggestion gets no other one for this long, unless it asks for something. */
const REST_MILLISECONDS = 1000;

/** Directs neighbours once we hold every piece; does nothing before. */
export class Direction {
  readonly #context: SwarmContext;
  #assigned: RarityOrder | undefined;

  constructor(context: SwarmContext) {
    this.#context = context;
  }

  /** Begins, if the policy directs and every piece is held. */
  begin(now: number): void {
    const { geometry, picker, policy, neighbours } = this.#context;
    if (!policy.directed || this.#assigned !== undefined || !picker.have.isFull) return;
    this.#assigned = new RarityOrder(geometry.pieceCount);
    for (let piece = 0; piece < geometry.pieceCount; piece++) {
      if (picker.availability(piece) === picker.seeds) this.#assigned.add(piece);
    }
    for (const neighbour of neighbours) this.direct(neighbour, now);
  }

  /** Suggests the least assigned piece, if the neighbour may use a suggestion. */
  direct(neighbour: Neighbour, now: number): void {
    const { paused, random } = this.#context;
    const assigned = this.#assigned;
    if (assigned === undefined || assigned.size === 0 || paused) return;
    if (neighbour.suggestion >= 0 || neighbour.amChoking || !neighbour.ownAgent || !neighbour.fast) return;
    if (!neighbour.piecesShown || neighbour.isSeed || now < neighbour.suggestedAt) return;
    const piece = assigned.lowest(neighbour.pieces, false, 0, random());
    if (piece < 0 || neighbour.assigned.includes(piece)) return;
    this.#assign(neighbour, piece);
    neighbour.suggestion = piece;
    neighbour.suggestedAt = now;
    neighbour.link.suggest(piece);
  }

  /** The neighbour asks for a block of the piece. Hot. */
  requested(neighbour: Neighbour, piece: number, now: number): void {
    if (this.#assigned === undefined || this.#assigned.size === 0) return;
    if (neighbour.suggestion === piece) {
      neighbour.suggestion = -1;
      neighbour.suggestedAt = 0;
    } else if (this.#assigned.has(piece) && !neighbour.assigned.includes(piece)) {
      this.#assign(neighbour, piece);
    } else return;
    this.direct(neighbour, now);
  }

  /** The neighbour has the piece: it is out. */
  got(neighbour: Neighbour, piece: number, now: number): void {
    if (this.#assigned === undefined) return;
    this.#assigned.remove(piece);
    this.#forget(neighbour, piece);
    if (neighbour.suggestion === piece) neighbour.suggestion = -1;
    this.direct(neighbour, now);
  }

  /** The neighbour showed all that it has. */
  shown(neighbour: Neighbour, now: number): void {
    const assigned = this.#assigned;
    if (assigned === undefined) return;
    const { pieces } = neighbour;
    if (!pieces.isFull) {
      for (let piece = pieces.nextSet(0); piece >= 0; piece = pieces.nextSet(piece + 1))
        assigned.remove(piece);
    }
    this.direct(neighbour, now);
  }

  /** The neighbour is gone: what was assigned to it returns to the pool. */
  gone(neighbour: Neighbour): void {
    if (this.#assigned === undefined) return;
    for (const piece of neighbour.assigned) this.#assigned.decrement(piece);
    neighbour.assigned.length = 0;
    neighbour.suggestion = -1;
  }

  /** We hold the piece no more. */
  lost(piece: number): void {
    if (this.#assigned === undefined) return;
    this.#assigned.remove(piece);
    for (const neighbour of this.#context.neighbours) {
      this.#forget(neighbour, piece);
      if (neighbour.suggestion === piece) neighbour.suggestion = -1;
    }
  }

  /** Takes back suggestions that nobody acted on. */
  tick(now: number): void {
    if (this.#assigned === undefined || this.#assigned.size === 0) return;
    for (const neighbour of this.#context.neighbours) {
      const { suggestion } = neighbour;
      if (suggestion >= 0) {
        if (now - neighbour.suggestedAt < SUGGESTION_MILLISECONDS) continue;
        this.#forget(neighbour, suggestion);
        if (this.#assigned.has(suggestion)) this.#assigned.decrement(suggestion);
        neighbour.suggestion = -1;
        neighbour.suggestedAt = now + REST_MILLISECONDS;
      }
      this.direct(neighbour, now);
    }
  }

  #assign(neighbour: Neighbour, piece: number): void {
    this.#assigned?.increment(piece);
    neighbour.assigned.push(piece);
  }

  #forget(neighbour: Neighbour, piece: number): void {
    const at = neighbour.assigned.indexOf(piece);
    if (at >= 0) neighbour.assigned.splice(at, 1);
  }
}
