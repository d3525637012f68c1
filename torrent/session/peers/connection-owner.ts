// What a connection and its torrent need of each other. Invariant: types only, so that connection, inbound messages
// and torrent know these and not one another.
import type { Logger, Stopwatch } from '../../../base/index.ts';
import type { PeerAddress } from '../../discovery/discovery.ts';
import type { PieceStorage } from '../../storage/piece-storage.ts';
import type { BlockIntake } from '../../swarm/host.ts';
import type { Peer } from '../../swarm/peers/peer.ts';
import type { Swarm } from '../../swarm/swarm.ts';
import type { PeerExtensionIds } from '../../wire/extension.ts';

/** An established connection as its torrent and its inbound messages see it. */
export interface PeerConnection {
  readonly outgoing: boolean;
  readonly address: PeerAddress;
  /** 20 bytes. */
  readonly peerId: Buffer;
  readonly peer: Peer;
  readonly isClosed: boolean;
  /** Where the peer can be dialled: where we dialled it, or what it said. */
  listenAddress: PeerAddress | undefined;
  /** What it calls itself (BEP 10 `v`). */
  client: string | undefined;
  /** The extensions it speaks. */
  readonly extensions: PeerExtensionIds;
  /** Sends a message of an extension, if the peer speaks it. */
  sendExtended(extension: string, payload: Uint8Array): void;
  /** Both are own agents: requests and blocks may go and come in runs of up to so many bytes. */
  takeRuns(mostBytes: number): void;
  /** The longest run that may come; 0 for single blocks only. */
  readonly runBytes: number;
  /** Sends our handshake (BEP 10), the first or one that adds to it. */
  introduce(introduction: Uint8Array): void;
  /** The peer sent these bytes, valid during the call only. */
  data(chunk: Buffer): void;
  /** Sends what has been collected. */
  flush(): void;
  /** Bytes that wait to be written. */
  readonly unsentBytes: number;
  /** Ends the connection, for a reason that the log gives. */
  end(reason: string): void;
}

/** What is said under BEP 10. */
export interface ExtensionMessages {
  /** Our handshake for a peer. */
  introduction(connection: PeerConnection): Uint8Array;
  /** A message of the peer; 0 is its handshake. @throws TorrentError InvalidBencode or PeerProtocol. */
  received(connection: PeerConnection, id: number, payload: Buffer): void;
}

/** What a connection needs of its torrent. */
export interface ConnectionOwner {
  readonly swarm: Swarm;
  readonly storage: PieceStorage;
  readonly clock: Stopwatch;
  readonly logger: Logger;
  readonly extensions: ExtensionMessages;
  readonly blocks: BlockIntake;
  /** Something waits in the connection's writer: flush() it before long. */
  flushSoon(connection: PeerConnection): void;
  /** A held piece could not be read. True if the torrent goes on without it. */
  readFailed(error: unknown): boolean;
  closed(connection: PeerConnection, reason: string): void;
}
