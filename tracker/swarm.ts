/**
 * Who is in one swarm. Joining, leaving and turning from leecher to seed take the same time in a swarm of any
 * size, and so does picking peers for an answer.
 *
 * Invariant: a peer is in `#peers` and in exactly one of the arrays `#seeds` (nothing left) and `#leechers`, at
 * its `index` there.
 */
import type { Expiring } from './expiry-wheel.ts';
import type { PeerAddress } from './peer-address.ts';

/** What a peer says of itself in an announce. */
export interface PeerReport {
  readonly address: PeerAddress;
  readonly peerId: Buffer;
  readonly uploadedBytes: number;
  readonly downloadedBytes: number;
  /** 0 makes it a seed. */
  readonly leftBytes: number;
  readonly node: string | undefined;
}

/** A member of a swarm. Its fields are the swarm's to write. */
export interface Peer extends Expiring {
  readonly swarm: Swarm;
  /** What tells peers of a swarm apart: the bytes of their address and port. */
  readonly key: string;
  address: PeerAddress;
  peerId: Buffer;
  uploadedBytes: number;
  downloadedBytes: number;
  leftBytes: number;
  node: string | undefined;
  /** Whether its `completed` event was counted. */
  completed: boolean;
  index: number;
}

/** The counts of BEP 48. */
export interface SwarmCounts {
  readonly seeders: number;
  readonly leechers: number;
  /** How many peers ever told that they completed here. */
  readonly completed: number;
}

/** One swarm in figures, for the operator and for people. */
export interface SwarmSummary extends SwarmCounts {
  readonly infoHash: string;
  readonly peers: number;
  /** Bytes that the leechers lack, in all. */
  readonly bytesLeft: number;
  /** Bytes that members, also those that left, have told they moved while this tracker watched. */
  readonly uploadedBytes: number;
  readonly downloadedBytes: number;
  /** The nodes whose agents lack most, at most ten, worst first. */
  readonly slowest: readonly { readonly node: string; readonly bytesLeft: number }[];
}

const SLOWEST_NODES = 10;

const bounded = (count: number) => Math.min(count, Number.MAX_SAFE_INTEGER);

/** What a counter grew by; one that fell was started anew. */
const growth = (before: number, after: number) => (after >= before ? after - before : after);

/** Keeps the nodes that lack most, in order. */
function noteSlowest(slowest: { node: string; bytesLeft: number }[], node: string, bytesLeft: number): void {
  if (bytesLeft <= (slowest[SLOWEST_NODES - 1]?.bytesLeft ?? 0)) return;
  let place = slowest.length;
  while (place > 0 && (slowest[place - 1]?.bytesLeft ?? 0) < bytesLeft) place -= 1;
  slowest.splice(place, 0, { node, bytesLeft });
  slowest.length = Math.min(slowest.length, SLOWEST_NODES);
}

export class Swarm {
  readonly infoHashHex: string;
  readonly #peers = new Map<string, Peer>();
  readonly #seeds: Peer[] = [];
  readonly #leechers: Peer[] = [];
  #uploadedBytes = 0;
  #downloadedBytes = 0;
  #completed = 0;

  constructor(infoHashHex: string) {
    this.infoHashHex = infoHashHex;
  }

  /** How many peers it has. */
  get size(): number {
    return this.#peers.size;
  }

  get counts(): SwarmCounts {
    return { seeders: this.#seeds.length, leechers: this.#leechers.length, completed: this.#completed };
  }

  /** The member at an address, if there is one. */
  get(address: PeerAddress): Peer | undefined {
    return this.#peers.get(address.compact.toString('latin1'));
  }

  /** All members. */
  peers(): Peer[] {
    return [...this.#peers.values()];
  }

  /** Any member; for eviction. */
  any(random: () => number): Peer | undefined {
    const place = Math.floor(random() * this.size);
    return this.#seeds[place] ?? this.#leechers[place - this.#seeds.length];
  }

  /** Takes in a peer, or what a member now says of itself. */
  put(report: PeerReport): Peer {
    const known = this.get(report.address);
    if (known === undefined) return this.#join(report);
    this.#uploadedBytes = bounded(this.#uploadedBytes + growth(known.uploadedBytes, report.uploadedBytes));
    this.#downloadedBytes = bounded(
      this.#downloadedBytes + growth(known.downloadedBytes, report.downloadedBytes),
    );
    // Another peer id at the same address is a client that started anew: what it completes is its own.
    if (!known.peerId.equals(report.peerId)) known.completed = false;
    this.#leavePool(known);
    known.peerId = report.peerId;
    known.uploadedBytes = report.uploadedBytes;
    known.downloadedBytes = report.downloadedBytes;
    known.leftBytes = report.leftBytes;
    known.node = report.node;
    this.#enterPool(known);
    return known;
  }

  /** Counts a peer's `completed` event, once for each peer. */
  complete(peer: Peer): void {
    if (peer.completed) return;
    peer.completed = true;
    this.#completed += 1;
  }

  /** Lets a member go. */
  remove(peer: Peer): void {
    if (this.#peers.get(peer.key) !== peer) return;
    this.#peers.delete(peer.key);
    this.#leavePool(peer);
  }

  /**
   * A random choice of members for one of them, never itself; a seed is not told of seeds. Every set of others of
   * that size is as likely as any other.
   */
  pick(asker: Peer, wanted: number, random: () => number): Peer[] {
    const askerIsSeed = asker.leftBytes === 0;
    const seeds = askerIsSeed ? 0 : this.#seeds.length;
    const total = seeds + this.#leechers.length;
    const count = Math.min(wanted, askerIsSeed ? total : total - 1);
    if (count <= 0) return [];
    // Floyd's sampling: as many steps as peers wanted, whatever the size of the swarm. A leecher is among those
    // that are drawn from, so one more is drawn: itself, or else any one, is then left out.
    const draws = askerIsSeed ? count : count + 1;
    const places = new Set<number>();
    for (let last = total - draws; last < total; last += 1) {
      const place = Math.floor(random() * (last + 1));
      places.add(places.has(place) ? last : place);
    }
    const picked: Peer[] = [];
    for (const place of places) {
      const peer = place < seeds ? this.#seeds[place] : this.#leechers[place - seeds];
      if (peer !== undefined && peer !== asker) picked.push(peer);
    }
    if (picked.length > count) picked.splice(Math.floor(random() * picked.length), 1);
    return picked;
  }

  /** Up to `wanted` seeds at random; those that name a node, so agents of ours, come first. */
  pickSeeds(wanted: number, random: () => number): Peer[] {
    const start = Math.floor(random() * this.#seeds.length);
    const agents: Peer[] = [];
    const others: Peer[] = [];
    // Bounded: a swarm may have a hundred thousand seeds.
    const looks = Math.min(this.#seeds.length, wanted * 10);
    for (let step = 0; step < looks && agents.length < wanted; step += 1) {
      const seed = this.#seeds[(start + step) % this.#seeds.length];
      if (seed !== undefined) (seed.node === undefined ? others : agents).push(seed);
    }
    return [...agents, ...others].slice(0, wanted);
  }

  /** The figures of the swarm; looks at every leecher once. */
  summary(): SwarmSummary {
    const slowest: { node: string; bytesLeft: number }[] = [];
    let bytesLeft = 0;
    for (const { node, leftBytes } of this.#leechers) {
      bytesLeft = bounded(bytesLeft + leftBytes);
      if (node !== undefined) noteSlowest(slowest, node, leftBytes);
    }
    return {
      infoHash: this.infoHashHex,
      ...this.counts,
      peers: this.size,
      bytesLeft,
      uploadedBytes: this.#uploadedBytes,
      downloadedBytes: this.#downloadedBytes,
      slowest,
    };
  }

  #join(report: PeerReport): Peer {
    const peer: Peer = {
      address: report.address,
      peerId: report.peerId,
      uploadedBytes: report.uploadedBytes,
      downloadedBytes: report.downloadedBytes,
      leftBytes: report.leftBytes,
      node: report.node,
      swarm: this,
      key: report.address.compact.toString('latin1'),
      completed: false,
      index: -1,
      expiresAt: 0,
      slot: undefined,
    };
    this.#uploadedBytes = bounded(this.#uploadedBytes + report.uploadedBytes);
    this.#downloadedBytes = bounded(this.#downloadedBytes + report.downloadedBytes);
    this.#peers.set(peer.key, peer);
    this.#enterPool(peer);
    return peer;
  }

  #pool(peer: Peer): Peer[] {
    return peer.leftBytes === 0 ? this.#seeds : this.#leechers;
  }

  #enterPool(peer: Peer): void {
    const pool = this.#pool(peer);
    peer.index = pool.length;
    pool.push(peer);
  }

  #leavePool(peer: Peer): void {
    const pool = this.#pool(peer);
    const last = pool.pop();
    if (last !== undefined && last !== peer) {
      pool[peer.index] = last;
      last.index = peer.index;
    }
  }
}
