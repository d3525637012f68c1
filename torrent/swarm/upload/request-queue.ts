// Requests in order of arrival. Invariant: at most one entry per equal request is taken out by remove(), and
// entries keep their order. Hot: typed storage that grows by doubling; nothing allocates per request.

/** So few that they lie in the object itself: most queues of a large swarm stay short. */
const FIRST_CAPACITY = 5;

/** A first-in first-out queue of (piece, begin, length). */
export class RequestQueue {
  #capacity = FIRST_CAPACITY;
  #fields = new Int32Array(3 * FIRST_CAPACITY);
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(piece: number, begin: number, length: number): void {
    if (this.#size === this.#capacity) this.#grow();
    const at = this.#at(this.#size++);
    this.#fields[at] = piece;
    this.#fields[at + 1] = begin;
    this.#fields[at + 2] = length;
  }

  /** Of the first request; there must be one. */
  get firstPiece(): number {
    return this.#fields[this.#at(0)] as number;
  }

  get firstBegin(): number {
    return this.#fields[this.#at(0) + 1] as number;
  }

  get firstLength(): number {
    return this.#fields[this.#at(0) + 2] as number;
  }

  /** Piece and begin of the request at a place from the front. */
  pieceAt(place: number): number {
    return this.#fields[this.#at(place)] as number;
  }

  beginAt(place: number): number {
    return this.#fields[this.#at(place) + 1] as number;
  }

  /** Puts the request at a place from the front before all others. */
  bringForward(place: number): void {
    const at = this.#at(place);
    const [piece, begin, length] = [this.#fields[at], this.#fields[at + 1], this.#fields[at + 2]];
    for (let i = place; i > 0; i--) {
      const from = this.#at(i - 1);
      this.#fields.copyWithin(this.#at(i), from, from + 3);
    }
    const first = this.#at(0);
    this.#fields[first] = piece as number;
    this.#fields[first + 1] = begin as number;
    this.#fields[first + 2] = length as number;
  }

  /** Takes the first request out. */
  shift(): void {
    this.#head++;
    if (this.#head === this.#capacity) this.#head = 0;
    this.#size--;
  }

  /** Takes out one equal request; false if there is none. */
  remove(piece: number, begin: number, length: number): boolean {
    for (let i = 0; i < this.#size; i++) {
      const at = this.#at(i);
      if (this.#fields[at] !== piece || this.#fields[at + 1] !== begin || this.#fields[at + 2] !== length) {
        continue;
      }
      for (let j = i; j + 1 < this.#size; j++) {
        const to = this.#at(j);
        this.#fields.copyWithin(to, this.#at(j + 1), this.#at(j + 1) + 3);
      }
      this.#size--;
      return true;
    }
    return false;
  }

  clear(): void {
    this.#size = 0;
    this.#head = 0;
  }

  #at(index: number): number {
    const place = this.#head + index;
    return (place < this.#capacity ? place : place - this.#capacity) * 3;
  }

  #grow(): void {
    const grown = new Int32Array(this.#capacity * 2 * 3);
    for (let i = 0; i < this.#size; i++) {
      const at = this.#at(i);
      grown.set(this.#fields.subarray(at, at + 3), i * 3);
    }
    this.#fields = grown;
    this.#capacity *= 2;
    this.#head = 0;
  }
}
