/**
 * All swarms that a tracker knows: who announces where, and until when it is believed. Every way in (HTTP today)
 * uses this one registry. An announce costs the same however many swarms and peers there are.
 *
 * Invariant: every peer of every swarm stands in the expiry wheel, `peerCount` is their number, and neither it
 * nor the number of swarms or the size of one ever exceeds its bound.
 */
import type { AnnounceEvent } from './announce-request.ts';
import { ExpiryWheel } from './expiry-wheel.ts';
import { type Peer, type PeerReport, Swarm, type SwarmCounts, type SwarmSummary } from './swarm.ts';

/** How much of what strangers can make grow is kept. Beyond it, something old makes room for something new. */
export interface RegistryLimits {
  readonly maxSwarms: number;
  readonly maxPeers: number;
  readonly maxPeersPerSwarm: number;
}

/** A peer takes some 600 bytes, so a full registry takes about 600 MB. */
export const DEFAULT_LIMITS: RegistryLimits = {
  maxSwarms: 100_000,
  maxPeers: 1_000_000,
  maxPeersPerSwarm: 250_000,
};

const EXPIRY_SLOT_MILLISECONDS = 5_000;

/** What was thrown out and why, counted. */
export interface Evictions {
  /** Peers that did not announce again in time. */
  expired: number;
  /** Peers that made room for others in a full swarm or registry. */
  peers: number;
  /** Swarms that made room for others. */
  swarms: number;
}

/** What an announce leads to. */
export interface Announced {
  readonly counts: SwarmCounts;
  /** Peers for the answer; empty for a peer that leaves. */
  readonly peers: readonly Peer[];
}

export class SwarmRegistry {
  readonly #limits: RegistryLimits;
  readonly #random: () => number;
  /** In the order of their last announce, so that the first is the one to evict. */
  readonly #swarms = new Map<string, Swarm>();
  readonly #wheel: ExpiryWheel<Peer>;
  readonly #seedListeners = new Set<(infoHashHex: string) => void>();
  readonly evictions: Evictions = { expired: 0, peers: 0, swarms: 0 };
  #peerCount = 0;
  #seedCount = 0;

  /**
   * @param options.now the time in milliseconds of a monotonic clock
   * @param options.random uniform in [0, 1)
   */
  constructor(options: { now: number; random: () => number; limits?: Partial<RegistryLimits> }) {
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#random = options.random;
    this.#wheel = new ExpiryWheel(EXPIRY_SLOT_MILLISECONDS, options.now);
  }

  get swarmCount(): number {
    return this.#swarms.size;
  }

  get peerCount(): number {
    return this.#peerCount;
  }

  get seedCount(): number {
    return this.#seedCount;
  }

  get leecherCount(): number {
    return this.#peerCount - this.#seedCount;
  }

  /**
   * Takes in what a peer announces and picks peers for it. A `stopped` of a peer that is not a member changes
   * nothing, and a second `completed` of the same peer is not counted.
   *
   * @param expiresAt when the peer is forgotten unless it announces again, in the clock's milliseconds
   */
  announce(
    infoHashHex: string,
    report: PeerReport,
    event: AnnounceEvent,
    wantedPeers: number,
    expiresAt: number,
  ): Announced {
    if (event === 'stopped') {
      const swarm = this.#swarms.get(infoHashHex);
      const peer = swarm?.get(report.address);
      if (peer !== undefined) this.#remove(peer);
      return { counts: swarm?.counts ?? { seeders: 0, leechers: 0, completed: 0 }, peers: [] };
    }
    const swarm = this.#swarms.get(infoHashHex) ?? new Swarm(infoHashHex);
    if (swarm.get(report.address) === undefined) this.#makeRoom(swarm);
    this.#swarms.delete(infoHashHex);
    this.#swarms.set(infoHashHex, swarm); // The last one announced to.
    const { size } = swarm;
    const { seeders } = swarm.counts;
    const peer = swarm.put(report);
    this.#peerCount += swarm.size - size;
    this.#seedCount += swarm.counts.seeders - seeders;
    if (peer.leftBytes === 0) {
      if (event === 'completed') swarm.complete(peer);
      peer.completed = true; // Whoever came with everything has nothing to complete here.
    }
    this.#wheel.schedule(peer, expiresAt);
    if (seeders === 0 && swarm.counts.seeders > 0)
      for (const listener of this.#seedListeners) listener(infoHashHex);
    return { counts: swarm.counts, peers: swarm.pick(peer, wantedPeers, this.#random) };
  }

  /** Forgets the peers whose time is over, and swarms that nobody is in. Call it every few seconds. */
  expire(now: number): void {
    this.#wheel.advance(now, (peer) => {
      this.evictions.expired += 1;
      this.#remove(peer);
    });
  }

  /** The counts of a swarm; undefined where nobody announced. */
  counts(infoHashHex: string): SwarmCounts | undefined {
    return this.#swarms.get(infoHashHex)?.counts;
  }

  /** The figures of a swarm; undefined where nobody announced. */
  summary(infoHashHex: string): SwarmSummary | undefined {
    return this.#swarms.get(infoHashHex)?.summary();
  }

  /** Info hashes of all swarms, in hex. */
  infoHashes(): Iterable<string> {
    return this.#swarms.keys();
  }

  /** Some seeds of a swarm, agents first. */
  seeds(infoHashHex: string, wanted: number): Peer[] {
    return this.#swarms.get(infoHashHex)?.pickSeeds(wanted, this.#random) ?? [];
  }

  /** Forgets a swarm and all who are in it: its torrent is served no longer. */
  drop(infoHashHex: string): void {
    const swarm = this.#swarms.get(infoHashHex);
    if (swarm === undefined) return;
    for (const peer of swarm.peers()) this.#remove(peer);
    this.#swarms.delete(infoHashHex);
  }

  /**
   * Calls `listener` when a swarm that had no seed gets one.
   *
   * @returns a function that ends it
   */
  onFirstSeed(listener: (infoHashHex: string) => void): () => void {
    this.#seedListeners.add(listener);
    return () => this.#seedListeners.delete(listener);
  }

  #evictOldestSwarm(): void {
    const oldest = this.#swarms.keys().next();
    if (oldest.done) return;
    this.evictions.swarms += 1;
    this.drop(oldest.value);
  }

  /** Makes room for one more peer in a swarm. Members that live announce again soon and are back. */
  #makeRoom(swarm: Swarm): void {
    const isNew = !this.#swarms.has(swarm.infoHashHex);
    if (isNew && this.#swarms.size >= this.#limits.maxSwarms) this.#evictOldestSwarm();
    while (swarm.size >= this.#limits.maxPeersPerSwarm) this.#evictFrom(swarm);
    while (this.#peerCount >= this.#limits.maxPeers) {
      const oldest = this.#swarms.values().next().value;
      if (oldest === undefined) return;
      if (oldest === swarm) this.#evictFrom(swarm);
      else this.#evictOldestSwarm();
    }
  }

  #evictFrom(swarm: Swarm): void {
    const peer = swarm.any(this.#random);
    if (peer === undefined) return;
    this.evictions.peers += 1;
    this.#remove(peer);
  }

  #remove(peer: Peer): void {
    const { swarm } = peer;
    this.#wheel.cancel(peer);
    swarm.remove(peer);
    this.#peerCount -= 1;
    if (peer.leftBytes === 0) this.#seedCount -= 1;
    // Its count of completions is worth keeping; the bound on swarms takes it when there are too many.
    if (swarm.size === 0 && swarm.counts.completed === 0 && this.#swarms.get(swarm.infoHashHex) === swarm)
      this.#swarms.delete(swarm.infoHashHex);
  }
}
