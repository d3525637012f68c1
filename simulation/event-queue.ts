// Virtual time: events in order of their time, equal times in order of their making. Invariant: the same calls
// give the same order, so that a simulation is a function of its seed.
// Time is cut into buckets. A bucket that is still to come keeps its events in no order; the one that is on has them
// in a heap, which is small therefore. What comes later than the buckets reach waits in the heap from the start.
// Hot: millions of events; numbers lie in typed arrays, slots are reused, nothing is allocated per event.

/** A power of two. */
const BUCKETS = 65_536;
const NONE = -1;

/** Events, each with a target, a kind and three numbers. */
export class EventQueue<Target> {
  #capacity = 1024;
  #times = new Float64Array(this.#capacity);
  #orders = new Float64Array(this.#capacity);
  #kinds = new Uint8Array(this.#capacity);
  #numbers = new Int32Array(this.#capacity * 3);
  #targets: (Target | undefined)[] = [];
  #extras: unknown[] = [];
  #heap = new Int32Array(this.#capacity);
  /** Events in the heap, and in buckets. */
  #size = 0;
  #inBuckets = 0;
  /** First slot of each bucket's list, and for each slot the next one. */
  readonly #firsts = new Int32Array(BUCKETS).fill(NONE);
  #nexts = new Int32Array(this.#capacity);
  readonly #perMillisecond: number;
  /** The bucket that is on, counted from time 0; those in lists are the next BUCKETS - 1. */
  #bucket = 0;
  #free: number[] = [];
  #slots = 0;
  #made = 0;

  // The event that next() took out.
  time = 0;
  kind = 0;
  a = 0;
  b = 0;
  c = 0;
  target: Target | undefined;
  extra: unknown;

  /** Buckets so long that some ten events fall into one, and that they reach as far as most events lie ahead, are best. */
  constructor(bucketMilliseconds: number) {
    this.#perMillisecond = 1 / bucketMilliseconds;
  }

  get size(): number {
    return this.#size + this.#inBuckets;
  }

  push(time: number, target: Target, kind: number, a = 0, b = 0, c = 0, extra?: unknown): void {
    const slot = this.#free.pop() ?? this.#newSlot();
    this.#times[slot] = time;
    this.#orders[slot] = this.#made++;
    this.#kinds[slot] = kind;
    this.#numbers[slot * 3] = a;
    this.#numbers[slot * 3 + 1] = b;
    this.#numbers[slot * 3 + 2] = c;
    this.#targets[slot] = target;
    this.#extras[slot] = extra;
    const bucket = this.#bucketOf(slot);
    if (bucket <= this.#bucket || bucket >= this.#bucket + BUCKETS) {
      this.#rise(this.#size++, slot);
      return;
    }
    const place = bucket & (BUCKETS - 1);
    this.#nexts[slot] = this.#firsts[place] as number;
    this.#firsts[place] = slot;
    this.#inBuckets++;
  }

  /** Takes the earliest event out, into the fields above. False if there is none. */
  next(): boolean {
    if (this.size === 0) return false;
    while (this.#inBuckets > 0 && !this.#isOn()) this.#turn();
    if (this.#inBuckets === 0) this.#bucket = Math.max(this.#bucket, this.#bucketOf(this.#heap[0] as number));
    const slot = this.#heap[0] as number;
    this.time = this.#times[slot] as number;
    this.kind = this.#kinds[slot] as number;
    this.a = this.#numbers[slot * 3] as number;
    this.b = this.#numbers[slot * 3 + 1] as number;
    this.c = this.#numbers[slot * 3 + 2] as number;
    this.target = this.#targets[slot];
    this.extra = this.#extras[slot];
    this.#targets[slot] = undefined;
    this.#extras[slot] = undefined;
    this.#free.push(slot);
    const last = this.#heap[--this.#size] as number;
    if (this.#size > 0) this.#sink(last);
    return true;
  }

  #bucketOf(slot: number): number {
    return Math.floor((this.#times[slot] as number) * this.#perMillisecond);
  }

  /** True if the first of the heap is of the bucket that is on. */
  #isOn(): boolean {
    return this.#size > 0 && this.#bucketOf(this.#heap[0] as number) <= this.#bucket;
  }

  /** Goes on to the next bucket. */
  #turn(): void {
    this.#bucket++;
    const place = this.#bucket & (BUCKETS - 1);
    let slot = this.#firsts[place] as number;
    this.#firsts[place] = NONE;
    while (slot !== NONE) {
      this.#inBuckets--;
      this.#rise(this.#size++, slot);
      slot = this.#nexts[slot] as number;
    }
  }

  #newSlot(): number {
    if (this.#slots === this.#capacity) {
      this.#capacity *= 2;
      this.#times = grownFloats(this.#times, this.#capacity);
      this.#orders = grownFloats(this.#orders, this.#capacity);
      const kinds = new Uint8Array(this.#capacity);
      kinds.set(this.#kinds);
      this.#kinds = kinds;
      this.#numbers = grownIntegers(this.#numbers, this.#capacity * 3);
      this.#heap = grownIntegers(this.#heap, this.#capacity);
      this.#nexts = grownIntegers(this.#nexts, this.#capacity);
    }
    return this.#slots++;
  }

  #isBefore(a: number, b: number): boolean {
    const timeA = this.#times[a] as number;
    const timeB = this.#times[b] as number;
    return timeA < timeB || (timeA === timeB && (this.#orders[a] as number) < (this.#orders[b] as number));
  }

  #rise(place: number, slot: number): void {
    let at = place;
    while (at > 0) {
      const parent = (at - 1) >> 2;
      const other = this.#heap[parent] as number;
      if (!this.#isBefore(slot, other)) break;
      this.#heap[at] = other;
      at = parent;
    }
    this.#heap[at] = slot;
  }

  #sink(slot: number): void {
    let at = 0;
    for (;;) {
      const first = at * 4 + 1;
      if (first >= this.#size) break;
      let child = first;
      const end = Math.min(first + 4, this.#size);
      for (let i = first + 1; i < end; i++) {
        if (this.#isBefore(this.#heap[i] as number, this.#heap[child] as number)) child = i;
      }
      const other = this.#heap[child] as number;
      if (!this.#isBefore(other, slot)) break;
      this.#heap[at] = other;
      at = child;
    }
    this.#heap[at] = slot;
  }
}

function grownFloats(old: Float64Array<ArrayBuffer>, length: number): Float64Array<ArrayBuffer> {
  const grown = new Float64Array(length);
  grown.set(old);
  return grown;
}

function grownIntegers(old: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(length);
  grown.set(old);
  return grown;
}
