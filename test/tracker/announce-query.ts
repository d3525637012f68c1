// Queries as clients write them, for the tests.

/** Escapes every byte, as careful clients do. */
export function escapeBytes(bytes: Uint8Array): string {
  return [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
}

/** Twenty equal bytes. */
export const hashOf = (byte: number) => Buffer.alloc(20, byte);

/** A good announce with some parameters changed, or left out where they are undefined. */
export function announceQuery(changes: Record<string, string | number | undefined> = {}): string {
  const parameters: Record<string, string | number | undefined> = {
    info_hash: escapeBytes(hashOf(0xaa)),
    peer_id: '-XX0001-abcdefghijkl',
    port: 6881,
    uploaded: 0,
    downloaded: 0,
    left: 100,
    compact: 1,
    ...changes,
  };
  return Object.entries(parameters)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}
