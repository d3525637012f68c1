// Keys that wait to be worked on. Invariant: a key is worked on by one worker at a time, and one that is added
// while it is worked on is worked on once more afterwards, however often it was added.
import { type BackoffBounds, backoffMilliseconds, type Clock, systemClock } from '../base/index.ts';

/** Delays of keys that fail, in milliseconds. */
export interface WorkQueueOptions {
  readonly clock?: Clock;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
  readonly baseDelayMilliseconds?: number;
  readonly maxDelayMilliseconds?: number;
}

/** How keys are worked on. */
export interface WorkOptions<K> {
  /** Keys that are worked on side by side, at least 1. */
  readonly workers: number;
  /** A key whose handler rejects is added again, after a delay that grows. */
  handler(key: K, signal: AbortSignal): Promise<void>;
  readonly signal: AbortSignal;
}

const BASE_DELAY_MILLISECONDS = 100;
const MAX_DELAY_MILLISECONDS = 60_000;

export class WorkQueue<K> {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #backoff: BackoffBounds;
  /** In the order in which they were added. */
  readonly #waiting = new Set<K>();
  readonly #inWork = new Set<K>();
  /** Added while in work. */
  readonly #again = new Set<K>();
  readonly #later = new Map<K, { at: number; cancel: () => void }>();
  readonly #failures = new Map<K, number>();
  readonly #idleWorkers: (() => void)[] = [];

  constructor(options: WorkQueueOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#backoff = {
      firstMilliseconds: options.baseDelayMilliseconds ?? BASE_DELAY_MILLISECONDS,
      maxMilliseconds: options.maxDelayMilliseconds ?? MAX_DELAY_MILLISECONDS,
    };
  }

  /** Keys that wait to be worked on now. */
  get length(): number {
    return this.#waiting.size;
  }

  /** Adds a key, unless it waits already. */
  add(key: K): void {
    if (this.#inWork.has(key)) {
      this.#again.add(key);
      return;
    }
    this.#waiting.add(key);
    this.#idleWorkers.shift()?.();
  }

  /** Adds a key after a delay; of several delays for one key, the one that ends first counts. */
  addAfter(key: K, delayMilliseconds: number): void {
    if (delayMilliseconds <= 0) {
      this.add(key);
      return;
    }
    const at = this.#clock.now() + delayMilliseconds;
    const present = this.#later.get(key);
    if (present !== undefined && present.at <= at) return;
    present?.cancel();
    const cancel = this.#clock.after(delayMilliseconds, () => {
      this.#later.delete(key);
      this.add(key);
    });
    this.#later.set(key, { at, cancel });
  }

  /** Adds a key that failed, after a delay that doubles each time until forget(). */
  addRateLimited(key: K): void {
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    this.addAfter(key, backoffMilliseconds(failures, this.#backoff, this.#random));
  }

  /** The key has worked: its next failure begins with the smallest delay. */
  forget(key: K): void {
    this.#failures.delete(key);
  }

  /** Works until the signal aborts and what was begun is done; delayed keys are dropped then. */
  async run({ workers, handler, signal }: WorkOptions<K>): Promise<void> {
    const wakeAll = () => {
      for (const wake of this.#idleWorkers.splice(0)) wake();
    };
    signal.addEventListener('abort', wakeAll, { once: true });
    try {
      await Promise.all(Array.from({ length: workers }, () => this.#work(handler, signal)));
    } finally {
      signal.removeEventListener('abort', wakeAll);
      for (const { cancel } of this.#later.values()) cancel();
      this.#later.clear();
    }
  }

  async #work(handler: WorkOptions<K>['handler'], signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const next = this.#waiting.values().next();
      if (next.done) {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#idleWorkers.push(resolve);
        await promise;
        continue;
      }
      const key = next.value;
      this.#waiting.delete(key);
      this.#inWork.add(key);
      try {
        await handler(key, signal);
      } catch {
        this.addRateLimited(key); // Who wants to know why catches it in the handler.
      } finally {
        this.#inWork.delete(key);
        if (this.#again.delete(key)) this.add(key);
      }
    }
  }
}
