// What people and metrics are shown of a torrent. Invariant: looking changes nothing; rates are measured by measure().
import type { Metainfo } from '../metainfo.ts';
import type { Swarm } from '../swarm/swarm.ts';
import { TransferRate } from '../swarm/transfer-rate.ts';
import type { PeerConnection } from './peers/connection-owner.ts';
import type { PeerSnapshot, TorrentProgress } from './types.ts';

/** The rates that are shown are averaged over this long. */
const SHOWN_RATE_MILLISECONDS = 5000;

/** The progress of one torrent. */
export class ShownState {
  readonly #metainfo: Metainfo;
  readonly #swarm: Swarm;
  readonly #downloadRate = new TransferRate(SHOWN_RATE_MILLISECONDS);
  readonly #uploadRate = new TransferRate(SHOWN_RATE_MILLISECONDS);
  #downloadedBytes = 0;
  #uploadedBytes = 0;

  constructor(metainfo: Metainfo, swarm: Swarm) {
    this.#metainfo = metainfo;
    this.#swarm = swarm;
  }

  /** Every 100 ms, and before rates are looked at. */
  measure(now: number): void {
    const { downloadedBytes, uploadedBytes } = this.#swarm.totals;
    this.#downloadRate.add(downloadedBytes - this.#downloadedBytes, now);
    this.#uploadRate.add(uploadedBytes - this.#uploadedBytes, now);
    this.#downloadedBytes = downloadedBytes;
    this.#uploadedBytes = uploadedBytes;
  }

  progress(connections: Iterable<PeerConnection>, bytesLeft: number, now: number): TorrentProgress {
    this.measure(now);
    const { totals, held } = this.#swarm;
    let peers = 0;
    let seeds = 0;
    for (const { peer } of connections) {
      peers++;
      if (peer.isSeed) seeds++;
    }
    return {
      pieces: this.#metainfo.pieceCount,
      piecesHave: held.count,
      totalBytes: this.#metainfo.totalBytes,
      bytesLeft,
      downloadedBytes: totals.downloadedBytes,
      uploadedBytes: totals.uploadedBytes,
      wastedBytes: totals.duplicateBytes + totals.corruptBytes,
      memoryWaits: totals.memoryWaits,
      downloadBytesPerSecond: this.#downloadRate.perMillisecond(now) * 1000,
      uploadBytesPerSecond: this.#uploadRate.perMillisecond(now) * 1000,
      peers,
      seeds,
    };
  }
}

/** A peer for people and metrics. */
export function snapshotOf(connection: PeerConnection, now: number): PeerSnapshot {
  const { peer } = connection;
  return {
    address: connection.address,
    outgoing: connection.outgoing,
    ownAgent: peer.ownAgent,
    client: connection.client,
    piecesHave: peer.pieces.count,
    amChoking: peer.choke.amChoking,
    amInterested: peer.amInterested,
    peerChoking: peer.peerChoking,
    peerInterested: peer.peerInterested,
    downloadBytesPerSecond: peer.download.rate(now) * 1000,
    uploadBytesPerSecond: peer.upload.rate(now) * 1000,
    downloadedBytes: peer.download.downloadedBytes,
    uploadedBytes: peer.upload.uploadedBytes,
    requestsOutstanding: peer.download.outstandingCount,
  };
}
