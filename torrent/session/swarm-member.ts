// What a session knows of whatever it has under an info hash. Invariant: a connection that was established with the
// info hash goes to exactly one of these.
import type { PeerAddress } from '../discovery/discovery.ts';
import type { PeerConnection } from './peers/connection-owner.ts';
import type { Established } from './peers/dialler.ts';

/** A torrent, or the search for its metadata. */
export interface SwarmMember {
  /** Connections that stand or are being made. */
  readonly connectionCount: number;
  /** Those that stand and may be owed more than a few messages. */
  connections(): Iterable<PeerConnection>;
  /** True if a connection that was dialled from there may become one of ours. */
  admits(address: PeerAddress): boolean;
  /** True if a source that names our own kind alone named the host. */
  namedAsOurs(host: string): boolean;
  /** Both handshakes are exchanged. The greeting is nobody's any more. */
  readonly established: Established;
  /** Begins to look for peers, once the session listens. */
  begin(): void;
  /** Every 100 ms. */
  tick(now: number): void;
  stop(): Promise<void>;
}
