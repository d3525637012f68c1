// Hosts that gave bytes that failed their hash. Invariant: an IPv4 ban hits one address. Of a global IPv6 address it hits
// the whole /64, which is one customer's to choose addresses from; only clients of our own kind, of which many may stand in
// one /64, are hit one by one, until several of them were. Memory is bounded.
import ipaddr from 'ipaddr.js';
import { MAX_BANNED_OF_RANGE, MAX_KNOWN_IDENTITIES } from './tunables.ts';

/** Ranges of IPv6 in which a /64 is one network of one owner; not those that tunnel, translate or are local. */
const RANGES_OF_NETWORKS: readonly string[] = ['unicast', '6to4'];

/** The /64 of a global IPv6 address; undefined for anything else. */
function networkOf(host: string): string | undefined {
  if (!ipaddr.IPv6.isValid(host)) return undefined;
  const address = ipaddr.process(host);
  if (address.kind() !== 'ipv6' || !RANGES_OF_NETWORKS.includes(address.range())) return undefined;
  return Buffer.from(address.toByteArray().slice(0, 8)).toString('hex');
}

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
    const network = networkOf(host);
    if (network === undefined) return;
    this.#networks.set(network, (this.#networks.get(network) ?? 0) + 1);
    forgetOldest(this.#networks);
  }

  /** @param isOwnKind it is, or may be, a client of our own kind */
  has(host: string, isOwnKind: boolean): boolean {
    if (this.#hosts.has(host)) return true;
    if (this.#networks.size === 0) return false;
    const network = networkOf(host);
    const banned = network === undefined ? 0 : (this.#networks.get(network) ?? 0);
    return banned >= (isOwnKind ? MAX_BANNED_OF_RANGE : 1);
  }
}
