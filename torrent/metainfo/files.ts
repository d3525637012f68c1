// The files of a torrent (BEP 3, 47). Invariant: offsets and lengths are exact and cover the torrent's bytes once;
// what is not padding has a path that may be written below a root, and no two of them meet.
import {
  BencodeCursor,
  type BencodeDictionary,
  type BencodeValue,
  isDictionary,
  ODD_INTEGER,
} from '../bencode.ts';
import { TorrentError } from '../errors.ts';
import { pathFault, refuseMeetingPaths } from '../paths.ts';
import { invalid } from './invalid.ts';
import type { LeftOut } from './left-out.ts';
import type { NameReader } from './names.ts';

/** Values of one file's entry: far more than its path can have parts. */
const MAX_ENTRY_VALUES = 10_000;

const SHA256_BYTES = 32;

/** Padding of BitComet, which knew no attributes. */
const BITCOMET_PADDING = '_____padding_file_';

/** One file of a torrent, in the order of its bytes. */
export interface TorrentFile {
  /** Path below the torrent's root, part by part; for a torrent of a single file its name. */
  readonly path: readonly string[];
  readonly lengthBytes: number;
  /** Where the file begins in the torrent's bytes. */
  readonly offsetBytes: number;
  /** BEP 47 attribute x. */
  readonly executable: boolean;
  /** Padding (BEP 47): zeros that are never written to disk. See isPadding(). */
  readonly padding: boolean;
  /** SHA-256 of the file, 32 bytes, where the creator gave it. */
  readonly sha256?: Buffer;
}

/** The files, and their lengths together. */
export interface FileList {
  readonly files: TorrentFile[];
  readonly totalBytes: number;
}

function readLength(value: BencodeValue | undefined, what: string): number {
  if (value === ODD_INTEGER) throw invalid(`${what} is oddly written or larger than 2^53 - 1`);
  if (typeof value !== 'number') throw invalid(`${what} is missing or not an integer`);
  if (value < 0) throw invalid(`${what} is negative`);
  return value;
}

/** Reads a BEP 47 attribute string; symlinks are refused, unknown letters ignored. */
function readAttributes(
  entry: BencodeDictionary,
  where: string,
  leftOut: LeftOut,
): { executable: boolean; padding: boolean } {
  const value = entry.attr;
  if (value === undefined) return { executable: false, padding: false };
  if (!Buffer.isBuffer(value)) {
    leftOut.add('attr', 'is not a string', where);
    return { executable: false, padding: false };
  }
  const letters = value.toString('latin1');
  if (letters.includes('l')) {
    throw new TorrentError('UnsupportedMetainfo', 'metainfo: symlinks (BEP 47) are refused');
  }
  return { executable: letters.includes('x'), padding: letters.includes('p') };
}

function readSha256(entry: BencodeDictionary, where: string, leftOut: LeftOut): Buffer | undefined {
  const value = entry.sha256;
  if (value === undefined) return undefined;
  if (Buffer.isBuffer(value) && value.length === SHA256_BYTES) return value;
  leftOut.add('sha256', `is not ${SHA256_BYTES} bytes`, where);
  return undefined;
}

/**
 * True for a file that is padding by its name though it has no attribute p: BitComet's `_____padding_file_…`, and
 * `.pad/N` (BEP 47) that is N bytes long, or shorter than a piece and up to the end of one. As in other clients it
 * counts as zeros: whether it is cannot be known before its pieces are here, and nobody makes others. Where it holds
 * something else its pieces fail their hash on a seed that reads them again.
 */
function isPadding(
  path: readonly string[],
  offsetBytes: number,
  lengthBytes: number,
  pieceLength: number,
): boolean {
  const name = path.at(-1) ?? '';
  if (name.startsWith(BITCOMET_PADDING)) return true;
  if (path.length !== 2 || path[0] !== '.pad' || !/^[0-9]+$/.test(name)) return false;
  if (Number(name) === lengthBytes) return true;
  return lengthBytes < pieceLength && (offsetBytes + lengthBytes) % pieceLength === 0;
}

/** The file of a torrent that has `length` instead of `files`. @throws TorrentError */
export function singleFile(info: BencodeDictionary, name: string, leftOut: LeftOut): FileList {
  const lengthBytes = readLength(info.length, 'the length');
  const { executable } = readAttributes(info, '', leftOut);
  const sha256 = readSha256(info, '', leftOut);
  const file = { path: [name], lengthBytes, offsetBytes: 0, executable, padding: false, sha256 };
  return { files: [file], totalBytes: lengthBytes };
}

/**
 * Reads the list `files`, one entry after the other: it may be nearly all of 8 MiB.
 * @throws TorrentError InvalidMetainfo, UnsupportedMetainfo, InvalidBencode
 */
export function severalFiles(
  list: Buffer,
  pieceLength: number,
  names: NameReader,
  leftOut: LeftOut,
): FileList {
  const cursor = new BencodeCursor(list, { maxValues: MAX_ENTRY_VALUES });
  if (!cursor.enterList()) throw invalid('files is not a list');
  const files: TorrentFile[] = [];
  let totalBytes = 0;
  for (let number = 0; !cursor.leave(); number++) {
    const entry = cursor.value();
    if (!isDictionary(entry)) throw invalid(`file ${number} is not a dictionary`);
    const lengthBytes = readLength(entry.length, `the length of file ${number}`);
    const where = ` of file ${number}`;
    const { executable, padding } = readAttributes(entry, where, leftOut);
    const path = names.path(entry, number);
    const fault = pathFault(path);
    if (fault !== undefined) throw invalid(fault);
    files.push({
      path,
      lengthBytes,
      offsetBytes: totalBytes,
      executable,
      padding: padding || isPadding(path, totalBytes, lengthBytes, pieceLength),
      sha256: readSha256(entry, where, leftOut),
    });
    totalBytes += lengthBytes;
    if (!Number.isSafeInteger(totalBytes)) throw invalid('the sum of the lengths is too large');
  }
  if (files.length === 0) throw invalid('no files');
  // Padding files are never made, and creators give several of them one name.
  const written = files.filter((file) => !file.padding);
  if (written.length === 0) throw invalid('no files but padding');
  refuseMeetingPaths(written.map(({ path }) => path));
  return { files, totalBytes };
}
