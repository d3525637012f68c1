/**
 * All swarms that a tracker knows: who announces where, and until when it is believed. Every way in uses this one
 * registry. An announce costs the same however many swarms and peers there are.
 *
 * Invariant: every peer of every swarm stands in the index and in the expiry wheel, `peerCount` is their number,
 * and neither it nor the number of swarms, the size of one, or what one host put in ever exceeds its bound.
 */

import { type AnnounceEvent, MAX_WANTED_PEERS } from '../announce/announce-request.ts';
import { TrackerError } from '../errors.ts';
import { AddressLoad } from './address-load.ts';
import { ExpiryWheel, NOT_SCHEDULED } from './expiry-wheel.ts';
import { Names } from './names.ts';
import { COMPACT_IPV6_BYTES, readCompact } from './peer-address.ts';
import { PeerIndex } from './peer-index.ts';
import { Flag, NOBODY, PEER_ID_BYTES, PeerTable } from './peer-table.ts';
import { Sampler } from './sampler.ts';
import { NO_COUNTS, type PeerGroup, type PeerReport, Swarm, type SwarmCounts } from './swarm.ts';
import { RateBook } from './swarm-rates.ts';
import { type SwarmSummary, summarize } from './swarm-summary.ts';

/** How much of what strangers can make grow is kept. Beyond it, something old makes room for something new. */
export interface RegistryLimits {
  readonly maxSwarms: number;
  readonly maxPeers: number;
  readonly maxPeersPerSwarm: number;
  /** Peers of one IPv4 address or IPv6 /64, in all swarms. More are refused: nobody makes room for them. */
  readonly maxPeersPerAddress: number;
}

/** A peer takes some 150 bytes, so a full registry takes about 150 MB. */
export const DEFAULT_LIMITS: RegistryLimits = {
  maxSwarms: 100_000,
  maxPeers: 1_000_000,
  maxPeersPerSwarm: 250_000,
  maxPeersPerAddress: 50_000,
};

/** Of the peers in an answer at most this part is of the asker's zone, as long as others are to be had. */
export const MOST_LOCAL_SHARE = 2 / 3;
const EXPIRY_SLOT_MILLISECONDS = 5_000;
const MAX_ZONES = 256;

/** What was thrown out and why, counted. */
export interface Evictions {
  /** Peers that did not announce again in time. */
  expired: number;
  /** Peers that made room for others in a full swarm or registry. */
  peers: number;
  /** Swarms that made room for others. */
  swarms: number;
  /** Peers that were not let in because their host has too many. */
  refused: number;
}

/** What an announce leads to; of the registry, and good until its next announce. */
export interface Announced {
  counts: SwarmCounts;
  /** Peers for the answer: the first `pickedCount` of `picked`, numbers in the registry's table. */
  readonly picked: Int32Array;
  pickedCount: number;
}

/** Somebody who has all of a torrent. */
export interface SeedAddress {
  readonly host: string;
  readonly port: number;
  /** Its node, where it is an agent. */
  readonly node: string | undefined;
}

/** What a registry is made of. */
export interface RegistryOptions {
  /** The time in milliseconds of a monotonic clock. */
  readonly now: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly limits?: Partial<RegistryLimits> | undefined;
  /** How much of an answer may be of the asker's own zone while others are to be had, 0 to 1. */
  readonly localShare?: number | undefined;
}

const bounded = (count: number) => Math.min(count, Number.MAX_SAFE_INTEGER);

/** What a counter grew by; one that fell was started anew. */
const growth = (before: number, after: number) => (after >= before ? after - before : after);

export class SwarmRegistry {
  readonly table: PeerTable;
  readonly #index: PeerIndex;
  readonly #nodes: Names;
  readonly #zones = new Names(MAX_ZONES);
  readonly #limits: RegistryLimits;
  readonly #localShare: number;
  readonly #random: () => number;
  readonly #sampler: Sampler;
  readonly #announced: Announced;
  /** In the order of their last announce, so that the first is the one to evict. */
  readonly #swarms = new Map<string, Swarm>();
  /** The last of `#swarms`. */
  #latest: Swarm | undefined;
  readonly #wheel: ExpiryWheel;
  readonly #rates: RateBook;
  readonly #load = new AddressLoad();
  readonly #seedListeners = new Set<(infoHashHex: string) => void>();
  readonly evictions: Evictions = { expired: 0, peers: 0, swarms: 0, refused: 0 };
  #swarmNumber = 0;
  #seedCount = 0;
  #ownLeecherCount = 0;
  #now: number;

  constructor(options: RegistryOptions) {
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#localShare = options.localShare ?? MOST_LOCAL_SHARE;
    this.#random = options.random;
    this.#sampler = new Sampler(MAX_WANTED_PEERS, options.random);
    this.#announced = { counts: NO_COUNTS, picked: this.#sampler.picked, pickedCount: 0 };
    this.table = new PeerTable(this.#limits.maxPeers);
    this.#index = new PeerIndex(this.table);
    this.#nodes = new Names(this.#limits.maxPeers);
    this.#wheel = new ExpiryWheel(this.table, EXPIRY_SLOT_MILLISECONDS, options.now);
    this.#rates = new RateBook(options.now);
    this.#now = options.now;
  }

  get swarmCount(): number {
    return this.#swarms.size;
  }

  get peerCount(): number {
    return this.table.size;
  }

  get seedCount(): number {
    return this.#seedCount;
  }

  get leecherCount(): number {
    return this.peerCount - this.#seedCount;
  }

  /** Those of the leechers that are clients of ours. */
  get ownLeecherCount(): number {
    return this.#ownLeecherCount;
  }

  /** Memory of the peers' columns and index, in bytes. */
  get bytes(): number {
    return this.table.bytes + this.#index.bytes;
  }

  /**
   * Hot: takes in what a peer announces and picks peers for it. A `stopped` of a peer that is not a member, or
   * that another with its address stands for now, changes nothing; a second `completed` of a peer is not counted.
   *
   * @param expiresAt when the peer is forgotten unless it announces again, in the clock's milliseconds
   * @param lateAt from when on it is late, likewise: others are then rather told of peers that are not
   * @throws TrackerError TooManyPeers where its host has put in too many
   */
  announce(
    infoHashHex: string,
    report: PeerReport,
    event: AnnounceEvent,
    wantedPeers: number,
    expiresAt: number,
    lateAt = expiresAt,
  ): Announced {
    const announced = this.#announced;
    announced.pickedCount = 0;
    const known = this.#swarms.get(infoHashHex);
    const member = known === undefined ? NOBODY : this.#index.find(known.number, report.compact);
    if (event === 'stopped') {
      if (member !== NOBODY && this.#isSame(member, report)) this.#remove(member);
      announced.counts = known ?? NO_COUNTS;
      return announced;
    }
    const swarm = member === NOBODY ? this.#admitTo(known, infoHashHex, report) : (known as Swarm);
    this.#noteLatest(swarm);
    const { seeders } = swarm;
    if (member !== NOBODY && this.#isOwnLeecher(member)) this.#ownLeecherCount -= 1;
    const peer = member === NOBODY ? this.#join(swarm, report, event) : member;
    if (member !== NOBODY) this.#update(swarm, peer, report, event);
    this.#seedCount += swarm.seeders - seeders;
    if (this.#isOwnLeecher(peer)) this.#ownLeecherCount += 1;
    if (report.leftBytes === 0) {
      if (event === 'completed') swarm.complete(peer);
      this.table.mark(peer, Flag.Completed, true); // Whoever came with everything has nothing to complete here.
    }
    this.table.lateAt[peer] = lateAt;
    this.#wheel.schedule(peer, expiresAt);
    if (seeders === 0 && swarm.seeders > 0) for (const listener of this.#seedListeners) listener(infoHashHex);
    announced.counts = swarm;
    if (wantedPeers > 0) {
      swarm.pick(peer, wantedPeers, this.#localShare, this.#sampler, this.#now);
      announced.pickedCount = this.#sampler.pickedCount;
    }
    return announced;
  }

  /** Forgets the peers whose time is over, and swarms that nobody is in. Call it every few seconds. */
  expire(now: number): void {
    this.#now = now;
    this.#wheel.advance(now, (peer) => {
      this.evictions.expired += 1;
      this.#remove(peer);
    });
    this.#rates.note(now, this.#swarms.values());
  }

  /** The counts of a swarm; undefined where nobody announced. */
  counts(infoHashHex: string): SwarmCounts | undefined {
    return this.#swarms.get(infoHashHex);
  }

  /**
   * The figures of a swarm; undefined where nobody announced.
   *
   * @param totalBytes size of the torrent, where it is known
   */
  summary(infoHashHex: string, totalBytes?: number): SwarmSummary | undefined {
    const swarm = this.#swarms.get(infoHashHex);
    if (swarm === undefined) return undefined;
    return summarize(swarm, this.table, this.#nodes, this.#rates.of(swarm, this.#now), totalBytes);
  }

  /** Info hashes of all swarms, in hex. */
  infoHashes(): Iterable<string> {
    return this.#swarms.keys();
  }

  /** Up to `wanted` seeds of a swarm at random; those that name a node, so agents of ours, come first. */
  seeds(infoHashHex: string, wanted: number): SeedAddress[] {
    const agents: SeedAddress[] = [];
    const others: SeedAddress[] = [];
    for (const { uploaders } of this.#swarms.get(infoHashHex)?.groups ?? []) {
      const start = Math.floor(this.#random() * uploaders.length);
      // Bounded: a swarm may have a hundred thousand seeds.
      const looks = Math.min(uploaders.length, wanted * 10);
      for (let step = 0; step < looks && agents.length < wanted; step += 1) {
        const peer = uploaders[(start + step) % uploaders.length] as number;
        if (!this.table.has(peer, Flag.Seed)) continue;
        const node = this.#nodes.name(this.table.node[peer] as number);
        const seed = { ...readCompact(this.table.compactOf(peer)), node };
        (node === undefined ? others : agents).push(seed);
      }
    }
    return [...agents, ...others].slice(0, wanted);
  }

  /** Forgets a swarm and all who are in it: its torrent is served no longer. */
  drop(infoHashHex: string): void {
    const swarm = this.#swarms.get(infoHashHex);
    if (swarm === undefined) return;
    for (const peer of [...swarm.members()]) this.#remove(peer);
    this.#forget(swarm);
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

  /** The swarm for one who is not a member yet, with room for it. */
  #admitTo(known: Swarm | undefined, infoHashHex: string, { compact }: PeerReport): Swarm {
    const { maxSwarms, maxPeers, maxPeersPerSwarm, maxPeersPerAddress } = this.#limits;
    if (this.#load.count(compact, 0, compact.length - 2) >= maxPeersPerAddress) {
      this.evictions.refused += 1;
      throw new TrackerError('TooManyPeers', 'too many peers announce from your address; stop some of them');
    }
    if (known === undefined && this.#swarms.size >= maxSwarms) this.#evictOldestSwarm();
    let swarm = known;
    while (swarm !== undefined && swarm.size >= maxPeersPerSwarm) this.#evictFrom(swarm);
    while (this.peerCount >= maxPeers) {
      const oldest = this.#swarms.values().next().value;
      if (oldest === undefined) break;
      if (oldest === swarm) this.#evictFrom(swarm);
      else this.#evictOldestSwarm();
    }
    // The last member may have made room, and the swarm have gone with it.
    if (swarm === undefined || this.#swarms.get(infoHashHex) !== swarm) {
      this.#swarmNumber = (this.#swarmNumber + 1) % 2 ** 31;
      swarm = new Swarm(infoHashHex, this.#swarmNumber, this.table);
    }
    return swarm;
  }

  #noteLatest(swarm: Swarm): void {
    if (swarm === this.#latest) return;
    this.#latest = swarm;
    this.#swarms.delete(swarm.infoHashHex);
    this.#swarms.set(swarm.infoHashHex, swarm);
  }

  #join(swarm: Swarm, report: PeerReport, event: AnnounceEvent): number {
    const { table } = this;
    const peer = table.take();
    table.flags[peer] = 0;
    table.slot[peer] = NOT_SCHEDULED;
    table.setAddress(peer, report.compact);
    table.node[peer] = this.#nodes.use(report.node);
    swarm.uploadedBytes = bounded(swarm.uploadedBytes + report.uploadedBytes);
    swarm.downloadedBytes = bounded(swarm.downloadedBytes + report.downloadedBytes);
    this.#write(peer, report);
    swarm.enter(peer, this.#groupFor(swarm, report.zone), event);
    this.#index.add(peer);
    this.#load.change(report.compact, 0, report.compact.length - 2, 1);
    return peer;
  }

  #update(swarm: Swarm, peer: number, report: PeerReport, event: AnnounceEvent): void {
    const { table } = this;
    const uploaded = growth(table.uploadedBytes[peer] as number, report.uploadedBytes);
    const downloaded = growth(table.downloadedBytes[peer] as number, report.downloadedBytes);
    swarm.uploadedBytes = bounded(swarm.uploadedBytes + uploaded);
    swarm.downloadedBytes = bounded(swarm.downloadedBytes + downloaded);
    // Another peer id at the same address is a client that started anew: what it completes is its own.
    if (!table.hasPeerId(peer, report.peerId)) table.mark(peer, Flag.Completed, false);
    const node = this.#nodes.use(report.node);
    this.#nodes.release(table.node[peer] as number);
    table.node[peer] = node;
    const group = table.group[peer] as PeerGroup;
    swarm.leave(peer, group);
    this.#write(peer, report);
    swarm.enter(peer, this.#groupFor(swarm, report.zone), event);
    this.#dropIfEmpty(group);
  }

  #write(peer: number, report: PeerReport): void {
    const { table } = this;
    table.peerId.set(report.peerId, peer * PEER_ID_BYTES);
    table.key[peer] = report.key;
    table.uploadedBytes[peer] = report.uploadedBytes;
    table.downloadedBytes[peer] = report.downloadedBytes;
    table.leftBytes[peer] = report.leftBytes;
    table.mark(peer, Flag.Own, report.isOwn);
  }

  #isOwnLeecher(peer: number): boolean {
    return this.table.has(peer, Flag.Own) && !this.table.has(peer, Flag.Seed);
  }

  /** False for a `stopped` that comes late, of one whose address another has by now. */
  #isSame(peer: number, { peerId, key }: PeerReport): boolean {
    const known = this.table.key[peer] as number;
    return this.table.hasPeerId(peer, peerId) && (known === 0 || key === 0 || known === key);
  }

  #groupFor(swarm: Swarm, zoneName: string | undefined): PeerGroup {
    const zone = this.#zones.use(zoneName);
    const group = swarm.group(zone);
    if (group === undefined) return swarm.addGroup(zone); // Which keeps that use of the name.
    this.#zones.release(zone);
    return group;
  }

  #dropIfEmpty(group: PeerGroup): void {
    if (group.leechers.length + group.uploaders.length > 0) return;
    group.swarm.dropGroup(group);
    this.#zones.release(group.zone);
  }

  #evictOldestSwarm(): void {
    const oldest = this.#swarms.keys().next();
    if (oldest.done) return;
    this.evictions.swarms += 1;
    this.drop(oldest.value);
  }

  /** Members that live announce again soon and are back. */
  #evictFrom(swarm: Swarm): void {
    const peer = swarm.any(this.#random);
    if (peer === undefined) return;
    this.evictions.peers += 1;
    this.#remove(peer);
  }

  #remove(peer: number): void {
    const { table } = this;
    const group = table.group[peer] as PeerGroup;
    const { swarm } = group;
    this.#wheel.cancel(peer);
    this.#index.remove(peer);
    this.#nodes.release(table.node[peer] as number);
    const start = peer * COMPACT_IPV6_BYTES;
    this.#load.change(table.compact, start, table.compactLength(peer) - 2, -1);
    if (table.has(peer, Flag.Seed)) this.#seedCount -= 1;
    if (this.#isOwnLeecher(peer)) this.#ownLeecherCount -= 1;
    swarm.leave(peer, group);
    this.#dropIfEmpty(group);
    table.release(peer);
    // Its count of completions is worth keeping; the bound on swarms takes it when there are too many.
    if (swarm.size === 0 && swarm.completed === 0) this.#forget(swarm);
  }

  #forget(swarm: Swarm): void {
    if (this.#swarms.get(swarm.infoHashHex) === swarm) this.#swarms.delete(swarm.infoHashHex);
    if (this.#latest === swarm) this.#latest = undefined;
  }
}
