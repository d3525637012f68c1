// Whom one host can pretend to be. Invariant: an IPv4 address is one host; of IPv6 the first 64 bits are, since
// whoever has one address of a subnet has them all.
import ipaddr from 'ipaddr.js';

/** What all addresses of one host have in common: two hosts are the same if it is equal. A name is itself. */
export function hostNetwork(host: string): string {
  // Most addresses are IPv4: told without parsing.
  if (!host.includes(':')) return host;
  if (!ipaddr.IPv6.isValid(host)) return host;
  const address = ipaddr.process(host);
  if (address.kind() === 'ipv4') return address.toString();
  return `${(address as ipaddr.IPv6).parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`;
}
