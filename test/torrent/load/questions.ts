// What a process with an engine is asked. Invariant: everything here survives JSON.
import type { PeerAddress } from '../../../torrent/discovery/discovery.ts';
import type { PolicyName, TorrentProgress, TransferLimits } from '../../../torrent/session/types.ts';

/** How the session of the process is made. */
export interface EngineSettings {
  maxConnections?: number;
  limits?: TransferLimits;
  /** The budget of the process. */
  memoryBytes?: number;
}

/** To join a swarm. */
export interface JoinQuestion {
  kind: 'join';
  /** The info dictionary in base64; by magnet nothing is taken from it but its hash. */
  info: string;
  byMagnet?: boolean;
  /** Holds the content and the resume data. */
  folder: string;
  /** The files are there, and believed. */
  isComplete: boolean;
  policy: PolicyName;
  peers: readonly PeerAddress[];
}

export type Question =
  | JoinQuestion
  | { kind: 'leave'; infoHash: string }
  | { kind: 'progress'; infoHash: string }
  | { kind: 'memory' };

/** After a collection of garbage. */
export interface MemoryAnswer {
  heapBytes: number;
  /** Buffers outside the heap. */
  bufferBytes: number;
  residentBytes: number;
  peers: number;
  torrents: number;
  /** What the engine logged as an error. */
  problems: readonly string[];
}

export interface Answer {
  progress?: TorrentProgress;
  memory?: MemoryAnswer;
}
