// Hashing a piece and writing it, at once and where one stands: what a thread for pieces does. Invariant: not a byte
// is written of a piece that fails its hash.
import { hash } from 'node:crypto';
import { fstatSync, writeSync } from 'node:fs';

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

/** What tells whether somebody else changed an open file; see FileStatus. */
export interface FileTrace {
  readonly links: number;
  readonly sizeBytes: number;
  readonly modifiedNanoseconds: bigint;
  readonly changedNanoseconds: bigint;
  readonly mode: number;
}

/** How the file of a part looked before it was written to, and after. */
export interface WrittenPart {
  readonly before: FileTrace;
  readonly after: FileTrace;
}

/** What became of it: its parts once it is written; a failure of the disk as the system tells it. */
export type PieceWritten =
  | readonly WrittenPart[]
  | 'corrupt'
  | { readonly code: string; readonly message: string };

/** Does it. */
export function writePieceNow({ data, expected, parts }: PieceWrite): PieceWritten {
  if (hash('sha1', data, 'buffer').compare(expected) !== 0) return 'corrupt';
  try {
    return parts.map(({ fd, start, lengthBytes, position }) => {
      const before = traceOf(fd);
      for (let done = 0; done < lengthBytes; ) {
        const count = writeSync(fd, data, start + done, lengthBytes - done, position + done);
        if (count <= 0)
          throw Object.assign(new Error('the disk takes no more bytes and gives no reason'), { code: 'EIO' });
        done += count;
      }
      return { before, after: traceOf(fd) };
    });
  } catch (error) {
    const { code = 'EIO', message } = error as NodeJS.ErrnoException;
    return { code, message };
  }
}

function traceOf(fd: number): FileTrace {
  const { nlink, size, mtimeNs, ctimeNs, mode } = fstatSync(fd, { bigint: true });
  return {
    links: Number(nlink),
    sizeBytes: Number(size),
    modifiedNanoseconds: mtimeNs,
    changedNanoseconds: ctimeNs,
    mode: Number(mode) & 0o7777,
  };
}
