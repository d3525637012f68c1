/**
 * The address of a peer in the compact form of BEP 23 (IPv4) and BEP 7 (IPv6): address bytes, then the port, both
 * in network byte order. One address has one form, so its bytes tell peers apart.
 */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Bytes of an IPv4 address and port. */
export const COMPACT_IPV4_BYTES = 6;
/** Bytes of an IPv6 address and port. */
export const COMPACT_IPV6_BYTES = 18;

/** A host to connect to. */
export interface PeerAddress {
  /** Textual IP address; IPv4 addresses never in their IPv6-mapped form. */
  readonly host: string;
  readonly port: number;
}

/**
 * The compact form of the address of a connection, with port 0: the port is the announce's to say.
 *
 * @param remoteAddress as `socket.remoteAddress` gives it: on a dual-stack socket IPv4 comes as `::ffff:a.b.c.d`,
 *   and link-local addresses carry a zone
 * @returns undefined if it is no IP address (the socket is closed already)
 */
export function compactHost(remoteAddress: string | undefined): Buffer | undefined {
  const text = remoteAddress?.replace(/%.*$/, '') ?? '';
  if (isIP(text) === 0) return undefined;
  return Buffer.from([...ipaddr.process(text).toByteArray(), 0, 0]); // Unmaps IPv4 from IPv6.
}

/** Writes the port into a compact address. */
export function setPort(compact: Uint8Array, port: number): void {
  compact[compact.length - 2] = port >> 8;
  compact[compact.length - 1] = port & 0xff;
}

/** Reads a compact address. */
export function readCompact(compact: Uint8Array): PeerAddress {
  const hostBytes = compact.length - 2;
  return {
    host: ipaddr.fromByteArray([...compact.subarray(0, hostBytes)]).toString(),
    port: ((compact[hostBytes] as number) << 8) | (compact[hostBytes + 1] as number),
  };
}
