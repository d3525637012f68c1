/**
 * A random choice out of several lists taken as one, in as many steps as are wanted, whatever the lengths. Every
 * set of that size is as likely as any other, in any order. What was picked stands in `picked` until the next choice.
 *
 * Of some items it may be known that they are late, so perhaps gone: one that is picked is drawn again, which makes a
 * share p of them p² in what is picked, at the cost of one more draw for each; the others stay equally likely.
 */

/** Places of the table of what was drawn; a power of two, well above twice what may be wanted. */
const PLACES = 1024;
const NEVER_LATE: Float64Array = new Float64Array(0);

export class Sampler {
  readonly #random: () => number;
  readonly #lists: (readonly number[])[] = [];
  readonly #drawn = new Int32Array(PLACES);
  /** In which choice a place of `#drawn` was written; of others it is empty. */
  readonly #writtenIn = new Uint32Array(PLACES);
  /** From when on each item is late. */
  #lateAt = NEVER_LATE;
  #now = 0;
  #choice = 0;
  #total = 0;
  #excluded = -1;
  /** Where in `picked` begins what is picked of the present lists. */
  #begin = 0;
  readonly #mixed: Int32Array;
  readonly picked: Int32Array;
  pickedCount = 0;

  /**
   * @param maxWanted at most 400
   * @param random uniform in [0, 1)
   */
  constructor(maxWanted: number, random: () => number) {
    this.#random = random;
    this.picked = new Int32Array(maxWanted);
    this.#mixed = new Int32Array(maxWanted);
  }

  /**
   * Forgets what was picked.
   *
   * @param lateAt from when on each item is late; those it has no number for never are
   */
  begin(lateAt: Float64Array = NEVER_LATE, now = 0): void {
    this.#lateAt = lateAt;
    this.#now = now;
    this.pickedCount = 0;
    this.clear();
  }

  /** Forgets the lists, not what was picked. */
  clear(): void {
    this.#lists.length = 0;
    this.#total = 0;
    this.#excluded = -1;
    this.#begin = this.pickedCount;
  }

  /** How many can be picked of the lists that were added. */
  get available(): number {
    return this.#total - (this.#excluded < 0 ? 0 : 1);
  }

  /** Adds a list to those that are picked from; `excluded` is the place in it of one that is left out. */
  add(list: readonly number[], excluded = -1): void {
    if (excluded >= 0) this.#excluded = this.#total + excluded;
    this.#lists.push(list);
    this.#total += list.length;
  }

  /** Hot: picks up to `wanted` of the lists that were added. */
  pick(wanted: number): void {
    const available = this.available;
    const count = Math.min(wanted, available, this.picked.length - this.pickedCount);
    if (count <= 0) return;
    this.#nextChoice();
    // Floyd's sampling: one step for each one wanted.
    for (let last = available - count; last < available; last += 1) {
      const drawn = count === available ? last : Math.floor(this.#random() * (last + 1));
      const isNew = this.#enter(drawn);
      if (!isNew) this.#enter(last);
      this.#put(this.#item(isNew ? drawn : last));
    }
    if (count < available) this.#redrawLate(available);
  }

  /** Hot: puts the late ones of all that was picked behind the others; neither change their order. */
  putLateLast(): void {
    const { picked, pickedCount } = this;
    const late = this.#mixed;
    let lateCount = 0;
    for (let place = 0; place < pickedCount; place += 1) {
      const item = picked[place] as number;
      if (this.#isLate(item)) late[lateCount++] = item;
      else picked[place - lateCount] = item;
    }
    for (let place = 0; place < lateCount; place += 1)
      picked[pickedCount - lateCount + place] = late[place] as number;
  }

  /**
   * Hot: puts what was picked in another order: of the first ones, however many, `share` are of the `leading` ones
   * that were picked first, as long as there are such and others.
   */
  mix(leading: number, share: number): void {
    const { picked, pickedCount } = this;
    const mixed = this.#mixed;
    const phase = this.#random();
    let first = 0;
    let second = leading;
    for (let place = 0; place < pickedCount; place += 1) {
      const isFirst = Math.floor((place + 1) * share + phase) > first;
      const takesFirst = first < leading && (isFirst || second === pickedCount);
      mixed[place] = picked[takesFirst ? first++ : second++] as number;
    }
    for (let place = 0; place < pickedCount; place += 1) picked[place] = mixed[place] as number;
  }

  #isLate(item: number): boolean {
    return (this.#lateAt[item] as number) <= this.#now;
  }

  /** Draws once more for each late one; it stays where what is drawn is picked already, or late as well. */
  #redrawLate(available: number): void {
    const { picked } = this;
    for (let place = this.#begin; place < this.pickedCount; place += 1) {
      if (!this.#isLate(picked[place] as number)) continue;
      const drawn = Math.floor(this.#random() * available);
      if (!this.#enter(drawn)) continue;
      const item = this.#item(drawn);
      if (!this.#isLate(item)) picked[place] = item;
    }
  }

  /** The item that was drawn. */
  #item(drawn: number): number {
    let place = this.#excluded >= 0 && drawn >= this.#excluded ? drawn + 1 : drawn;
    for (let at = 0; at < this.#lists.length; at += 1) {
      const list = this.#lists[at] as readonly number[];
      if (place < list.length) return list[place] as number;
      place -= list.length;
    }
    throw new RangeError('more was drawn than there is');
  }

  /** At a random place: askers take the first ones first. */
  #put(item: number): void {
    const { picked, pickedCount } = this;
    const place = this.#begin + Math.floor(this.#random() * (pickedCount - this.#begin + 1));
    picked[pickedCount] = picked[place] as number;
    picked[place] = item;
    this.pickedCount += 1;
  }

  #nextChoice(): void {
    this.#choice += 1;
    if (this.#choice < 2 ** 32) return;
    this.#writtenIn.fill(0);
    this.#choice = 1;
  }

  /** Notes a number as drawn; false if it was already. */
  #enter(drawn: number): boolean {
    for (let at = Math.imul(drawn, 0x9e3779b1) >>> 22; ; at = (at + 1) % PLACES) {
      if (this.#writtenIn[at] !== this.#choice) {
        this.#writtenIn[at] = this.#choice;
        this.#drawn[at] = drawn;
        return true;
      }
      if (this.#drawn[at] === drawn) return false;
    }
  }
}
