/**
 * Content that anyone can make again from its seed: the keystream of AES-256-CTR under SHA-256(seed). The
 * source server (server.mjs) serves the same bytes, so a test knows what a node must hold without keeping it.
 */
import { createCipheriv, createHash } from 'node:crypto';

const CHUNK_BYTES = 1 << 20;

/**
 * @param seed any text
 * @param sizeBytes how many bytes of the stream
 * @returns lower-case hex SHA-256 of the first `sizeBytes` bytes of the seed's stream
 */
export function randomContentSha256(seed: string, sizeBytes: number): string {
  const cipher = createCipheriv('aes-256-ctr', createHash('sha256').update(seed).digest(), Buffer.alloc(16));
  const zeros = Buffer.alloc(CHUNK_BYTES);
  const hash = createHash('sha256');
  for (let left = sizeBytes; left > 0; left -= CHUNK_BYTES) {
    hash.update(cipher.update(left >= CHUNK_BYTES ? zeros : zeros.subarray(0, left)));
  }
  return hash.digest('hex');
}
