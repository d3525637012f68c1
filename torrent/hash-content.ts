// The piece hashes of files on disk, by as many threads as there are cores. Invariant: files that change
// underneath end in an error and never in a torrent that nobody can complete.
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { ContentFile } from './content-files.ts';
import { TorrentError, type TorrentErrorCode } from './errors.ts';
import { HASHED_PIECES, type HashJob, hashShare, IS_STOPPED, SHARED_COUNT } from './hash-share.ts';
import { HASH_BYTES } from './metainfo.ts';
import { workerUrl } from './worker-url.ts';

/** Bytes that a thread takes at once, or one piece where that is more. */
const RUN_BYTES = 4 * 1024 * 1024;

/** Content up to this size is hashed where we are: in the time that a thread needs to start. */
const INLINE_BYTES = 32 * 1024 * 1024;

/** Threads at most: beyond, the disk is what one waits for. */
const MAX_THREADS = 8;

const PROGRESS_MILLISECONDS = 200;

/** How hashing is done. */
export interface HashContentOptions {
  /** Bytes, a power of two. */
  readonly pieceLength: number;
  readonly signal?: AbortSignal;
  /** Told now and then how many bytes are hashed. */
  readonly onProgress?: (hashedBytes: number) => void;
}

/**
 * Hashes the files, end to end, in pieces. Memory: one piece a thread.
 * @returns the SHA-1 of all pieces, 20 bytes each.
 * @throws TorrentError FileChanged (a file is longer or shorter than the list says), DiskIo, Closed (signal).
 */
export async function hashContent(
  files: readonly ContentFile[],
  { pieceLength, signal, onProgress }: HashContentOptions,
): Promise<Buffer> {
  if (signal?.aborted) throw interrupted();
  let totalBytes = 0;
  for (const file of files) totalBytes += file.lengthBytes;
  const pieceCount = Math.ceil(totalBytes / pieceLength);
  const job: HashJob = {
    files,
    totalBytes,
    pieceLength,
    piecesPerRun: Math.max(1, RUN_BYTES / pieceLength),
    hashes: new Uint8Array(new SharedArrayBuffer(pieceCount * HASH_BYTES)),
    shared: new Int32Array(new SharedArrayBuffer(SHARED_COUNT * Int32Array.BYTES_PER_ELEMENT)),
  };
  const tell = () =>
    onProgress?.(Math.min(totalBytes, Atomics.load(job.shared, HASHED_PIECES) * pieceLength));
  if (totalBytes <= INLINE_BYTES) hashShare(job);
  else await inThreads(job, tell, signal);
  tell();
  // Not a view: shared memory is no good for what may be handed on.
  return Buffer.from(job.hashes);
}

async function inThreads(job: HashJob, tell: () => void, signal: AbortSignal | undefined): Promise<void> {
  const stop = () => Atomics.store(job.shared, IS_STOPPED, 1);
  signal?.addEventListener('abort', stop, { once: true });
  const telling = setInterval(tell, PROGRESS_MILLISECONDS);
  try {
    const count = Math.min(availableParallelism(), MAX_THREADS);
    const shares = Array.from({ length: count }, () =>
      inThread(job).catch((error) => {
        stop();
        throw error;
      }),
    );
    for (const outcome of await Promise.allSettled(shares)) {
      if (outcome.status === 'rejected') throw outcome.reason;
    }
  } finally {
    clearInterval(telling);
    signal?.removeEventListener('abort', stop);
  }
  if (signal?.aborted) throw interrupted();
}

function inThread(job: HashJob): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(workerUrl('hash-worker'), { workerData: job });
    worker.once('message', ({ code, message }: { code: TorrentErrorCode; message: string }) =>
      reject(new TorrentError(code, message)),
    );
    worker.once('error', reject);
    worker.once('exit', () => resolve());
  });
}

function interrupted(): TorrentError {
  return new TorrentError('Closed', 'hashing was interrupted');
}
