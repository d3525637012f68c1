// The seed directs (BEP 6 SUGGEST): it alone knows which pieces it gave to nobody yet. Invariant: `#assigned`
// counts, for every piece that no leecher among the peers has, how many were told or chose to fetch it from
// us; a peer holds one suggestion that it has not acted on, and more only where the uplink would else be idle.
import type { SwarmContext } from '../context.ts';
import type { SuggestedPeer } from '../peers/peer.ts';
import { RarityOrder } from '../pieces/rarity-order.ts';
import { SUGGESTION_MILLISECONDS } from '../tunables.ts';

/** A peer that did not act on a suggestion gets no other one for this long, unless it asks for something. */
const REST_MILLISECONDS = 1000;

/** Directs peers once we hold every piece; does nothing before. */
export class SuperSeedingSuggester {
  readonly #context: SwarmContext<SuggestedPeer>;
  #assigned: RarityOrder | undefined;

  constructor(context: SwarmContext<SuggestedPeer>) {
    this.#context = context;
  }

  /** Begins, if the policy directs and every piece is held. */
  begin(now: number): void {
    const { geometry, picker, policy, peers } = this.#context;
    if (!policy.directed || this.#assigned !== undefined || !picker.have.isFull) return;
    this.#assigned = new RarityOrder(geometry.pieceCount);
    for (let piece = 0; piece < geometry.pieceCount; piece++) {
      if (picker.availability(piece) === picker.seeds) this.#assigned.add(piece);
    }
    for (const peer of peers) this.direct(peer, now);
  }

  /** Suggests the pieces that are assigned least, as far as the peer may use suggestions. */
  direct(peer: SuggestedPeer, now: number): void {
    const { paused, random } = this.#context;
    const assigned = this.#assigned;
    if (assigned === undefined || assigned.size === 0 || paused) return;
    const { suggested } = peer;
    if (!suggested.hasRoom || !peer.policy.directed || !peer.fast) return;
    if (peer.choke.amChoking && !peer.policy.unchokesAlways) return;
    if (!peer.availability.isShown || peer.isSeed || now < suggested.restsUntil) return;
    while (suggested.hasRoom) {
      const piece = assigned.lowest(peer.pieces, false, 0, random());
      if (piece < 0 || suggested.isAssigned(piece)) return;
      assigned.increment(piece);
      suggested.suggest(piece, now);
      peer.link.suggest(piece);
    }
  }

  /**
   * The peer asks for a block of the piece. Hot.
   *
   * @param idleAt when the uplink last had nothing to send
   */
  requested(peer: SuggestedPeer, piece: number, idleAt: number, now: number): void {
    if (this.#assigned === undefined || this.#assigned.size === 0) return;
    const { geometry, peers } = this.#context;
    const { suggested } = peer;
    const pieces = peer.upload.rate(now) / geometry.pieceLength;
    if (!suggested.taken(piece, idleAt, pieces, now, peers.length === 1)) {
      if (!this.#assigned.has(piece) || suggested.isAssigned(piece)) return;
      this.#assigned.increment(piece);
      suggested.assign(piece);
    }
    this.direct(peer, now);
  }

  /** The peer has the piece: it is out. */
  got(peer: SuggestedPeer, piece: number, now: number): void {
    if (this.#assigned === undefined) return;
    this.#assigned.remove(piece);
    peer.suggested.forget(piece);
    this.direct(peer, now);
  }

  /** The peer showed all that it has. */
  shown(peer: SuggestedPeer, now: number): void {
    const assigned = this.#assigned;
    if (assigned === undefined) return;
    const { pieces } = peer;
    if (!pieces.isFull) {
      for (let piece = pieces.nextSet(0); piece >= 0; piece = pieces.nextSet(piece + 1))
        assigned.remove(piece);
    }
    this.direct(peer, now);
  }

  /** The peer is gone: what was assigned to it returns to the pool, and what it alone had is not out any more. */
  gone(peer: SuggestedPeer): void {
    const assigned = this.#assigned;
    if (assigned === undefined) return;
    for (const piece of peer.suggested.assigned) assigned.decrement(piece);
    peer.suggested.clear();
    const { picker } = this.#context;
    const { pieces } = peer;
    for (let piece = pieces.nextSet(0); piece >= 0; piece = pieces.nextSet(piece + 1))
      if (picker.isHeld(piece) && picker.availability(piece) === picker.seeds) assigned.add(piece);
  }

  /** We hold the piece no more. */
  lost(piece: number): void {
    if (this.#assigned === undefined) return;
    this.#assigned.remove(piece);
    for (const peer of this.#context.peers) peer.suggested.forget(piece);
  }

  /** Takes back suggestions that nobody acted on. */
  tick(now: number): void {
    if (this.#assigned === undefined || this.#assigned.size === 0) return;
    for (const peer of this.#context.peers) {
      const { suggested } = peer;
      for (;;) {
        const piece = suggested.overdue(SUGGESTION_MILLISECONDS, now);
        if (piece < 0) break;
        suggested.overlooked(piece, now + REST_MILLISECONDS);
        if (this.#assigned.has(piece)) this.#assigned.decrement(piece);
      }
      this.direct(peer, now);
    }
  }
}
