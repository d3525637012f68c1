/** One swarm in figures, for the operator and for people. It looks at every member once, and at no text. */
import { type Names, NO_NAME } from './names.ts';
import { Flag, type PeerTable } from './peer-table.ts';
import type { Swarm, SwarmCounts } from './swarm.ts';

/** A swarm in figures. */
export interface SwarmSummary extends SwarmCounts {
  readonly infoHash: string;
  readonly peers: number;
  /** Bytes that the leechers lack, in all. */
  readonly bytesLeft: number;
  /** Bytes that members, also those that left, have told they moved while this tracker watched. */
  readonly uploadedBytes: number;
  readonly downloadedBytes: number;
  /** Per second, over the last 10 to 20 seconds. */
  readonly uploadRate: number;
  readonly downloadRate: number;
  /** How much of the torrent members have, in percent, seeds too; undefined where its size is not known. */
  readonly progressPercent: Percentiles | undefined;
  /** The nodes whose agents lack most, at most ten, worst first. */
  readonly slowest: readonly { readonly node: string; readonly bytesLeft: number }[];
}

/** Of a hundred members in order of progress, the least, the 10th, 50th, 90th and the best. */
export interface Percentiles {
  readonly min: number;
  readonly p10: number;
  readonly p50: number;
  readonly p90: number;
  readonly max: number;
}

/** Bytes per second that a swarm moves. */
export interface SwarmRates {
  readonly uploadRate: number;
  readonly downloadRate: number;
}

const SLOWEST_NODES = 10;
const WHOLE_PERCENT = 100;

/** What is found out by looking at members. */
class Look {
  readonly #table: PeerTable;
  readonly #totalBytes: number | undefined;
  bytesLeft = 0;
  /** Members by whole percent of progress. */
  readonly counts = new Uint32Array(WHOLE_PERCENT + 1);
  /** Peers of the nodes that lack most, in order. */
  readonly slowest: number[] = [];

  constructor(table: PeerTable, totalBytes: number | undefined) {
    this.#table = table;
    this.#totalBytes = totalBytes;
  }

  /** Hot: one plain loop over what may be all peers there are. */
  at(peers: readonly number[]): void {
    const { leftBytes, node } = this.#table;
    const totalBytes = this.#totalBytes;
    const { counts } = this;
    let bytesLeft = 0;
    /** Nodes that lack no more are not among the slowest. */
    let least = this.#leastOfSlowest();
    for (let at = 0; at < peers.length; at += 1) {
      const peer = peers[at] as number;
      const left = leftBytes[peer] as number;
      bytesLeft += left;
      if (left > least && node[peer] !== NO_NAME) {
        this.#noteSlowest(peer, left);
        least = this.#leastOfSlowest();
      }
      if (totalBytes === undefined) continue;
      const had = totalBytes === 0 ? 0 : ((totalBytes - left) * WHOLE_PERCENT) / totalBytes;
      const percent = had > 0 ? Math.floor(had) : 0;
      counts[percent] = (counts[percent] as number) + 1;
    }
    this.bytesLeft += bytesLeft;
  }

  #leastOfSlowest(): number {
    const last = this.slowest[SLOWEST_NODES - 1];
    return last === undefined ? -1 : (this.#table.leftBytes[last] as number);
  }

  #noteSlowest(peer: number, left: number): void {
    const { slowest } = this;
    const { leftBytes } = this.#table;
    let place = slowest.length;
    while (place > 0 && (leftBytes[slowest[place - 1] as number] as number) < left) place -= 1;
    slowest.splice(place, 0, peer);
    if (slowest.length > SLOWEST_NODES) slowest.pop();
  }
}

/** The percentiles of counts by whole percent. */
function percentiles(counts: Uint32Array, total: number): Percentiles | undefined {
  if (total === 0) return undefined;
  const at = (part: number) => {
    const rank = Math.max(1, Math.ceil(total * part));
    let passed = 0;
    for (let percent = 0; percent <= WHOLE_PERCENT; percent += 1) {
      passed += counts[percent] as number;
      if (passed >= rank) return percent;
    }
    return WHOLE_PERCENT;
  };
  return { min: at(0), p10: at(0.1), p50: at(0.5), p90: at(0.9), max: at(1) };
}

/**
 * The figures of a swarm.
 *
 * @param totalBytes size of the torrent, where it is known
 */
export function summarize(
  swarm: Swarm,
  table: PeerTable,
  nodes: Names,
  rates: SwarmRates,
  totalBytes: number | undefined,
): SwarmSummary {
  const look = new Look(table, totalBytes);
  look.counts[WHOLE_PERCENT] = swarm.seeders;
  for (const { uploaders, leechers } of swarm.groups) {
    look.at(leechers);
    if (swarm.partialSeeds > 0) look.at(uploaders.filter((peer) => !table.has(peer, Flag.Seed)));
  }
  const { bytesLeft, counts, slowest } = look;
  return {
    infoHash: swarm.infoHashHex,
    seeders: swarm.seeders,
    leechers: swarm.leechers,
    partialSeeds: swarm.partialSeeds,
    completed: swarm.completed,
    peers: swarm.size,
    bytesLeft: Math.min(bytesLeft, Number.MAX_SAFE_INTEGER),
    uploadedBytes: swarm.uploadedBytes,
    downloadedBytes: swarm.downloadedBytes,
    uploadRate: rates.uploadRate,
    downloadRate: rates.downloadRate,
    progressPercent: totalBytes === undefined ? undefined : percentiles(counts, swarm.size),
    slowest: slowest.map((peer) => ({
      node: nodes.name(table.node[peer] as number) ?? '',
      bytesLeft: table.leftBytes[peer] as number,
    })),
  };
}
