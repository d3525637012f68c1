// One thread's share of hashing content: takes the next run of pieces that nobody took, reads and hashes it, until
// none is left. Synchronous, because it has a thread of its own or little to do.
import { hash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { type ContentFile, OPEN_CONTENT } from './content-files.ts';
import { TorrentError } from './errors.ts';
import { HASH_BYTES } from './metainfo.ts';

/** Places in HashJob.shared. */
export const NEXT_RUN = 0;
export const HASHED_PIECES = 1;
export const IS_STOPPED = 2;
export const SHARED_COUNT = 3;

/** What is to be hashed; all threads work on the same one. */
export interface HashJob {
  readonly files: readonly ContentFile[];
  readonly totalBytes: number;
  readonly pieceLength: number;
  /** Pieces that a thread takes at once. */
  readonly piecesPerRun: number;
  /** The SHA-1 of all pieces, end to end, in shared memory: each thread writes those of its runs. */
  readonly hashes: Uint8Array;
  /** Counters in shared memory. */
  readonly shared: Int32Array;
}

/**
 * Does a thread's share.
 * @throws TorrentError FileChanged (a file's length is not what it was), DiskIo.
 */
export function hashShare({ files, totalBytes, pieceLength, piecesPerRun, hashes, shared }: HashJob): void {
  const reader = new Reader(files);
  const pieceCount = Math.ceil(totalBytes / pieceLength);
  const buffer = Buffer.allocUnsafeSlow(Math.min(pieceLength, totalBytes));
  try {
    while (Atomics.load(shared, IS_STOPPED) === 0) {
      const first = Atomics.add(shared, NEXT_RUN, 1) * piecesPerRun;
      if (first >= pieceCount) return;
      const end = Math.min(pieceCount, first + piecesPerRun);
      for (let piece = first; piece < end; piece++) {
        const start = piece * pieceLength;
        const bytes = buffer.subarray(0, Math.min(pieceLength, totalBytes - start));
        reader.read(start, bytes);
        hashes.set(hash('sha1', bytes, 'buffer'), piece * HASH_BYTES);
      }
      Atomics.add(shared, HASHED_PIECES, end - first);
    }
  } finally {
    reader.close();
  }
}

/** Reads ranges of the files' bytes, end to end; keeps the file open that it read last. */
class Reader {
  readonly #files: readonly ContentFile[];
  readonly #ends: Float64Array;
  #openIndex = -1;
  #fd = -1;

  constructor(files: readonly ContentFile[]) {
    this.#files = files;
    this.#ends = new Float64Array(files.length);
    let end = 0;
    for (const [index, file] of files.entries()) this.#ends[index] = end += file.lengthBytes;
  }

  /** Fills the buffer from `offset` on. */
  read(offset: number, buffer: Buffer): void {
    let index = this.#holding(offset);
    for (let done = 0; done < buffer.length; index++) {
      const file = this.#files[index] as ContentFile;
      const end = this.#ends[index] as number;
      const at = offset + done - (end - file.lengthBytes);
      const wanted = Math.min(buffer.length - done, file.lengthBytes - at);
      if (wanted === 0) continue;
      this.#readFile(index, file, at, buffer.subarray(done, done + wanted));
      done += wanted;
    }
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    this.#openIndex = -1;
  }

  /** The file that holds the byte at `offset`. */
  #holding(offset: number): number {
    let low = 0;
    let high = this.#ends.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ends[middle] as number) > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #readFile(index: number, file: ContentFile, position: number, buffer: Buffer): void {
    try {
      if (index !== this.#openIndex) this.#open(index, file);
      for (let done = 0; done < buffer.length; ) {
        const count = readSync(this.#fd, buffer, done, buffer.length - done, position + done);
        if (count === 0) throw changed(file);
        done += count;
      }
    } catch (error) {
      if (error instanceof TorrentError) throw error;
      const { code = 'unknown error' } = error as NodeJS.ErrnoException;
      throw new TorrentError('DiskIo', `${file.location} cannot be read: ${code}`, { cause: error });
    }
  }

  #open(index: number, file: ContentFile): void {
    this.close();
    this.#fd = openSync(file.location, OPEN_CONTENT);
    this.#openIndex = index;
    const status = fstatSync(this.#fd);
    if (!status.isFile() || status.size !== file.lengthBytes) throw changed(file);
  }
}

function changed(file: ContentFile): TorrentError {
  return new TorrentError(
    'FileChanged',
    `${file.location} changed while it was read: it had ${file.lengthBytes} bytes; try again when nobody writes to it`,
  );
}
