/** What a person can do about a failure of the engine: told behind what went wrong. */
import { isTorrentError, type TorrentErrorCode } from '../../torrent/index.ts';
import { inOneLine } from '../errors.ts';

const AGAIN = 'then run the same command again: what is good is kept';

type Advice = Partial<Record<TorrentErrorCode, string>>;

/** For commands that write. */
const ADVICE: Advice = {
  NoSpace: `free some space, ${AGAIN}`,
  ReadOnly: 'name a folder that may be written to',
  DiskIo: `look after the disk, ${AGAIN}`,
  FileChanged: `keep others from writing there, ${AGAIN}`,
  UnsafePath: 'put a plain file or folder in its place, or name another folder',
};

const READABLE = 'see that it can be read, then run the same command again';

/** For commands that only read. */
export const ADVICE_FOR_READERS: Advice = { DiskIo: READABLE, ReadOnly: READABLE };

/** The error, with what to do where that is known. */
export function withAdvice(error: unknown, advices: Advice = ADVICE): unknown {
  const advice = isTorrentError(error) ? advices[error.code] : undefined;
  return advice === undefined ? error : new Error(`${inOneLine(error)}; ${advice}`, { cause: error });
}
