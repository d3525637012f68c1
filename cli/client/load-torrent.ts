/** A torrent as a person names it: the path of a .torrent file, the URL of one, or a magnet link. */
import { open } from 'node:fs/promises';
import { formatBytes } from '../../api/quantity.ts';
import {
  isTorrentError,
  MAX_METAINFO_BYTES,
  type Magnet,
  type Metainfo,
  parseMagnet,
  parseMetainfo,
} from '../../torrent/index.ts';
import { inOneLine, UsageError } from '../errors.ts';
import { printable } from '../terminal/printable.ts';
import { Screen } from '../terminal/screen.ts';

const FETCH_MILLISECONDS = 30_000;
/** How often a person who waits for it is told that it is under way. */
const TELL_MILLISECONDS = 1000;

/** True for what is meant to be a magnet link. */
export function isMagnet(source: string): boolean {
  return /^magnet:/i.test(source);
}

/** Hears what is left out of a torrent or a link, in one line. */
export type WarnOfTorrent = (text: string) => void;

/**
 * Reads a magnet link.
 *
 * @param warn called once if parameters are left out
 * @throws UsageError if the link breaks a rule
 */
export function readMagnet(link: string, warn: WarnOfTorrent): Magnet {
  try {
    const magnet = parseMagnet(link);
    if (magnet.ignored.length > 0) warn(printable(`left out of the link: ${magnet.ignored.join('; ')}`));
    return magnet;
  } catch (error) {
    if (!isTorrentError(error)) throw error;
    throw new UsageError(inOneLine(error), { cause: error });
  }
}

/** Says what is malformed in a torrent and was left out, if anything is. */
export function warnOfIgnored({ ignored }: Metainfo, warn: WarnOfTorrent): void {
  if (ignored.length > 0) warn(printable(`left out of the torrent: ${ignored.join('; ')}`));
}

/**
 * Reads and checks a .torrent file.
 *
 * @param source a path, or an http or https URL
 * @param warn called once if something malformed is left out
 * @throws UsageError if there is none, or if it breaks a rule; Error if it cannot be read or fetched
 */
export async function loadTorrent(
  source: string,
  warn: WarnOfTorrent,
  signal?: AbortSignal,
): Promise<{ metainfo: Metainfo; bytes: Buffer }> {
  const bytes = /^https?:\/\//i.test(source) ? await fetchTorrent(source, signal) : await readTorrent(source);
  try {
    const metainfo = parseMetainfo(bytes);
    warnOfIgnored(metainfo, warn);
    return { metainfo, bytes };
  } catch (error) {
    if (!isTorrentError(error)) throw error;
    throw new UsageError(`${source} is no torrent that can be used: ${inOneLine(error)}`, { cause: error });
  }
}

async function readTorrent(path: string): Promise<Buffer> {
  try {
    const file = await open(path);
    try {
      const { size } = await file.stat();
      if (size > MAX_METAINFO_BYTES) throw tooLarge(path);
      const buffer = Buffer.alloc(MAX_METAINFO_BYTES + 1);
      let length = 0;
      for (;;) {
        const { bytesRead } = await file.read(buffer, length, buffer.length - length);
        length += bytesRead;
        if (bytesRead === 0) return Buffer.from(buffer.subarray(0, length));
        if (length > MAX_METAINFO_BYTES) throw tooLarge(path);
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new UsageError(`${path} does not exist; name a .torrent file`);
    if (code === 'EISDIR') throw new UsageError(`${path} is a folder; name a .torrent file`);
    throw error;
  }
}

async function fetchTorrent(url: string, signal: AbortSignal | undefined): Promise<Buffer> {
  const bounded = AbortSignal.any([AbortSignal.timeout(FETCH_MILLISECONDS), ...(signal ? [signal] : [])]);
  const screen = new Screen(process.stderr);
  let length = 0;
  // On a terminal alone: elsewhere half a minute needs no words.
  const tell = () => {
    if (screen.columns !== undefined) screen.status(`fetching the torrent  ${formatBytes(length)}`);
  };
  const telling = setInterval(tell, TELL_MILLISECONDS);
  try {
    const response = await fetch(url, { signal: bounded });
    if (!response.ok) throw new Error(`the server answered ${response.status} ${response.statusText}`.trim());
    const chunks: Uint8Array[] = [];
    for await (const chunk of response.body ?? []) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > MAX_METAINFO_BYTES) throw tooLarge(url);
    }
    return Buffer.concat(chunks);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const reason = bounded.aborted && !signal?.aborted ? 'no answer in 30 s' : inOneLine(causeOf(error));
    throw new Error(`${url} cannot be fetched: ${reason}`, { cause: error });
  } finally {
    clearInterval(telling);
    screen.clear();
  }
}

/** fetch() says "fetch failed" and keeps what happened underneath. */
function causeOf(error: unknown): unknown {
  return error instanceof Error && error.cause instanceof Error ? error.cause : error;
}

function tooLarge(source: string): UsageError {
  return new UsageError(
    `${source} has more than ${MAX_METAINFO_BYTES / 1024 / 1024} MiB, more than any torrent this program takes`,
  );
}
