/**
 * How many peers one host has put into the registry, roughly and in a fixed room: hosts share counters by a keyed
 * hash, so that a count is never too low and seldom too high. It keeps one host from filling the registry.
 */
import { randomInt } from 'node:crypto';

/** Two counters a host, of which the lower one counts, make it unlikely that an honest host is taken for another. */
const COUNTERS = 65_536;

export class AddressLoad {
  readonly #first = new Uint32Array(COUNTERS);
  readonly #second = new Uint32Array(COUNTERS);
  readonly #seed = randomInt(2 ** 32);

  /** How many peers a host has, at most. The host is `bytes` from `start`, of `length` bytes. */
  count(bytes: Uint8Array, start: number, length: number): number {
    const hash = this.#hash(bytes, start, length);
    return Math.min(this.#first[hash & 0xffff] as number, this.#second[hash >>> 16] as number);
  }

  /** Adds 1, or takes it back with -1. */
  change(bytes: Uint8Array, start: number, length: number, by: 1 | -1): void {
    const hash = this.#hash(bytes, start, length);
    this.#first[hash & 0xffff] = (this.#first[hash & 0xffff] as number) + by;
    this.#second[hash >>> 16] = (this.#second[hash >>> 16] as number) + by;
  }

  #hash(bytes: Uint8Array, start: number, length: number): number {
    // Whoever has an IPv6 address has a network of them: the first half names the host.
    const counted = length === 16 ? 8 : length;
    let hash = this.#seed;
    for (let at = start; at < start + counted; at += 1) {
      hash = Math.imul(hash ^ (bytes[at] as number), 0x85ebca6b);
      hash ^= hash >>> 13;
    }
    hash = Math.imul(hash ^ (hash >>> 16), 0xc2b2ae35);
    return (hash ^ (hash >>> 15)) >>> 0;
  }
}
