// A source of peers that goes from one user to the next: what looks for the metadata starts it, and the torrent that
// comes of it goes on with it. Invariant: the source itself is started once, and its trackers see one member.
import type { Discovery, PeerAddress, SwarmIdentity } from './discovery.ts';

/** Addresses that are kept for the next user. */
const MAX_KEPT_ADDRESSES = 1000;

/** See above. */
export class RelayedDiscovery implements Discovery {
  readonly #source: Discovery;
  #swarm: SwarmIdentity | undefined;
  #onPeers: ((addresses: PeerAddress[]) => void) | undefined;
  readonly #kept = new Map<string, PeerAddress>();

  constructor(source: Discovery) {
    this.#source = source;
  }

  /** The first call starts the source; later ones take over, and hear of all that was found before. */
  start(swarm: SwarmIdentity, onPeers: (addresses: PeerAddress[]) => void): void {
    const isFirst = this.#swarm === undefined;
    this.#swarm = swarm;
    this.#onPeers = onPeers;
    if (!isFirst) {
      onPeers([...this.#kept.values()]);
      return;
    }
    const progress = () => (this.#swarm ?? swarm).progress();
    this.#source.start({ ...swarm, progress }, (addresses) => {
      for (const address of addresses) {
        if (this.#kept.size >= MAX_KEPT_ADDRESSES) break;
        this.#kept.set(`${address.host}|${address.port}`, address);
      }
      this.#onPeers?.(addresses);
    });
  }

  announce(event: 'completed'): void {
    this.#source.announce(event);
  }

  needMore(): void {
    this.#source.needMore();
  }

  async stop(): Promise<void> {
    this.#onPeers = undefined;
    await this.#source.stop();
  }
}
