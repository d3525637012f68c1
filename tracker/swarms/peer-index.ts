/**
 * Finds a peer by swarm and compact address: a hash table with open addressing over the columns of the peers, so
 * that an entry takes 4 bytes and a bit of room. The hash is keyed, so that nobody can choose addresses that meet.
 *
 * Invariant: every peer that was added stands between its hash's place and the next empty place; at least three
 * eighths of the places are empty.
 */
import { randomInt } from 'node:crypto';
import { COMPACT_IPV6_BYTES } from './peer-address.ts';
import { NOBODY, type PeerTable } from './peer-table.ts';

const FIRST_PLACES = 64;
/** Part of the places that may be taken, in eighths. */
const FULL_EIGHTHS = 5;

export class PeerIndex {
  readonly #table: PeerTable;
  readonly #seed = randomInt(2 ** 32);
  #places = new Int32Array(FIRST_PLACES).fill(NOBODY);
  #count = 0;

  constructor(table: PeerTable) {
    this.#table = table;
  }

  /** Bytes that the table takes. */
  get bytes(): number {
    return this.#places.byteLength;
  }

  /** Hot: the peer at an address in a swarm; NOBODY if there is none. */
  find(swarm: number, compact: Uint8Array): number {
    const places = this.#places;
    const mask = places.length - 1;
    for (let at = this.#hash(swarm, compact, 0, compact.length) & mask; ; at = (at + 1) & mask) {
      const peer = places[at] as number;
      if (peer === NOBODY || this.#is(peer, swarm, compact)) return peer;
    }
  }

  /** Adds a peer whose group and address are written. */
  add(peer: number): void {
    if (this.#count * 8 >= this.#places.length * FULL_EIGHTHS) this.#grow();
    this.#count += 1;
    this.#put(peer);
  }

  /** Takes a peer out, while its group and address are still written. */
  remove(peer: number): void {
    const places = this.#places;
    const mask = places.length - 1;
    let hole = this.#home(peer);
    while (places[hole] !== peer) {
      if (places[hole] === NOBODY) return;
      hole = (hole + 1) & mask;
    }
    this.#count -= 1;
    // Whoever stands behind the hole and may stand in it moves there, so that no search ends too early.
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const other = places[at] as number;
      if (other === NOBODY) break;
      const distance = (at - this.#home(other)) & mask;
      if (distance < ((at - hole) & mask)) continue;
      places[hole] = other;
      hole = at;
    }
    places[hole] = NOBODY;
  }

  #put(peer: number): void {
    const places = this.#places;
    const mask = places.length - 1;
    let at = this.#home(peer);
    while (places[at] !== NOBODY) at = (at + 1) & mask;
    places[at] = peer;
  }

  #grow(): void {
    const old = this.#places;
    this.#places = new Int32Array(old.length * 2).fill(NOBODY);
    for (const peer of old) if (peer !== NOBODY) this.#put(peer);
  }

  #home(peer: number): number {
    const table = this.#table;
    const start = peer * COMPACT_IPV6_BYTES;
    const swarm = table.group[peer]?.swarm.number ?? 0;
    const hash = this.#hash(swarm, table.compact, start, start + table.compactLength(peer));
    return hash & (this.#places.length - 1);
  }

  #hash(swarm: number, bytes: Uint8Array, start: number, end: number): number {
    let hash = Math.imul(this.#seed ^ swarm, 0x9e3779b1);
    for (let at = start; at < end; at += 1) {
      hash = Math.imul(hash ^ (bytes[at] as number), 0x85ebca6b);
      hash ^= hash >>> 15;
    }
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) >>> 0;
  }

  #is(peer: number, swarm: number, compact: Uint8Array): boolean {
    const table = this.#table;
    if (table.group[peer]?.swarm.number !== swarm) return false;
    if (table.compactLength(peer) !== compact.length) return false;
    const start = peer * COMPACT_IPV6_BYTES;
    for (let at = 0; at < compact.length; at += 1)
      if (table.compact[start + at] !== compact[at]) return false;
    return true;
  }
}
