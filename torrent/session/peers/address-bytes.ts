// Addresses as BEP 10's `yourip` has them. Invariant: 4 bytes are IPv4 and 16 are IPv6; anything else is no address.
import ipaddr from 'ipaddr.js';

/** The bytes of an address; undefined for a name. */
export function addressBytes(host: string): Uint8Array | undefined {
  return ipaddr.isValid(host) ? Uint8Array.from(ipaddr.process(host).toByteArray()) : undefined;
}

/** The address of 4 or 16 bytes. */
export function addressOfBytes(bytes: Uint8Array): string | undefined {
  if (bytes.length !== 4 && bytes.length !== 16) return undefined;
  return ipaddr.process(ipaddr.fromByteArray([...bytes]).toString()).toString();
}
