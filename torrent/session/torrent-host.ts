// What the swarm of one torrent asks of the rest of it. Invariant: it decides nothing; each question goes to the part
// that knows, and payload is counted by the limits alone.
import type { PieceMemory, SwarmHost } from '../swarm/host.ts';
import type { TorrentLimits } from './limits.ts';
import type { HeldContent } from './pieces/held-content.ts';

/** Who is told what the swarm found out. */
interface TorrentHostEvents {
  /** Nothing more is to be had from the host or web seed of this identity. */
  banned(identity: string, reason: string): void;
  /** Haves were collected, and the turn is over in which they were. */
  flushHaves(): void;
}

/** See above. */
export class TorrentHost implements SwarmHost {
  readonly memory: PieceMemory;
  readonly #content: HeldContent;
  readonly #limits: TorrentLimits;
  readonly #events: TorrentHostEvents;
  #willFlushHaves = false;

  constructor(content: HeldContent, limits: TorrentLimits, events: TorrentHostEvents) {
    this.memory = content.intake;
    this.#content = content;
    this.#limits = limits;
    this.#events = events;
  }

  pieceDropped(piece: number): void {
    this.#content.intake.drop(piece);
  }

  completed(): void {
    this.#content.completed();
  }

  banned(identity: string, reason: string): void {
    this.#events.banned(identity, reason);
  }

  wakeForHaves(): void {
    if (this.#willFlushHaves) return;
    this.#willFlushHaves = true;
    setImmediate(this.#flushHaves);
  }

  mayUpload(now: number): boolean {
    return this.#limits.mayUpload(now);
  }

  spendUpload(bytes: number): void {
    this.#limits.spendUpload(bytes);
  }

  mayDownload(now: number): boolean {
    return this.#content.takesMore && this.#limits.mayDownload(now);
  }

  spendDownload(bytes: number): void {
    this.#limits.spendDownload(bytes);
  }

  refundDownload(bytes: number): void {
    this.#limits.refundDownload(bytes);
  }

  readonly #flushHaves = (): void => {
    this.#willFlushHaves = false;
    this.#events.flushHaves();
  };
}
