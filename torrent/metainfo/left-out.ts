// What of a torrent is malformed and can be done without. Invariant: whatever a torrent says, this is a few short
// lines, one for each kind of fault.

/** Kinds of faults that are named; the others are counted. */
const MAX_NAMED = 10;

/** Collects what is left out of one torrent. */
export class LeftOut {
  readonly #texts = new Map<string, { first: string; count: number }>();
  #unnamed = 0;

  /**
   * Something is left out.
   * @param key the key whose value is odd; each is named once
   * @param fault what is wrong with it, such as `is not a string`
   * @param where of which file, where there are several
   */
  add(key: string, fault: string, where = ''): void {
    const there = this.#texts.get(key);
    if (there !== undefined) there.count++;
    else if (this.#texts.size < MAX_NAMED)
      this.#texts.set(key, { first: `${key}${where} ${fault}`, count: 1 });
    else this.#unnamed++;
  }

  /** One line for each kind. */
  lines(): string[] {
    const lines = [...this.#texts.values()].map(({ first, count }) =>
      count === 1 ? first : `${first} (and ${count - 1} more like it)`,
    );
    return this.#unnamed === 0 ? lines : [...lines, `${this.#unnamed} more`];
  }
}
