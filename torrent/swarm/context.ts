// What the swarm's modules share. Invariant: there is one of these per torrent, and its parts are never replaced.
import type { Stopwatch } from '../../base/index.ts';
import type { SwarmHost } from './host.ts';
import type { PeerState } from './peers/peer.ts';
import type { AvailabilityIndex } from './pieces/availability-index.ts';
import type { Geometry } from './pieces/geometry.ts';
import type { PiecePicker } from './pieces/piece-picker.ts';
import type { Policy } from './policy/policy.ts';

/** Counts since the torrent was added. Bytes are payload. */
export interface SwarmTotals {
  downloadedBytes: number;
  uploadedBytes: number;
  /** Came twice, or unasked. */
  duplicateBytes: number;
  /** Of pieces that failed their hash. */
  corruptBytes: number;
  /** Requests that asked for a second copy in endgame. */
  endgameRequests: number;
  /** Requests that were taken back because nothing came. */
  stalledRequests: number;
  /** Times that a peer was asked for less than its path holds, because memory was short. */
  memoryWaits: number;
}

/** The parts of a swarm, for a module that may change this much of peers. */
export interface SwarmContext<P extends PeerState = PeerState> {
  readonly geometry: Geometry;
  readonly picker: PiecePicker;
  /** Of own agents; everybody else meets the classic one (PeerState.policy). */
  readonly policy: Policy;
  readonly clock: Stopwatch;
  readonly random: () => number;
  readonly host: SwarmHost;
  /** Connected peers, in order of arrival. */
  readonly peers: readonly P[];
  /** Is told which pieces are started and wanted again. */
  readonly availabilityIndex: Pick<AvailabilityIndex, 'started' | 'wantedAgain'>;
  readonly totals: SwarmTotals;
  paused: boolean;
  /** Drops a peer that broke a rule or is of no use. */
  drop(peer: P, reason: string): void;
}
