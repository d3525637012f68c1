// How much of a distribution is where it shall be, in bytes, per cent and time.
import type { SwarmProgress } from '../progress/swarm-progress.ts';
import type { NodeCount } from './count-nodes.ts';

/** A time further away than a year is none. */
const LONGEST_SECONDS = 366 * 86_400;

/** The measure. */
export interface Progress {
  /** Share of all bytes on all selected nodes that is there, 0 to 100; 100 only when every node holds all. */
  readonly percent: number;
  /** Bytes that the nodes lack, in all. */
  readonly bytesLeft: number;
  /** Bytes that nodes got from each other: all there is, less the one copy that came from the source. */
  readonly peerBytes: number;
  readonly bytesPerSecond: number | undefined;
  /** Seconds until the last node has everything at this pace; undefined where it cannot be told. */
  readonly secondsLeft: number | undefined;
}

/** Measures. Nodes that no tracker has heard of yet lack everything. */
export function measureProgress(
  count: NodeCount,
  sizeBytes: number,
  swarm: SwarmProgress | undefined,
): Progress {
  const lacking = count.selected - count.held;
  const leechers = Math.min(swarm?.leechers ?? 0, lacking);
  const known = Math.min(swarm?.bytesLeft ?? 0, leechers * sizeBytes);
  const bytesLeft = known + (lacking - leechers) * sizeBytes;
  const totalBytes = count.selected * sizeBytes;
  const present = totalBytes - bytesLeft;
  const share = totalBytes === 0 ? (lacking === 0 && count.selected > 0 ? 1 : 0) : present / totalBytes;
  const percent = lacking === 0 ? Math.floor(share * 100) : Math.min(99, Math.floor(share * 100));
  const moving = count.downloading > 0 ? swarm?.bytesPerSecond : undefined;
  return {
    percent,
    bytesLeft,
    peerBytes: Math.max(0, present - sizeBytes),
    bytesPerSecond: moving,
    secondsLeft: timeLeft(known, moving),
  };
}

/** What nobody is getting (failed, away) is in no pace; and what is hardly moving ends at no time worth telling. */
function timeLeft(bytesLeft: number, bytesPerSecond: number | undefined): number | undefined {
  if (bytesPerSecond === undefined || bytesPerSecond === 0 || bytesLeft === 0) return undefined;
  const seconds = Math.ceil(bytesLeft / bytesPerSecond);
  return seconds > LONGEST_SECONDS ? undefined : seconds;
}
