/** One swarm in figures, for the operator and for people. It looks at every member once, and at no text. */
import type { Names } from './names.ts';
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

/** Keeps the peers of nodes that lack most, in order. */
function noteSlowest(slowest: number[], peer: number, leftBytes: Float64Array): void {
  const left = leftBytes[peer] as number;
  const last = slowest[SLOWEST_NODES - 1];
  if (last !== undefined && left <= (leftBytes[last] as number)) return;
  let place = slowest.length;
  while (place > 0 && (leftBytes[slowest[place - 1] as number] as number) < left) place -= 1;
  slowest.splice(place, 0, peer);
  slowest.length = Math.min(slowest.length, SLOWEST_NODES);
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
  const slowest: number[] = [];
  const counts = new Uint32Array(WHOLE_PERCENT + 1);
  counts[WHOLE_PERCENT] = swarm.seeders;
  let bytesLeft = 0;
  const look = (peer: number) => {
    const left = table.leftBytes[peer] as number;
    bytesLeft += left;
    if (table.node[peer] !== 0) noteSlowest(slowest, peer, table.leftBytes);
    if (totalBytes === undefined) return;
    const percent = totalBytes === 0 ? 0 : Math.floor(((totalBytes - left) * WHOLE_PERCENT) / totalBytes);
    const bounded = Math.max(0, Math.min(WHOLE_PERCENT, percent));
    counts[bounded] = (counts[bounded] as number) + 1;
  };
  for (const { uploaders, leechers } of swarm.groups) {
    for (const peer of leechers) look(peer);
    if (swarm.partialSeeds > 0) for (const peer of uploaders) if (!table.has(peer, Flag.Seed)) look(peer);
  }
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
