// Hashing a piece and writing it, at once and where one stands: what a thread for pieces does. Invariant: not a byte
// is written of a piece that fails its hash.
import { hash } from 'node:crypto';
import { writeSync } from 'node:fs';

/** Where a part of a piece goes. */
export interface PiecePart {
  /** An open file. */
  readonly fd: number;
  /** Where in the piece it begins, and how long it is. */
  readonly start: number;
  readonly lengthBytes: number;
  /** Where in the file it goes. */
  readonly position: number;
}

/** A piece to hash and write. */
export interface PieceWrite {
  /** In shared memory; nobody writes into it meanwhile. */
  readonly data: Uint8Array;
  /** The SHA-1 it must have. */
  readonly expected: Uint8Array;
  /** None: the piece is only hashed. */
  readonly parts: readonly PiecePart[];
}

/** What became of it; a failure of the disk as the system tells it. */
export type PieceWritten = 'verified' | 'corrupt' | { readonly code: string; readonly message: string };

/** Does it. */
export function writePieceNow({ data, expected, parts }: PieceWrite): PieceWritten {
  if (hash('sha1', data, 'buffer').compare(expected) !== 0) return 'corrupt';
  try {
    for (const { fd, start, lengthBytes, position } of parts) {
      for (let done = 0; done < lengthBytes; ) {
        const count = writeSync(fd, data, start + done, lengthBytes - done, position + done);
        if (count <= 0) return { code: 'EIO', message: 'the disk takes no more bytes and gives no reason' };
        done += count;
      }
    }
    return 'verified';
  } catch (error) {
    const { code = 'EIO', message } = error as NodeJS.ErrnoException;
    return { code, message };
  }
}
