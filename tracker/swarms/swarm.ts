/**
 * Who is in one swarm. Joining, leaving and turning from leecher to seed take the same time in a swarm of any
 * size, and so does choosing peers for an answer.
 *
 * Invariant: a member is in exactly one list, `uploaders` or `leechers`, of exactly one group, at its `place`
 * there; a group is of one zone, and is there only while somebody is in it.
 */
import type { AnnounceEvent } from '../announce/announce-request.ts';
import { NO_NAME } from './names.ts';
import { Flag, type PeerTable } from './peer-table.ts';
import type { Sampler } from './sampler.ts';

/** What a peer says of itself in an announce. */
export interface PeerReport {
  /** 6 or 18 bytes; copied. */
  readonly compact: Uint8Array;
  /** 20 bytes; copied. */
  readonly peerId: Uint8Array;
  /** What it proves itself with (BEP 7, 15), as a number; 0 for nothing. */
  readonly key: number;
  readonly uploadedBytes: number;
  readonly downloadedBytes: number;
  /** 0 makes it a seed. */
  readonly leftBytes: number;
  readonly node: string | undefined;
  readonly zone: string | undefined;
  /** It is a client of ours. */
  readonly isOwn: boolean;
}

/** Members of one zone. */
export interface PeerGroup {
  readonly swarm: Swarm;
  /** Number of the zone's name; 0 for those that state none. */
  readonly zone: number;
  /** Seeds, and partial seeds (BEP 21): who downloads no more is of no use to others of this list. */
  readonly uploaders: number[];
  readonly leechers: number[];
}

/** The counts of BEP 48, and partial seeds. */
export interface SwarmCounts {
  readonly seeders: number;
  /** All that lack something, partial seeds too. */
  readonly leechers: number;
  /** Those among the leechers that download no more (BEP 21). */
  readonly partialSeeds: number;
  /** How many peers ever told that they completed here. */
  readonly completed: number;
}

/** The counts of a swarm that nobody is in. */
export const NO_COUNTS: SwarmCounts = { seeders: 0, leechers: 0, partialSeeds: 0, completed: 0 };

/** How many seeds are told to a foreign peer that says it is one, in a swarm without leechers. */
const SEEDS_TOLD_TO_SEEDS = 5;

export class Swarm implements SwarmCounts {
  readonly infoHashHex: string;
  /** Tells it from all other swarms, also from former ones of the same info hash. */
  readonly number: number;
  readonly groups: PeerGroup[] = [];
  readonly #table: PeerTable;
  seeders = 0;
  partialSeeds = 0;
  completed = 0;
  size = 0;
  /** Bytes that members, also those that left, have told they moved while this tracker watched. */
  uploadedBytes = 0;
  downloadedBytes = 0;

  constructor(infoHashHex: string, number: number, table: PeerTable) {
    this.infoHashHex = infoHashHex;
    this.number = number;
    this.#table = table;
  }

  get leechers(): number {
    return this.size - this.seeders;
  }

  /** Counts a peer's `completed` event, once for each peer. */
  complete(peer: number): void {
    if (this.#table.has(peer, Flag.Completed)) return;
    this.#table.mark(peer, Flag.Completed, true);
    this.completed += 1;
  }

  /** The group of a zone, if anybody is in it. */
  group(zone: number): PeerGroup | undefined {
    for (const group of this.groups) if (group.zone === zone) return group;
    return undefined;
  }

  /** Makes the group of a zone that nobody is in. */
  addGroup(zone: number): PeerGroup {
    const group: PeerGroup = { swarm: this, zone, uploaders: [], leechers: [] };
    this.groups.push(group);
    return group;
  }

  /** Drops a group that nobody is in. */
  dropGroup(group: PeerGroup): void {
    const last = this.groups.pop() as PeerGroup;
    if (last !== group) this.groups[this.groups.indexOf(group)] = last;
  }

  /** Hot: enters a peer, whose `leftBytes` stand, into a group. */
  enter(peer: number, group: PeerGroup, event: AnnounceEvent): void {
    const table = this.#table;
    const isSeed = table.leftBytes[peer] === 0;
    const isUploader = isSeed || event === 'paused';
    table.mark(peer, Flag.Seed, isSeed);
    table.mark(peer, Flag.Uploader, isUploader);
    table.group[peer] = group;
    const list = isUploader ? group.uploaders : group.leechers;
    table.place[peer] = list.length;
    list.push(peer);
    this.size += 1;
    if (isSeed) this.seeders += 1;
    else if (isUploader) this.partialSeeds += 1;
  }

  /** Hot: takes a peer out of its group, which may be empty then. */
  leave(peer: number, group: PeerGroup): void {
    const table = this.#table;
    const isUploader = table.has(peer, Flag.Uploader);
    const list = isUploader ? group.uploaders : group.leechers;
    const last = list.pop() as number;
    if (last !== peer) {
      const place = table.place[peer] as number;
      list[place] = last;
      table.place[last] = place;
    }
    this.size -= 1;
    if (table.has(peer, Flag.Seed)) this.seeders -= 1;
    else if (isUploader) this.partialSeeds -= 1;
  }

  /** Any member; for eviction. */
  any(random: () => number): number | undefined {
    let place = Math.floor(random() * this.size);
    for (const { uploaders, leechers } of this.groups) {
      for (const list of [uploaders, leechers]) {
        if (place < list.length) return list[place];
        place -= list.length;
      }
    }
    return undefined;
  }

  /** All members, in no order that means anything. */
  *members(): Iterable<number> {
    for (const { uploaders, leechers } of this.groups) {
      yield* uploaders;
      yield* leechers;
    }
  }

  /**
   * Hot: chooses members for one of them, never itself; whoever downloads no more is told of leechers only. Of
   * those in question every set is as likely as any other, but members that are late to announce are rarer and come
   * last. Where zones are known, the asker's own comes first.
   * A foreign peer that says it lacks nothing, where nobody lacks anything, is told of a few seeds all the same:
   * clients that have a magnet link and no more (aria2) say so while they look for the metadata.
   *
   * @param localShare how much of the answer may be of the asker's own zone while others are to be had, 0 to 1
   * @param now tells who is late
   */
  pick(asker: number, wanted: number, localShare: number, sampler: Sampler, now: number): void {
    sampler.begin(this.#table.lateAt, now);
    this.#choose(asker, wanted, localShare, sampler);
    sampler.putLateLast();
  }

  #choose(asker: number, wanted: number, localShare: number, sampler: Sampler): void {
    const own = this.#table.group[asker] as PeerGroup;
    if (this.#mayLackAll(asker)) {
      for (const group of this.groups)
        sampler.add(group.uploaders, group === own ? (this.#table.place[asker] as number) : -1);
      sampler.pick(Math.min(wanted, SEEDS_TOLD_TO_SEEDS));
      return;
    }
    if (this.groups.length === 1 || own.zone === 0) {
      for (const group of this.groups) this.#offer(group, asker, sampler);
      sampler.pick(wanted);
      return;
    }
    this.#offer(own, asker, sampler);
    const local = sampler.available;
    const elsewhere = this.#eligible(asker) - local;
    const fromElsewhere = Math.min(
      elsewhere,
      Math.max(wanted - Math.floor(wanted * localShare), wanted - local),
    );
    sampler.pick(wanted - fromElsewhere);
    const fromOwn = sampler.pickedCount;
    sampler.clear();
    for (const group of this.groups) if (group !== own) this.#offer(group, asker, sampler);
    sampler.pick(fromElsewhere);
    sampler.mix(fromOwn, localShare); // Askers take the first ones first.
  }

  #offer(group: PeerGroup, asker: number, sampler: Sampler): void {
    const table = this.#table;
    const isOwn = table.group[asker] === group;
    const askerUploads = table.has(asker, Flag.Uploader);
    sampler.add(group.leechers, isOwn && !askerUploads ? table.place[asker] : -1);
    if (!askerUploads) sampler.add(group.uploaders);
  }

  #mayLackAll(asker: number): boolean {
    const table = this.#table;
    const nobodyDownloads = this.size === this.seeders + this.partialSeeds;
    return nobodyDownloads && table.has(asker, Flag.Seed) && table.node[asker] === NO_NAME;
  }

  /** How many others may be told to a member. */
  #eligible(asker: number): number {
    if (!this.#table.has(asker, Flag.Uploader)) return this.size - 1;
    return this.size - this.seeders - this.partialSeeds;
  }
}
