// Which file names a torrent may have. Invariant: a path that passes here, joined part by part to a root,
// names something below that root, and no two files of one torrent can meet on any common file system.
import { TorrentError } from './errors.ts';

/** Longest name of one file or folder, in bytes of UTF-8: what file systems allow. */
const MAX_NAME_BYTES = 255;

/** Longest path of one file below its root, in bytes of UTF-8: leaves a root 1 KiB of Linux's 4 KiB. */
const MAX_PATH_BYTES = 3072;

const encoder = new TextEncoder();

const CONTROL_CHARACTER = /\p{Cc}/u;

/**
 * Checks one part of a path: the name of a file or folder.
 * @returns undefined if it may be used, else what is wrong with it.
 */
export function nameFault(name: string): string | undefined {
  if (name === '') return 'is empty';
  if (name === '.' || name === '..') return `is ${JSON.stringify(name)}`;
  if (name.includes('/')) return 'has a slash in it';
  if (name.includes('\\')) return 'has a backslash in it';
  if (CONTROL_CHARACTER.test(name)) return 'has a control character in it';
  if (!name.isWellFormed()) return 'is not valid Unicode';
  const bytes = encoder.encode(name).length;
  if (bytes > MAX_NAME_BYTES) return `is ${bytes} bytes long, more than ${MAX_NAME_BYTES}`;
  return undefined;
}

/** What a name becomes on file systems that fold case and Unicode composition. */
function fold(name: string): string {
  return name.normalize('NFC').toUpperCase().toLowerCase().normalize('NFC');
}

interface Folder {
  /** Folded name → the folder, or 'file'. */
  entries: Map<string, Folder | 'file'>;
}

/**
 * Collects the paths of one torrent and refuses those that would meet: the same path twice, also after
 * folding case and Unicode composition, and a file where another path needs a folder.
 */
export class PathSet {
  readonly #root: Folder = { entries: new Map() };

  /**
   * Adds the path of a file.
   * @throws TorrentError InvalidMetainfo
   */
  add(path: readonly string[]): void {
    if (path.length === 0) throw new TorrentError('InvalidMetainfo', 'a file without a path');
    let pathBytes = 0;
    for (const part of path) {
      const fault = nameFault(part);
      if (fault !== undefined) {
        throw new TorrentError('InvalidMetainfo', `the path ${describe(path)} has a part that ${fault}`);
      }
      pathBytes += Buffer.byteLength(part) + 1;
    }
    if (pathBytes - 1 > MAX_PATH_BYTES) {
      throw new TorrentError(
        'InvalidMetainfo',
        `a path of ${pathBytes - 1} bytes, more than ${MAX_PATH_BYTES}`,
      );
    }

    let folder = this.#root;
    for (const part of path.slice(0, -1)) {
      const name = fold(part);
      let next = folder.entries.get(name);
      if (next === 'file') {
        throw new TorrentError(
          'InvalidMetainfo',
          `the path ${describe(path)} needs a folder where another file is`,
        );
      }
      if (next === undefined) {
        next = { entries: new Map() };
        folder.entries.set(name, next);
      }
      folder = next;
    }
    const name = fold(path.at(-1) ?? '');
    const there = folder.entries.get(name);
    if (there === 'file') {
      throw new TorrentError(
        'InvalidMetainfo',
        `the path ${describe(path)} is there twice (case and accents folded)`,
      );
    }
    if (there !== undefined) {
      throw new TorrentError(
        'InvalidMetainfo',
        `the path ${describe(path)} is a file where another path needs a folder`,
      );
    }
    folder.entries.set(name, 'file');
  }
}

function describe(path: readonly string[]): string {
  const text = path.join('/');
  return JSON.stringify(text.length > 300 ? `${text.slice(0, 300)}…` : text);
}
