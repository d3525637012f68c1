// Bytes in a query. Invariant: every byte outside RFC 3986's unreserved characters becomes %XX, byte by byte;
// encodeURIComponent would take bytes for UTF-8 and change an info hash.

const ENCODED: string[] = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  return /[0-9A-Za-z\-._~]/.test(character)
    ? character
    : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
});

/** Percent-encodes bytes, as announces carry info hash and peer id (BEP 3). */
export function percentEncode(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += ENCODED[byte];
  return text;
}
