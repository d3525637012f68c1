/**
 * Names that many peers share (of nodes, of zones), each kept once and stood for by a number. Number 0 is no name.
 *
 * Invariant: a number means the same name from its first `use` until as many `release`s.
 */
export class Names {
  readonly #max: number;
  readonly #numbers = new Map<string, number>();
  readonly #names: (string | undefined)[] = [undefined];
  readonly #uses: number[] = [0];
  readonly #free: number[] = [];

  /** @param max names that are kept at a time; others get number 0 */
  constructor(max: number) {
    this.#max = max;
  }

  /** Hot: the number of a name, used once more. */
  use(name: string | undefined): number {
    if (name === undefined) return NO_NAME;
    const known = this.#numbers.get(name);
    if (known !== undefined) {
      this.#uses[known] = (this.#uses[known] as number) + 1;
      return known;
    }
    if (this.#numbers.size >= this.#max) return 0;
    const number = this.#free.pop() ?? this.#names.length;
    this.#names[number] = name;
    this.#uses[number] = 1;
    this.#numbers.set(name, number);
    return number;
  }

  /** Ends one use of a number. */
  release(number: number): void {
    if (number === 0) return;
    const uses = (this.#uses[number] as number) - 1;
    this.#uses[number] = uses;
    if (uses > 0) return;
    this.#numbers.delete(this.#names[number] as string);
    this.#names[number] = undefined;
    this.#free.push(number);
  }

  name(number: number): string | undefined {
    return this.#names[number];
  }
}

/** The number of no name at all. */
export const NO_NAME = 0;
