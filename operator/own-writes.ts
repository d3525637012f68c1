// A cache that shows what we wrote before the watch does: without it a reconcile that runs between a write and
// its event would decide on what was before, and elect a second node.
//
// Invariant: of two versions of one object the newer is shown; a write of ours is shown for 10 seconds at most
// without the watch confirming it.
import type { Clock } from '../base/index.ts';
import { type AnyObject, keyOf, type ObjectCache } from './ports.ts';

/** After this the watch has the last word, whatever it says. */
const TRUST_MILLISECONDS = 10_000;

interface Written<T> {
  readonly at: number;
  /** Undefined for an object that we deleted. */
  readonly object: T | undefined;
  readonly uid: string | undefined;
}

/** Resource versions are decimal numbers that rise (KEP-5504); what is no number counts as the older. */
function versionOf(object: AnyObject): bigint {
  const version = object.metadata?.resourceVersion ?? '';
  return /^[0-9]+$/.test(version) ? BigInt(version) : -1n;
}

export class OwnWrites<T extends AnyObject> implements ObjectCache<T> {
  readonly #cache: ObjectCache<T>;
  readonly #clock: Clock;
  readonly #written = new Map<string, Written<T>>();

  constructor(cache: ObjectCache<T>, clock: Clock) {
    this.#cache = cache;
    this.#clock = clock;
  }

  /** What a write of ours gave back. */
  wrote(object: T): void {
    const key = keyOf(object);
    const known = this.#written.get(key)?.object;
    if (known !== undefined && versionOf(known) > versionOf(object)) return;
    this.#written.set(key, { at: this.#clock.now(), object, uid: object.metadata?.uid });
  }

  /** We deleted it, and nothing holds it back. */
  deleted(object: T): void {
    this.#written.set(keyOf(object), { at: this.#clock.now(), object: undefined, uid: object.metadata?.uid });
  }

  get(key: string): T | undefined {
    return this.#newer(key, this.#cache.get(key));
  }

  list(): readonly T[] {
    const cached = this.#cache.list();
    if (this.#written.size === 0) return cached;
    const seen = new Set<string>();
    const objects: T[] = [];
    for (const object of cached) {
      const key = keyOf(object);
      seen.add(key);
      const newer = this.#newer(key, object);
      if (newer !== undefined) objects.push(newer);
    }
    for (const key of [...this.#written.keys()]) {
      if (seen.has(key)) continue;
      const newer = this.#newer(key, undefined);
      if (newer !== undefined) objects.push(newer);
    }
    return objects;
  }

  #newer(key: string, cached: T | undefined): T | undefined {
    const written = this.#written.get(key);
    if (written === undefined) return cached;
    if (this.#clock.now() - written.at > TRUST_MILLISECONDS || this.#isConfirmed(written, cached)) {
      this.#written.delete(key);
      return cached;
    }
    return written.object;
  }

  /** Whether the watch shows what we wrote, or something later. */
  #isConfirmed({ object, uid }: Written<T>, cached: T | undefined): boolean {
    if (object === undefined) return cached === undefined || cached.metadata?.uid !== uid;
    return cached !== undefined && versionOf(cached) >= versionOf(object);
  }
}
