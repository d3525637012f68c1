// One after the other. Invariant: of the work handed to one object at most one piece is under way, in the order it
// came; how one ends makes no difference to the next.

/** A queue of asynchronous work. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Does the work when all that came before has ended. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    // Its own caller is told of a failure; whoever is next does not care.
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Resolves when all that came before now has ended. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
