// One after the other. Invariant: of the work that wants to be alone at most one piece is under way, in the order it
// came, and no shared work beside it; how one ends makes no difference to the next.

/** Keeps asynchronous work apart. It is not reentrant: work that waits for the mutex it runs under waits for ever. */
export class Mutex {
  #last: Promise<unknown> = Promise.resolve();
  /** Shared work that is under way. */
  readonly #shared = new Set<Promise<unknown>>();

  /** Does the work when all that came before has ended. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#shared.size === 0 ? this.#last : Promise.allSettled([this.#last, ...this.#shared]);
    const result = before.then(work);
    // Its own caller is told of a failure; whoever is next does not care.
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Does the work when all that came before and wanted to be alone has ended; beside other shared work. */
  share<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    const settled: Promise<unknown> = result.then(
      () => this.#shared.delete(settled),
      () => this.#shared.delete(settled),
    );
    this.#shared.add(settled);
    return result;
  }

  /** Resolves when all that came before now has ended. */
  async idle(): Promise<void> {
    await Promise.allSettled([this.#last, ...this.#shared]);
  }
}
