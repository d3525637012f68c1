// How a swarm moves, from what trackers say of it every few seconds: rate, and how long nothing has moved.
//
// Soft state, and for people alone: nothing is decided by it but what the status says of progress.

import { rankReplicas } from '../../torrent/index.ts';

/** What a tracker says of one swarm (GET /swarms); what the operator reads of it. */
export interface SwarmReport {
  readonly infoHash: string;
  readonly seeders: number;
  readonly leechers: number;
  readonly peers: number;
  /** Bytes that the leechers lack, in all. */
  readonly bytesLeft: number;
  readonly downloadedBytes: number;
  readonly slowest: readonly { readonly node: string; readonly bytesLeft: number }[];
}

/** What the operator makes of it. */
export interface SwarmProgress {
  readonly leechers: number;
  readonly bytesLeft: number;
  readonly bytesPerSecond: number;
  /** Since when no byte has moved though somebody lacks some, in milliseconds since 1970. */
  readonly stillSince: number;
  readonly slowest: readonly { readonly node: string; readonly bytesLeft: number }[];
}

/** Who follows swarms for the status. */
export interface SwarmFollower {
  /** From now on the swarm's distribution is reconciled whenever trackers told news of it. */
  follow(key: string, infoHash: string): void;
  unfollow(key: string): void;
  get(infoHash: string): SwarmProgress | undefined;
}

/** Agents announce every 10 s, each at its own moment: shorter spans would show that and not the rate. */
const RATE_SPAN_MILLISECONDS = 20_000;
/** Swarms that nobody reported for so long are forgotten. */
const FORGET_MILLISECONDS = 60_000;

interface Sample {
  readonly at: number;
  readonly downloadedBytes: number;
}

interface Followed {
  report: SwarmReport;
  reportedAt: number;
  movedAt: number;
  samples: Sample[];
}

/** Follows the swarms of the trackers' reports. */
export class SwarmProgressBook {
  readonly #swarms = new Map<string, Followed>();

  /**
   * Takes in one round of reports, by name of the replica. Of several that know a swarm the first by rank counts
   * that has peers: it is where agents meet, and the others may remember for whom they stood in.
   */
  record(reportsByReplica: ReadonlyMap<string, readonly SwarmReport[]>, nowMilliseconds: number): void {
    const best = new Map<string, { readonly replica: string; readonly report: SwarmReport }>();
    for (const [replica, reports] of reportsByReplica)
      for (const report of reports) {
        const { infoHash } = report;
        const known = best.get(infoHash);
        const counts =
          known === undefined ||
          known.report.peers === 0 ||
          (report.peers > 0 && rankReplicas(infoHash, [known.replica, replica])[0] === replica);
        if (counts) best.set(infoHash, { replica, report });
      }
    for (const { report } of best.values()) this.#take(report, nowMilliseconds);
    for (const [infoHash, { reportedAt }] of this.#swarms)
      if (nowMilliseconds - reportedAt > FORGET_MILLISECONDS) this.#swarms.delete(infoHash);
  }

  #take(report: SwarmReport, now: number): void {
    const known = this.#swarms.get(report.infoHash);
    const sample = { at: now, downloadedBytes: report.downloadedBytes };
    if (known === undefined) {
      this.#swarms.set(report.infoHash, { report, reportedAt: now, movedAt: now, samples: [sample] });
      return;
    }
    const before = known.report;
    const hasMoved =
      report.downloadedBytes !== before.downloadedBytes || report.bytesLeft !== before.bytesLeft;
    known.report = report;
    known.reportedAt = now;
    if (hasMoved) known.movedAt = now;
    // A counter that fell is another replica's, or that of one started anew.
    if (report.downloadedBytes < before.downloadedBytes) known.samples = [];
    known.samples.push(sample);
    while (known.samples.length > 2 && now - known.samples[1]!.at >= RATE_SPAN_MILLISECONDS)
      known.samples.shift();
  }

  /** How a swarm moves; undefined for one that no tracker reported lately. */
  get(infoHash: string): SwarmProgress | undefined {
    const known = this.#swarms.get(infoHash);
    if (known === undefined) return undefined;
    const { report, movedAt, samples } = known;
    const [first, last] = [samples[0]!, samples.at(-1)!];
    const seconds = (last.at - first.at) / 1000;
    return {
      leechers: report.leechers,
      bytesLeft: report.bytesLeft,
      bytesPerSecond: seconds > 0 ? Math.round((last.downloadedBytes - first.downloadedBytes) / seconds) : 0,
      stillSince: movedAt,
      slowest: report.slowest,
    };
  }
}
