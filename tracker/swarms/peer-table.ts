/**
 * What a tracker remembers of each peer, in columns: a peer is a number, and a place in some typed arrays. A
 * hundred thousand objects would take four times the memory, and the garbage collector's time at every look.
 *
 * Invariant: a number is either in use (between `take` and `release`) or on the free list; columns are replaced
 * when they grow, so nobody keeps one across a `take`. They grow in place: addresses for the most peers there may
 * be are reserved, which takes no memory, since copies would stay in memory until garbage is collected.
 */
import { COMPACT_IPV4_BYTES, COMPACT_IPV6_BYTES } from './peer-address.ts';
import type { PeerGroup } from './swarm.ts';

/** No peer: ends lists. */
export const NOBODY = -1;
export const PEER_ID_BYTES = 20;

/** What is true of a peer, in bits. */
export const Flag = {
  Ipv6: 1,
  /** Its `completed` was counted, or it came complete. */
  Completed: 2,
  /** It downloads no more, complete or not (BEP 21). */
  Uploader: 4,
  /** It lacks nothing. */
  Seed: 8,
  /** It is a client of ours. */
  Own: 16,
} as const;

const FIRST_CAPACITY = 64;
/** Doubling up to here, then by an eighth: what is grown beyond need stays small against the memory of a peer. */
const DOUBLED_CAPACITY = 16_384;

/** A kind of typed array, whose memory may grow. */
interface Column<T> {
  new (buffer: ArrayBuffer, start: number, length: number): T;
  readonly BYTES_PER_ELEMENT: number;
}

export class PeerTable {
  /** The compact address, 18 bytes a peer, of which IPv4 uses the first 6. */
  compact: Uint8Array = new Uint8Array(0);
  peerId: Uint8Array = new Uint8Array(0);
  uploadedBytes: Float64Array = new Float64Array(0);
  downloadedBytes: Float64Array = new Float64Array(0);
  leftBytes: Float64Array = new Float64Array(0);
  /** From when on it is late to announce, in milliseconds of a monotonic clock. */
  lateAt: Float64Array = new Float64Array(0);
  /** When it is forgotten, likewise. */
  expiresAt: Float64Array = new Float64Array(0);
  /** The expiry wheel's slot, and the neighbours there. */
  slot: Int32Array = new Int32Array(0);
  next: Int32Array = new Int32Array(0);
  previous: Int32Array = new Int32Array(0);
  /** Where it stands in its group's list. */
  place: Int32Array = new Int32Array(0);
  /** Number of its node's name; 0 for none. */
  node: Int32Array = new Int32Array(0);
  /** What it proves itself with, hashed; 0 for none. */
  key: Uint32Array = new Uint32Array(0);
  flags: Uint8Array = new Uint8Array(0);
  readonly group: (PeerGroup | undefined)[] = [];
  readonly #maxPeers: number;
  #capacity = 0;
  /** Numbers that were never used begin here. */
  #fresh = 0;
  /** First of the free numbers, chained by `next`. */
  #free = NOBODY;
  #size = 0;

  /** @param maxPeers the most numbers that are in use at a time */
  constructor(maxPeers: number) {
    this.#maxPeers = maxPeers;
  }

  /** How many numbers are in use. */
  get size(): number {
    return this.#size;
  }

  /** Bytes that the columns take. */
  get bytes(): number {
    return this.#capacity * (COMPACT_IPV6_BYTES + PEER_ID_BYTES + 5 * 8 + 6 * 4 + 1) + this.group.length * 8;
  }

  /** A number for a new peer; its columns hold what the last one left there. @throws RangeError if all are in use */
  take(): number {
    this.#size += 1;
    const free = this.#free;
    if (free !== NOBODY) {
      this.#free = this.next[free] as number;
      return free;
    }
    if (this.#fresh === this.#capacity) this.#grow();
    this.group.push(undefined);
    const fresh = this.#fresh;
    this.#fresh += 1;
    return fresh;
  }

  /** Gives a number back. */
  release(peer: number): void {
    this.#size -= 1;
    this.group[peer] = undefined;
    this.next[peer] = this.#free;
    this.#free = peer;
  }

  has(peer: number, flag: number): boolean {
    return ((this.flags[peer] as number) & flag) !== 0;
  }

  mark(peer: number, flag: number, isSet: boolean): void {
    const flags = this.flags[peer] as number;
    this.flags[peer] = isSet ? flags | flag : flags & ~flag;
  }

  /** Bytes of a peer's compact address. */
  compactLength(peer: number): number {
    return this.has(peer, Flag.Ipv6) ? COMPACT_IPV6_BYTES : COMPACT_IPV4_BYTES;
  }

  /** A copy of a peer's compact address. */
  compactOf(peer: number): Buffer {
    const start = peer * COMPACT_IPV6_BYTES;
    return Buffer.from(this.compact.subarray(start, start + this.compactLength(peer)));
  }

  /** A copy of a peer's id. */
  peerIdOf(peer: number): Buffer {
    return Buffer.from(this.peerId.subarray(peer * PEER_ID_BYTES, (peer + 1) * PEER_ID_BYTES));
  }

  /** Writes a new peer's address. */
  setAddress(peer: number, compact: Uint8Array): void {
    this.compact.set(compact, peer * COMPACT_IPV6_BYTES);
    this.mark(peer, Flag.Ipv6, compact.length === COMPACT_IPV6_BYTES);
  }

  hasPeerId(peer: number, peerId: Uint8Array): boolean {
    const start = peer * PEER_ID_BYTES;
    for (let at = 0; at < PEER_ID_BYTES; at += 1) if (this.peerId[start + at] !== peerId[at]) return false;
    return true;
  }

  #grow(): void {
    const old = this.#capacity;
    const wanted = old < DOUBLED_CAPACITY ? Math.max(FIRST_CAPACITY, old * 2) : Math.ceil((old * 9) / 8);
    const capacity = Math.max(old + 1, Math.min(wanted, this.#maxPeers));
    this.compact = this.#grown(Uint8Array, this.compact, capacity, COMPACT_IPV6_BYTES);
    this.peerId = this.#grown(Uint8Array, this.peerId, capacity, PEER_ID_BYTES);
    this.uploadedBytes = this.#grown(Float64Array, this.uploadedBytes, capacity);
    this.downloadedBytes = this.#grown(Float64Array, this.downloadedBytes, capacity);
    this.leftBytes = this.#grown(Float64Array, this.leftBytes, capacity);
    this.lateAt = this.#grown(Float64Array, this.lateAt, capacity);
    this.expiresAt = this.#grown(Float64Array, this.expiresAt, capacity);
    this.slot = this.#grown(Int32Array, this.slot, capacity);
    this.next = this.#grown(Int32Array, this.next, capacity);
    this.previous = this.#grown(Int32Array, this.previous, capacity);
    this.place = this.#grown(Int32Array, this.place, capacity);
    this.node = this.#grown(Int32Array, this.node, capacity);
    this.key = this.#grown(Uint32Array, this.key, capacity);
    this.flags = this.#grown(Uint8Array, this.flags, capacity);
    this.#capacity = capacity;
  }

  /** A column as it was, with room for `capacity` peers. */
  #grown<T extends { readonly buffer: ArrayBufferLike }>(
    column: Column<T>,
    old: T,
    capacity: number,
    elements = 1,
  ): T {
    const peerBytes = column.BYTES_PER_ELEMENT * elements;
    let buffer = old.buffer as ArrayBuffer;
    if (!buffer.resizable) buffer = new ArrayBuffer(0, { maxByteLength: this.#maxPeers * peerBytes });
    buffer.resize(capacity * peerBytes);
    return new column(buffer, 0, capacity * elements);
  }
}
