// Which file names a torrent may have. Invariant: a path that passes here, joined part by part to a root, names
// something below that root, and no two files of one torrent are the same or need a folder where the other is. Names
// that differ in case or accents only are different: whether a file system tells them apart is its own matter.
import { TorrentError } from './errors.ts';

/** Longest name of one file or folder, in bytes of UTF-8: what file systems allow. */
const MAX_NAME_BYTES = 255;

/** Longest path of one file below its root, in bytes of UTF-8: leaves a root 1 KiB of Linux's 4 KiB. */
const MAX_PATH_BYTES = 3072;

const CONTROL_CHARACTER = /\p{Cc}/u;

/** Nearly all names: nothing in them needs a closer look but their length and the two names of folders. */
const PLAIN_NAME = /^[\x20-\x2e\x30-\x5b\x5d-\x7e]{1,255}$/;

/**
 * Checks one part of a path: the name of a file or folder.
 * @returns undefined if it may be used, else what is wrong with it.
 */
export function nameFault(name: string): string | undefined {
  if (name === '') return 'is empty';
  if (name === '.' || name === '..') return `is ${JSON.stringify(name)}`;
  if (PLAIN_NAME.test(name)) return undefined;
  if (name.includes('/')) return 'has a slash in it';
  if (name.includes('\\')) return 'has a backslash in it';
  if (CONTROL_CHARACTER.test(name)) return 'has a control character in it';
  if (!name.isWellFormed()) return 'is not valid Unicode';
  const bytes = Buffer.byteLength(name);
  if (bytes > MAX_NAME_BYTES) return `is ${bytes} bytes long, more than ${MAX_NAME_BYTES}`;
  return undefined;
}

/**
 * Checks the path of a file, part by part.
 * @returns undefined if it may be used, else what is wrong with it.
 */
export function pathFault(path: readonly string[]): string | undefined {
  if (path.length === 0) return 'a file without a path';
  let pathBytes = path.length - 1;
  for (const part of path) {
    const fault = nameFault(part);
    if (fault !== undefined) return `the path ${shownPath(path)} has a part that ${fault}`;
    pathBytes += Buffer.byteLength(part);
  }
  return pathBytes > MAX_PATH_BYTES ? `a path of ${pathBytes} bytes, more than ${MAX_PATH_BYTES}` : undefined;
}

/** Order of paths, part by part: a folder is followed by all that is in it. */
function comparePaths(a: readonly string[], b: readonly string[]): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const [one, other] = [a[i] as string, b[i] as string];
    if (one !== other) return one < other ? -1 : 1;
  }
  return a.length - b.length;
}

/**
 * Refuses paths that meet: the same one twice, or a file where another needs a folder. Sorts the list: whatever meets
 * stands side by side then, without a table of folders, which small paths could make far larger than themselves.
 * @throws TorrentError InvalidMetainfo
 */
export function refuseMeetingPaths(paths: (readonly string[])[]): void {
  paths.sort(comparePaths);
  for (let i = 1; i < paths.length; i++) {
    const [path, next] = [paths[i - 1] as readonly string[], paths[i] as readonly string[]];
    if (path.length > next.length || path.some((part, at) => part !== next[at])) continue;
    throw new TorrentError(
      'InvalidMetainfo',
      path.length === next.length
        ? `metainfo: the path ${shownPath(path)} is there twice`
        : `metainfo: the path ${shownPath(path)} is a file where another path needs a folder`,
    );
  }
}

/** A path for a message: bounded, and in quotes. */
export function shownPath(path: readonly string[]): string {
  const text = path.join('/');
  return JSON.stringify(text.length > 300 ? `${text.slice(0, 300)}…` : text);
}

/** The bytes of a name that is no text, for a message: ASCII but for the quote around it as it is, the rest as \xNN. */
export function escapedBytes(bytes: Uint8Array, quote: string): string {
  return Array.from(bytes, (byte) => {
    const character = String.fromCharCode(byte);
    return /[ -~]/.test(character) && character !== quote && character !== '\\'
      ? character
      : `\\x${byte.toString(16).padStart(2, '0')}`;
  }).join('');
}
