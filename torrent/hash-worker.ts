// A thread that does a share of hashing content.
import { parentPort, workerData } from 'node:worker_threads';
import { TorrentError } from './errors.ts';
import { type HashJob, hashShare } from './hash-share.ts';

try {
  hashShare(workerData as HashJob);
} catch (error) {
  if (!(error instanceof TorrentError)) throw error;
  // Of an error, a message to another thread keeps the text alone.
  parentPort?.postMessage({ code: error.code, message: error.message });
}
