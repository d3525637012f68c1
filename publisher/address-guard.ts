// Which addresses a publisher may connect to. Users choose URLs, and the publisher stands inside the cluster:
// without this, a URL could read the metadata service of the cloud or a port of the node.
//
// Invariant: the address that is judged is the address that is connected to. Names are resolved once, in the
// connector, and only what passed is handed to the socket, so a name that changes its mind gains nothing.
import { lookup as dnsLookup, type LookupAddress } from 'node:dns';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { buildConnector } from 'undici';
import { SourceReason } from '../api/index.ts';
import { PublishError } from './errors.ts';

/** Judges addresses. */
export interface AddressGuard {
  /** Why an IP address is refused, as the end of a sentence, or undefined if it is not. */
  problem(address: string): string | undefined;
}

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Cidr = [Address, number];

/** Ranges that are never a source; IPv6 forms that carry an IPv4 address are unwrapped before. */
const ALWAYS_REFUSED: Record<string, string> = {
  loopback: 'is a loopback address',
  linkLocal: 'is a link-local address',
  unspecified: 'is an unspecified address',
  multicast: 'is a multicast address',
  broadcast: 'is a broadcast address',
};

function parseCidrs(cidrs: readonly string[], what: string): Cidr[] {
  return cidrs.map((cidr) => {
    try {
      return ipaddr.parseCIDR(cidr.includes('/') ? cidr : `${cidr}/${isIP(cidr) === 6 ? 128 : 32}`);
    } catch (error) {
      throw new PublishError(
        SourceReason.PublisherFailed,
        `${what} must hold CIDRs such as 10.0.0.0/8 or fd00::/8, and ${JSON.stringify(cidr)} is none`,
        { cause: error },
      );
    }
  });
}

/** The IPv4 address inside an IPv6 one: mapped (::ffff:a.b.c.d), compatible (::a.b.c.d), NAT64 and 6to4. */
function unwrap(address: Address): Address {
  if (!(address instanceof ipaddr.IPv6)) return address;
  if (address.isIPv4MappedAddress()) return address.toIPv4Address();
  const bytes = address.toByteArray();
  const range = address.range();
  if (range === 'rfc6052') return new ipaddr.IPv4(bytes.slice(12));
  if (range === '6to4') return new ipaddr.IPv4(bytes.slice(2, 6));
  const compatible =
    bytes.slice(0, 12).every((byte) => byte === 0) && bytes.slice(12, 15).some((byte) => byte !== 0);
  return compatible ? new ipaddr.IPv4(bytes.slice(12)) : address;
}

function contains(cidrs: readonly Cidr[], address: Address): boolean {
  return cidrs.some(([network, bits]) => network.kind() === address.kind() && address.match(network, bits));
}

/**
 * The guard of a publisher: loopback, link-local, unspecified, multicast and broadcast addresses are refused
 * always, `deniedCidrs` unless `allowedCidrs` names them.
 */
export function createAddressGuard(options: {
  deniedCidrs: readonly string[];
  allowedCidrs: readonly string[];
}): AddressGuard {
  const denied = parseCidrs(options.deniedCidrs, 'the denied CIDRs');
  const allowed = parseCidrs(options.allowedCidrs, 'the allowed CIDRs');
  return {
    problem(text) {
      const bare = text.replace(/%.*$/, '');
      if (!ipaddr.isValid(bare)) return 'is not an IP address';
      const outer = ipaddr.parse(bare);
      const inner = unwrap(outer);
      for (const address of [outer, inner]) {
        // 0.0.0.0/8 is "this host" as a whole (RFC 1122), and Linux connects 0.0.0.0 to itself.
        const refusal = ALWAYS_REFUSED[address.range()];
        if (refusal !== undefined) return refusal;
      }
      for (const address of [outer, inner]) {
        if (contains(denied, address) && !contains(allowed, address))
          return 'lies in a range that is denied to sources';
      }
      return undefined;
    },
  };
}

function refused(host: string, address: string, problem: string): PublishError {
  const where = host === address ? address : `${host} (${address})`;
  return new PublishError(
    SourceReason.ForbiddenAddress,
    `publishers must not connect to ${where}: it ${problem}; an administrator can allow ranges in publisher.allowedCIDRs of the chart, but not loopback or link-local ones`,
  );
}

/** Resolves a name to all of its addresses. */
export type Resolver = (
  host: string,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

const systemResolver: Resolver = (host, callback) => dnsLookup(host, { all: true }, callback);

/** An undici connector that connects to nothing but what the guard lets pass. */
export function guardedConnector(
  guard: AddressGuard,
  options: { connectTimeoutMs: number; resolver?: Resolver },
): buildConnector.connector {
  const resolver = options.resolver ?? systemResolver;
  const connect = buildConnector({
    timeout: options.connectTimeoutMs,
    allowH2: false,
    autoSelectFamily: true,
    lookup: (host, lookupOptions, callback) => {
      resolver(host, (error, addresses) => {
        if (error !== null) {
          callback(error, '', 0);
          return;
        }
        const passed = addresses.filter(({ address }) => guard.problem(address) === undefined);
        const [first] = passed;
        if (first === undefined) {
          const address = addresses[0]?.address ?? '';
          callback(refused(host, address, guard.problem(address) ?? 'has no address'), '', 0);
        } else if (lookupOptions.all === true) callback(null, passed);
        else callback(null, first.address, first.family);
      });
    },
  });
  return (connectOptions, callback) => {
    // Sockets do not look up what already is an address.
    const host = connectOptions.hostname.replace(/^\[|\]$/g, '');
    const problem = isIP(host) === 0 ? undefined : guard.problem(host);
    if (problem !== undefined) {
      callback(refused(host, host, problem), null);
      return;
    }
    connect(connectOptions, callback);
  };
}
