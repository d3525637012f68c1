// Hosts that gave bytes that failed their hash. Invariant: an IPv4 ban hits one address. Of a global IPv6 address it hits
// the whole /64, which is one customer's to choose addresses from; only clients of our own kind, of which many may stand in
// one /64, are hit one by one, until several of them were. Memory is bounded.

import { MAX_BANNED_OF_RANGE, MAX_KNOWN_IDENTITIES } from '../tunables.ts';
import { globalNetwork } from './host-network.ts';

function forgetOldest(all: Map<string, unknown>): void {
  if (all.size <= MAX_KNOWN_IDENTITIES) return;
  for (const oldest of all.keys()) {
    all.delete(oldest);
    return;
  }
}

/** The bans of one swarm. */
export class BannedHosts {
  readonly #hosts = new Map<string, true>();
  /** How many hosts of a /64 were banned. */
  readonly #networks = new Map<string, number>();

  add(host: string): void {
    if (this.#hosts.has(host)) return;
    this.#hosts.set(host, true);
    forgetOldest(this.#hosts);
    const network = globalNetwork(host);
    if (network === undefined) return;
    this.#networks.set(network, (this.#networks.get(network) ?? 0) + 1);
    forgetOldest(this.#networks);
  }

  /** @param isOwnKind it is, or may be, a client of our own kind */
  has(host: string, isOwnKind: boolean): boolean {
    if (this.#hosts.has(host)) return true;
    if (this.#networks.size === 0) return false;
    const network = globalNetwork(host);
    const banned = network === undefined ? 0 : (this.#networks.get(network) ?? 0);
    return banned >= (isOwnKind ? MAX_BANNED_OF_RANGE : 1);
  }
}
