// Time, handed in, and times as the API writes them.

/** Milliseconds since 1970; Date.now outside of tests. */
export type Clock = () => number;

/** A time of the API (RFC 3339) in milliseconds since 1970; undefined for none, or for one that is no time. */
export function millisecondsOf(time: unknown): number | undefined {
  if (time === undefined || time === null) return undefined;
  const value = time instanceof Date ? time.getTime() : Date.parse(String(time));
  return Number.isNaN(value) ? undefined : value;
}

/** Milliseconds since 1970 as the API writes times, in whole seconds. */
export function apiTime(milliseconds: number): string {
  return new Date(Math.floor(milliseconds / 1000) * 1000).toISOString().replace('.000Z', 'Z');
}

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
