/** What a person can do about a failure of the engine: told behind what went wrong. */
import { isTorrentError, type TorrentErrorCode } from '../torrent/index.ts';
import { inOneLine } from './errors.ts';

const AGAIN = 'then run the same command again: what is good is kept';

const ADVICE: Partial<Record<TorrentErrorCode, string>> = {
  NoSpace: `free some space, ${AGAIN}`,
  ReadOnly: 'name a folder that may be written to',
  DiskIo: `look after the disk, ${AGAIN}`,
  FileChanged: `keep others from writing there, ${AGAIN}`,
  UnsafePath: 'put a plain file or folder in its place, or name another folder',
};

/** The error, with what to do where that is known. */
export function withAdvice(error: unknown): unknown {
  const advice = isTorrentError(error) ? ADVICE[error.code] : undefined;
  return advice === undefined ? error : new Error(`${inOneLine(error)}; ${advice}`, { cause: error });
}
