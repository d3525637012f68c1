/**
 * The address of a peer in the compact form of BEP 23 (IPv4) and BEP 7 (IPv6): address bytes, then the port, both
 * in network byte order. One address has one form, so its bytes tell peers apart.
 */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Bytes of an IPv4 address and port. */
export const COMPACT_IPV4_BYTES = 6;

/** A host to connect to and how it is written in replies. */
export interface PeerAddress {
  /** Textual IP address; IPv4 addresses never in their IPv6-mapped form. */
  readonly host: string;
  readonly port: number;
  /** 6 or 18 bytes. */
  readonly compact: Buffer;
}

/**
 * The address of a peer from that of its connection and the port it states.
 *
 * @param remoteAddress as `socket.remoteAddress` gives it: on a dual-stack socket IPv4 comes as `::ffff:a.b.c.d`,
 *   and link-local addresses carry a zone
 * @returns undefined if it is no IP address (the socket is closed already)
 */
export function peerAddress(remoteAddress: string | undefined, port: number): PeerAddress | undefined {
  const text = remoteAddress?.replace(/%.*$/, '') ?? '';
  if (isIP(text) === 0) return undefined;
  const address = ipaddr.process(text); // Unmaps IPv4 from IPv6.
  const bytes = address.toByteArray();
  const compact = Buffer.from([...bytes, port >> 8, port & 0xff]);
  return { host: address.toString(), port, compact };
}
