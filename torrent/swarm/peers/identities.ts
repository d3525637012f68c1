// Who is behind a connection, as a number that outlives it. Invariants: equal identities have one number as long as
// they are remembered; numbers are never given again; those of connected peers are always remembered, others only
// while there is room, so that coming and going under many names costs no memory. What was sent to an identity is
// remembered as long as its number, so that nobody is in need again by coming again.
import { MAX_KNOWN_IDENTITIES } from '../tunables.ts';

/** Identities of one swarm's peers, present and past. */
export class Identities {
  /** In order of their last connection, oldest first. */
  readonly #numbers = new Map<string, number>();
  readonly #names = new Map<number, string>();
  readonly #servedBytes = new Map<number, number>();
  #next = 0;

  get size(): number {
    return this.#numbers.size;
  }

  /** A peer connects: its number. `isConnected` tells which identities must not be forgotten for it. */
  enter(identity: string, isConnected: (identity: string) => boolean): number {
    const number = this.#numbers.get(identity) ?? this.#next++;
    this.#numbers.delete(identity);
    this.#numbers.set(identity, number);
    this.#names.set(number, identity);
    if (this.#numbers.size > MAX_KNOWN_IDENTITIES) this.#forgetOldest(identity, isConnected);
    return number;
  }

  /** A peer of the identity leaves, having been served so much in all. */
  leave(number: number, servedBytes: number): void {
    if (servedBytes > 0 && this.#names.has(number)) this.#servedBytes.set(number, servedBytes);
  }

  /** What the last peer of the identity that left had been served. */
  servedBytes(number: number): number {
    return this.#servedBytes.get(number) ?? 0;
  }

  /** Whose number it is; undefined if that is forgotten. */
  nameOf(number: number): string | undefined {
    return this.#names.get(number);
  }

  #forgetOldest(newest: string, isConnected: (identity: string) => boolean): void {
    for (const [identity, number] of this.#numbers) {
      if (identity === newest || isConnected(identity)) continue;
      this.#numbers.delete(identity);
      this.#names.delete(number);
      this.#servedBytes.delete(number);
      return;
    }
  }
}
