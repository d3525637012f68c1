/**
 * When each of many things is over, without looking at all of them: time is cut into slots, each thing stands
 * in the slot that holds its deadline, and time's advance empties slot after slot.
 *
 * Invariant: a scheduled item is in exactly one slot, and that slot is not later than its deadline's. A deadline
 * that moves later (the usual case, at every announce) costs nothing until its old slot is reached.
 */

/** Something that ends at a time. Only the wheel writes these fields. */
export interface Expiring {
  /** In milliseconds of the caller's monotonic clock. */
  expiresAt: number;
  /** The slot it stands in; undefined while it is not scheduled. */
  slot: number | undefined;
}

export class ExpiryWheel<T extends Expiring> {
  readonly #slotMilliseconds: number;
  readonly #slots = new Map<number, Set<T>>();
  #nextSlot: number;

  /**
   * @param slotMilliseconds the grain: an item may outlive its deadline by that much
   * @param now where time stands
   */
  constructor(slotMilliseconds: number, now: number) {
    this.#slotMilliseconds = slotMilliseconds;
    this.#nextSlot = Math.floor(now / slotMilliseconds);
  }

  /** Sets or moves an item's deadline. */
  schedule(item: T, expiresAt: number): void {
    item.expiresAt = expiresAt;
    const slot = Math.max(this.#nextSlot, Math.floor(expiresAt / this.#slotMilliseconds));
    if (item.slot !== undefined && item.slot <= slot) return; // Looked at again when that slot is reached.
    this.#leave(item);
    this.#enter(item, slot);
  }

  /** Forgets an item; it will not be told as expired. */
  cancel(item: T): void {
    this.#leave(item);
  }

  /** Tells, and forgets, every item whose deadline is at least a slot ago. */
  advance(now: number, expired: (item: T) => void): void {
    const current = Math.floor(now / this.#slotMilliseconds);
    for (; this.#nextSlot < current; this.#nextSlot += 1) {
      const due = this.#slots.get(this.#nextSlot);
      if (due === undefined) continue;
      this.#slots.delete(this.#nextSlot);
      for (const item of due) {
        item.slot = undefined;
        const slot = Math.floor(item.expiresAt / this.#slotMilliseconds);
        if (slot > this.#nextSlot) this.#enter(item, slot);
        else expired(item);
      }
    }
  }

  #enter(item: T, slot: number): void {
    let items = this.#slots.get(slot);
    if (items === undefined) {
      items = new Set();
      this.#slots.set(slot, items);
    }
    items.add(item);
    item.slot = slot;
  }

  #leave(item: T): void {
    if (item.slot === undefined) return;
    const items = this.#slots.get(item.slot);
    items?.delete(item);
    if (items?.size === 0) this.#slots.delete(item.slot);
    item.slot = undefined;
  }
}
