// Where the peers of one torrent come from, and which of their hosts are ours. Invariant: each source is started once,
// and asked for more at intervals only; of the hosts that are ours the latest are remembered.
import type { Discovery, PeerAddress, SwarmIdentity } from '../discovery/discovery.ts';
import { MAX_KNOWN_ADDRESSES } from '../swarm/tunables.ts';

/** The sources of one torrent. */
export class TorrentDiscovery {
  readonly #sources: readonly Discovery[];
  /** Hosts that a source of ours named. */
  readonly #ours = new Set<string>();
  #hasBegun = false;
  #askedAt: number;

  constructor(sources: readonly Discovery[], now: number) {
    this.#sources = sources;
    this.#askedAt = now;
  }

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Starts the sources; once only. */
  begin(swarm: SwarmIdentity, onPeers: (addresses: readonly PeerAddress[]) => void): void {
    this.#hasBegun = true;
    for (const source of this.#sources) {
      source.start(swarm, (addresses) => {
        if (source.namesOwn) this.#noteOurs(addresses);
        onPeers(addresses);
      });
    }
  }

  /** True if a source that names our own kind alone named the host. */
  namedAsOurs(host: string): boolean {
    return this.#ours.has(host);
  }

  /** There are too few peers: the sources are asked, unless that was less than so long ago. */
  needMore(now: number, intervalMilliseconds: number): void {
    if (!this.#hasBegun || now - this.#askedAt < intervalMilliseconds) return;
    this.#askedAt = now;
    for (const source of this.#sources) source.needMore();
  }

  /** The download is complete. */
  completed(): void {
    for (const source of this.#sources) source.announce('completed');
  }

  /** Takes leave of every source. */
  async stop(): Promise<void> {
    await Promise.all(this.#sources.map((source) => source.stop()));
  }

  #noteOurs(addresses: readonly PeerAddress[]): void {
    for (const { host } of addresses) {
      // The latest stay.
      this.#ours.delete(host);
      this.#ours.add(host);
    }
    for (const oldest of this.#ours) {
      if (this.#ours.size <= MAX_KNOWN_ADDRESSES) break;
      this.#ours.delete(oldest);
    }
  }
}
