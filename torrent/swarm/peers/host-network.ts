// Whom one host can pretend to be. Invariant: an IPv4 address is one host; of IPv6 the first 64 bits are, since
// whoever has one address of a subnet has them all.
import ipaddr from 'ipaddr.js';

/** Ranges of IPv6 in which a /64 is one network of one owner; not those that tunnel, translate or are local. */
const RANGES_OF_NETWORKS: readonly string[] = ['unicast', '6to4'];

function parseIpv6(host: string): ipaddr.IPv6 | undefined {
  // Most addresses are IPv4: told without parsing.
  if (!host.includes(':') || !ipaddr.IPv6.isValid(host)) return undefined;
  const address = ipaddr.IPv6.parse(host);
  return address.isIPv4MappedAddress() ? undefined : address;
}

function networkOf({ parts }: ipaddr.IPv6): string {
  return `${parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`;
}

/** What all addresses of one host have in common: two hosts are the same if it is equal. A name is itself. */
export function hostNetwork(host: string): string {
  const address = parseIpv6(host);
  if (address !== undefined) return networkOf(address);
  return host.includes(':') && ipaddr.isValid(host) ? ipaddr.process(host).toString() : host;
}

/** The /64 of a global IPv6 address; undefined for anything else. */
export function globalNetwork(host: string): string | undefined {
  const address = parseIpv6(host);
  return address !== undefined && RANGES_OF_NETWORKS.includes(address.range())
    ? networkOf(address)
    : undefined;
}
