// What a torrent needs of its session. Invariant: a torrent reaches its session through this and in no other way.
import type { Logger, Stopwatch } from '../../base/index.ts';
import type { MemoryLedger } from '../memory-ledger.ts';
import type { TokenBucket } from '../swarm/token-bucket.ts';
import type { Greeting } from './greeting/greeting.ts';
import type { ShownPieces } from './greeting/shown-pieces.ts';

/** The session as one of its torrents sees it. */
export interface TorrentSurroundings {
  readonly peerId: Buffer;
  readonly clock: Stopwatch;
  readonly random: () => number;
  readonly logger: Logger;
  readonly memory: MemoryLedger;
  readonly upload: TokenBucket;
  readonly download: TokenBucket;
  /** What hosts of peers of any torrent have shown. */
  readonly shownPieces: ShownPieces;
  /** What we call ourselves in BEP 10. */
  readonly client: string;
  /** Where the session listens; 0 before it does. */
  port(): number;
  /** The one address that the session listens on; undefined where it is every address, and before it listens. */
  localAddress(): string | undefined;
  /** False if the session has as many connections as it may. */
  hasRoom(): boolean;
  /** Takes care of a greeting's time-out. */
  watch(greeting: Greeting): void;
  unwatch(greeting: Greeting): void;
}
