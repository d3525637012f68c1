// When a status may be written: transitions as soon as there is a place, progress every 2 seconds a distribution
// at most, and all distributions together 20 times a second at most.
//
// Invariant: who must wait is given a time of its own and need not ask before it, so that 500 distributions that
// wait are looked at 500 times and not as often as there is a place for one. Progress takes half of all places
// at most, so that it never stands in the way of transitions for long.

/** Least time between two writes of progress of one distribution. */
export const PROGRESS_INTERVAL_MILLISECONDS = 2_000;
const WRITES_PER_SECOND = 20;
const PROGRESS_WRITES_PER_SECOND = 10;

/** A line of places, so many a second; those of one second may be taken at once. */
class Line {
  readonly #perSecond: number;
  #next = Number.NEGATIVE_INFINITY;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** The next free place, at `now` or later. */
  take(now: number): number {
    const apart = 1000 / this.#perSecond;
    const free = Math.max(this.#next, now - (this.#perSecond - 1) * apart);
    this.#next = free + apart;
    return Math.max(free, now);
  }

  reset(): void {
    this.#next = Number.NEGATIVE_INFINITY;
  }
}

interface Place {
  readonly at: number;
  /** Whether it is one among all writes; else it is one among those of progress, and the other is to come. */
  readonly isFinal: boolean;
}

/** Gives out the times of status writes. */
export class StatusThrottle {
  readonly #all = new Line(WRITES_PER_SECOND);
  readonly #progress = new Line(PROGRESS_WRITES_PER_SECOND);
  readonly #lastWrite = new Map<string, number>();
  readonly #places = new Map<string, Place>();
  #latest = Number.NEGATIVE_INFINITY;

  /**
   * Asks for a write, and counts it when it may be.
   *
   * @returns 0 when it may be done now, else how many milliseconds to wait before asking again
   */
  ask(uid: string, isTransition: boolean, nowMilliseconds: number): number {
    this.#noteTime(nowMilliseconds);
    let place = this.#places.get(uid);
    if (isTransition && place?.isFinal !== true) place = this.#placeAmongAll(nowMilliseconds);
    else if (place === undefined) place = this.#placeOfProgress(uid, nowMilliseconds);
    if (place.at <= nowMilliseconds && !place.isFinal) place = this.#placeAmongAll(nowMilliseconds);
    if (place.at > nowMilliseconds) {
      this.#places.set(uid, place);
      return Math.ceil(place.at - nowMilliseconds);
    }
    this.#places.delete(uid);
    this.#lastWrite.set(uid, nowMilliseconds);
    return 0;
  }

  /** The distribution is gone. */
  forget(uid: string): void {
    this.#lastWrite.delete(uid);
    this.#places.delete(uid);
  }

  #placeAmongAll(now: number): Place {
    return { at: this.#all.take(now), isFinal: true };
  }

  #placeOfProgress(uid: string, now: number): Place {
    const earliest = (this.#lastWrite.get(uid) ?? Number.NEGATIVE_INFINITY) + PROGRESS_INTERVAL_MILLISECONDS;
    return { at: Math.max(earliest, this.#progress.take(now)), isFinal: false };
  }

  /** A clock that was set back must not make everybody wait until it is where it was. */
  #noteTime(now: number): void {
    if (now < this.#latest) {
      this.#all.reset();
      this.#progress.reset();
      this.#lastWrite.clear();
      this.#places.clear();
    }
    this.#latest = now;
  }
}
