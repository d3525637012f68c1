/**
 * When each of many peers is over, without looking at all of them: time is cut into slots, each peer stands in
 * the slot that holds its deadline, and time's advance empties slot after slot. A slot is a list through the
 * peers' own columns.
 *
 * Invariant: a scheduled peer is in exactly one slot, and that slot is not later than its deadline's. A deadline
 * that moves later (the usual case, at every announce) costs nothing until its old slot is reached.
 */
import { NOBODY } from './peer-table.ts';

/** The columns that the wheel writes, and nobody else. */
export interface ExpiryColumns {
  /** In milliseconds of the caller's monotonic clock. */
  readonly expiresAt: Float64Array;
  /** The slot a peer stands in; NOT_SCHEDULED for none. */
  readonly slot: Int32Array;
  readonly next: Int32Array;
  readonly previous: Int32Array;
}

/** In the column `slot`: the peer is in none. Whoever takes a new number writes it there. */
export const NOT_SCHEDULED = -1;
const LAST_SLOT = 2 ** 31 - 1;

export class ExpiryWheel {
  readonly #columns: ExpiryColumns;
  readonly #slotMilliseconds: number;
  /** The first peer of each slot that has any. */
  readonly #heads = new Map<number, number>();
  #nextSlot: number;

  /**
   * @param columns read anew at each call, because they are replaced when they grow
   * @param slotMilliseconds the grain: a peer may outlive its deadline by that much
   * @param now where time stands
   */
  constructor(columns: ExpiryColumns, slotMilliseconds: number, now: number) {
    this.#columns = columns;
    this.#slotMilliseconds = slotMilliseconds;
    this.#nextSlot = this.#slotOf(now);
  }

  /** Hot: sets or moves a peer's deadline. */
  schedule(peer: number, expiresAt: number): void {
    this.#columns.expiresAt[peer] = expiresAt;
    const slot = Math.max(this.#nextSlot, this.#slotOf(expiresAt));
    const current = this.#columns.slot[peer] as number;
    if (current !== NOT_SCHEDULED && current <= slot) return; // Looked at again when that slot is reached.
    this.cancel(peer);
    this.#enter(peer, slot);
  }

  /** Forgets a peer; it will not be told as expired. */
  cancel(peer: number): void {
    const { slot, next, previous } = this.#columns;
    const current = slot[peer] as number;
    if (current === NOT_SCHEDULED) return;
    slot[peer] = NOT_SCHEDULED;
    const before = previous[peer] as number;
    const after = next[peer] as number;
    if (after !== NOBODY) previous[after] = before;
    if (before !== NOBODY) next[before] = after;
    else if (after !== NOBODY) this.#heads.set(current, after);
    else this.#heads.delete(current);
  }

  /** Tells, and forgets, every peer whose deadline is at least a slot ago. `expired` may cancel other peers. */
  advance(now: number, expired: (peer: number) => void): void {
    const current = this.#slotOf(now);
    while (this.#nextSlot < current) {
      const due = this.#heads.get(this.#nextSlot);
      if (due === undefined) {
        this.#nextSlot += 1;
        continue;
      }
      this.cancel(due);
      const slot = this.#slotOf(this.#columns.expiresAt[due] as number);
      if (slot > this.#nextSlot) this.#enter(due, slot);
      else expired(due);
    }
  }

  #slotOf(milliseconds: number): number {
    return Math.min(LAST_SLOT, Math.floor(milliseconds / this.#slotMilliseconds));
  }

  #enter(peer: number, at: number): void {
    const { slot, next, previous } = this.#columns;
    const head = this.#heads.get(at) ?? NOBODY;
    slot[peer] = at;
    previous[peer] = NOBODY;
    next[peer] = head;
    if (head !== NOBODY) previous[head] = peer;
    this.#heads.set(at, peer);
  }
}
