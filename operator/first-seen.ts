// What holds since when, for what the API puts no time on.

/**
 * Since when something holds that the API puts no time on, such as a node without an agent Pod.
 *
 * Invariant: what is forgotten only makes the operator wait anew; nothing else hangs on it.
 */
export class FirstSeen {
  readonly #since = new Map<string, Map<string, number>>();

  /**
   * One look at `subject`. `note(what)` says since when `what` holds without a break; `close` forgets
   * everything of the subject that this look did not note.
   */
  look(subject: string, nowMilliseconds: number): { note(what: string): number; close(): void } {
    const before = this.#since.get(subject);
    const noted = new Map<string, number>();
    return {
      note: (what) => {
        const since = noted.get(what) ?? before?.get(what) ?? nowMilliseconds;
        noted.set(what, since);
        return since;
      },
      close: () => {
        if (noted.size > 0) this.#since.set(subject, noted);
        else this.#since.delete(subject);
      },
    };
  }
}
