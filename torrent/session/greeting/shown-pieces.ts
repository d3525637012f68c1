// How many pieces the connections of one host may show us. Availability is counted piece by piece, when a peer comes and
// when it goes: of 100,000 pieces that was measured to take 3 to 4 ms of a processor, fifteen times what the connection
// itself takes, for 12 KB that the peer sends. Invariants: one host takes about 1/200 of a processor in that way, after a
// first half second; whoever comes back after a fault, with all of its torrents, is not held up.
import type { Stopwatch } from '../../../base/index.ts';
import { globalNetwork, hostNetwork } from '../../swarm/peers/host-network.ts';

/** Shown at once: 100 connections with 100,000 pieces, or one for each of 2,000 torrents of common size. */
const PIECES_AT_ONCE = 10_000_000;
const PIECES_PER_SECOND = 100_000;

/** Clients of our own kind are counted one by one, and all of one global /64 as so many. */
const OWN_OF_NETWORK = 16;

/** Hosts that are remembered; the one that came first is forgotten. */
const MAX_HOSTS = 4096;

/** What the hosts of a session's peers have shown lately. */
export class ShownPieces {
  readonly #clock: Stopwatch;
  /** Pieces of each host, less what is forgotten by now, and when that was counted. */
  readonly #byHost = new Map<string, { pieces: number; at: number }>();

  constructor(clock: Stopwatch) {
    this.#clock = clock;
  }

  /** Counts a connection of the host; false, and nothing is counted, if it would show too much. */
  admit(host: string, isOwnKind: boolean, pieces: number): boolean {
    const now = this.#clock.monotonic();
    const counts = this.#countsOf(host, isOwnKind, pieces);
    const after = counts.map((count) => this.#left(count.key, now) + count.pieces);
    if (after.some((shown) => shown > PIECES_AT_ONCE)) return false;
    counts.forEach(({ key }, index) => {
      this.#set(key, after[index] as number, now);
    });
    return true;
  }

  #countsOf(host: string, isOwnKind: boolean, pieces: number): { key: string; pieces: number }[] {
    if (!isOwnKind) return [{ key: hostNetwork(host), pieces }];
    const network = globalNetwork(host);
    const own = { key: host, pieces };
    // Anybody may say that it is of our kind.
    return network === undefined ? [own] : [own, { key: `own ${network}`, pieces: pieces / OWN_OF_NETWORK }];
  }

  #left(key: string, now: number): number {
    const shown = this.#byHost.get(key);
    if (shown === undefined) return 0;
    return Math.max(0, shown.pieces - ((now - shown.at) / 1000) * PIECES_PER_SECOND);
  }

  #set(key: string, pieces: number, at: number): void {
    this.#byHost.delete(key);
    const [oldest] = this.#byHost.keys();
    if (oldest !== undefined && this.#byHost.size >= MAX_HOSTS) this.#byHost.delete(oldest);
    this.#byHost.set(key, { pieces, at });
  }
}
