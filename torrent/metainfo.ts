// Metainfo: what a .torrent file says (BEP 3, with BEP 12, 19, 27, 47). Invariant: a Metainfo that exists has
// passed every check here, so that nobody behind this door checks a length, an offset or a path again; and its
// info hash is over the exact bytes that were received.
import { createHash } from 'node:crypto';
import {
  type BencodeDictionary,
  type BencodeValue,
  decodeBencode,
  decodeBencodePrefix,
  isDictionary,
} from './bencode.ts';
import { TorrentError } from './errors.ts';
import { nameFault, PathSet } from './paths.ts';

/** Bytes of metainfo that are accepted, whole .torrent file or info dictionary alone. */
export const MAX_METAINFO_BYTES = 8 * 1024 * 1024;

/** Smallest and largest piece length accepted, in bytes; powers of two in between. */
const MIN_PIECE_LENGTH = 16 * 1024;
export const MAX_PIECE_LENGTH = 64 * 1024 * 1024;

/** Length of a SHA-1. */
export const HASH_BYTES = 20;

/** One file of a torrent, in the order of its bytes. */
export interface TorrentFile {
  /** Path below the torrent's root, part by part; for a torrent of a single file its name. */
  readonly path: readonly string[];
  readonly lengthBytes: number;
  /** Where the file begins in the torrent's bytes. */
  readonly offsetBytes: number;
  /** BEP 47 attribute x. */
  readonly executable: boolean;
  /** BEP 47 attribute p: zeros that are never written to disk. */
  readonly padding: boolean;
  /** SHA-256 of the file, 32 bytes, where the creator gave it. */
  readonly sha256?: Buffer;
}

/** A checked info dictionary and what stood around it. */
export interface Metainfo {
  /** SHA-1 of `infoBytes`, 20 bytes. */
  readonly infoHash: Buffer;
  /** The same in 40 lower-case hex digits. */
  readonly infoHashHex: string;
  /** The info dictionary exactly as received. */
  readonly infoBytes: Uint8Array;
  /** Of BEP 52: 1 = version 1 only, 'hybrid' = also version 2, of which the version 1 part is used. */
  readonly version: 1 | 'hybrid';
  readonly name: string;
  /** Bytes of every piece but the last. */
  readonly pieceLength: number;
  readonly pieceCount: number;
  readonly totalBytes: number;
  /** SHA-1 of all pieces, 20 bytes each, end to end. */
  readonly pieceHashes: Buffer;
  /** BEP 27. */
  readonly isPrivate: boolean;
  readonly source?: string;
  readonly files: readonly TorrentFile[];
  /** True if the info dictionary has `length` instead of `files`. */
  readonly isSingleFile: boolean;
  /** Tracker URLs in tiers (BEP 12); `announce` alone is one tier of one. */
  readonly announceList: readonly (readonly string[])[];
  /** Web seeds (BEP 19). */
  readonly webSeeds: readonly string[];
  readonly comment?: string;
  readonly createdBy?: string;
  /** Seconds since 1970. */
  readonly creationDateSeconds?: number;
  /** Bytes of piece `index`. */
  pieceLengthAt(index: number): number;
  /** The SHA-1 that piece `index` must have: a view, not a copy. */
  pieceHash(index: number): Buffer;
}

/** What stands around the info dictionary. */
type Surroundings = Pick<
  Metainfo,
  'announceList' | 'webSeeds' | 'comment' | 'createdBy' | 'creationDateSeconds'
>;

function invalid(message: string, cause?: unknown): TorrentError {
  return new TorrentError('InvalidMetainfo', `metainfo: ${message}`, { cause });
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function text(value: BencodeValue | undefined, what: string): string {
  if (!Buffer.isBuffer(value)) throw invalid(`${what} is missing or not a string`);
  try {
    return strictUtf8.decode(value);
  } catch (error) {
    throw invalid(`${what} is not valid UTF-8`, error);
  }
}

/** Text that only people read: never a reason to refuse a torrent. */
function optionalText(value: BencodeValue | undefined): string | undefined {
  return Buffer.isBuffer(value) ? value.toString('utf8') : undefined;
}

function length(value: BencodeValue | undefined, what: string): number {
  if (typeof value !== 'number') throw invalid(`${what} is missing or not an integer`);
  if (value < 0) throw invalid(`${what} is negative`);
  return value;
}

function readPieceLength(info: BencodeDictionary): number {
  const value = info['piece length'];
  if (typeof value !== 'number') throw invalid('the piece length is missing or not an integer');
  if (value < MIN_PIECE_LENGTH || value > MAX_PIECE_LENGTH) {
    throw invalid(`a piece length of ${value} is not between ${MIN_PIECE_LENGTH} and ${MAX_PIECE_LENGTH}`);
  }
  if ((value & (value - 1)) !== 0) throw invalid(`a piece length of ${value} is not a power of two`);
  return value;
}

/** Reads a BEP 47 attribute string; symlinks are refused, unknown letters ignored. */
function readAttributes(entry: BencodeDictionary): { executable: boolean; padding: boolean } {
  const value = entry.attr;
  if (value === undefined) return { executable: false, padding: false };
  if (!Buffer.isBuffer(value)) throw invalid('a file attribute is not a string');
  const letters = value.toString('latin1');
  if (letters.includes('l')) {
    throw new TorrentError('UnsupportedMetainfo', 'metainfo: symlinks (BEP 47) are refused');
  }
  return { executable: letters.includes('x'), padding: letters.includes('p') };
}

function readSha256(entry: BencodeDictionary): Buffer | undefined {
  const value = entry.sha256;
  if (value === undefined) return undefined;
  if (!Buffer.isBuffer(value) || value.length !== 32) throw invalid("a file's sha256 is not 32 bytes");
  return value;
}

/** The `.utf-8` twin of a key is what creators of old wrote beside names in a local encoding. */
function preferUtf8(entry: BencodeDictionary, key: 'path' | 'name'): BencodeValue | undefined {
  return entry[`${key}.utf-8`] ?? entry[key];
}

function readPath(entry: BencodeDictionary, number: number): string[] {
  const value = preferUtf8(entry, 'path');
  if (!Array.isArray(value) || value.length === 0) throw invalid(`file ${number} has no path`);
  return value.map((part) => text(part, `a part of the path of file ${number}`));
}

function readFiles(info: BencodeDictionary, name: string): { files: TorrentFile[]; totalBytes: number } {
  const list = info.files;
  if (list === undefined) {
    const lengthBytes = length(info.length, 'the length');
    const { executable } = readAttributes(info);
    const sha256 = readSha256(info);
    const file: TorrentFile = {
      path: [name],
      lengthBytes,
      offsetBytes: 0,
      executable,
      padding: false,
      sha256,
    };
    return { files: [file], totalBytes: lengthBytes };
  }
  if (info.length !== undefined) throw invalid('both length and files');
  if (!Array.isArray(list)) throw invalid('files is not a list');
  if (list.length === 0) throw invalid('no files');

  const paths = new PathSet();
  const files: TorrentFile[] = [];
  let totalBytes = 0;
  for (const [number, entry] of list.entries()) {
    if (!isDictionary(entry)) throw invalid(`file ${number} is not a dictionary`);
    const lengthBytes = length(entry.length, `the length of file ${number}`);
    const { executable, padding } = readAttributes(entry);
    const path = readPath(entry, number);
    // Padding files are never made, and creators give several of them one name.
    (padding ? new PathSet() : paths).add(path);
    files.push({
      path,
      lengthBytes,
      offsetBytes: totalBytes,
      executable,
      padding,
      sha256: readSha256(entry),
    });
    totalBytes += lengthBytes;
    if (!Number.isSafeInteger(totalBytes)) throw invalid('the sum of the lengths is too large');
  }
  if (files.every((file) => file.padding)) throw invalid('no files but padding');
  return { files, totalBytes };
}

function readVersion(info: BencodeDictionary): 1 | 'hybrid' {
  const version = info['meta version'];
  if (version === undefined) return 1;
  if (version !== 1 && version !== 2) {
    throw new TorrentError('UnsupportedMetainfo', 'metainfo: an unknown meta version (BEP 52)');
  }
  if (version === 1) return 1;
  if (info.pieces === undefined) {
    throw new TorrentError('UnsupportedMetainfo', 'metainfo: version 2 only (BEP 52); hybrids are supported');
  }
  return 'hybrid';
}

function readInfo(infoBytes: Uint8Array, value: BencodeValue, around: Surroundings): Metainfo {
  if (!isDictionary(value)) throw invalid('info is not a dictionary');
  const version = readVersion(value);
  const pieceLength = readPieceLength(value);
  const name = text(preferUtf8(value, 'name'), 'the name');
  const fault = nameFault(name);
  if (fault !== undefined) throw invalid(`the name ${fault}`);
  const { files, totalBytes } = readFiles(value, name);

  const pieceHashes = value.pieces;
  if (!Buffer.isBuffer(pieceHashes)) throw invalid('pieces is missing or not a string');
  if (pieceHashes.length % HASH_BYTES !== 0) {
    throw invalid(`pieces has ${pieceHashes.length} bytes, not a multiple of ${HASH_BYTES}`);
  }
  const pieceCount = Math.ceil(totalBytes / pieceLength);
  if (pieceHashes.length !== pieceCount * HASH_BYTES) {
    throw invalid(
      `${totalBytes} bytes are ${pieceCount} pieces of ${pieceLength}, but there are ${pieceHashes.length / HASH_BYTES} hashes`,
    );
  }

  const infoHash = createHash('sha1').update(infoBytes).digest();
  return {
    infoHash,
    infoHashHex: infoHash.toString('hex'),
    infoBytes,
    version,
    name,
    pieceLength,
    pieceCount,
    totalBytes,
    pieceHashes,
    isPrivate: value.private === 1,
    source: optionalText(value.source),
    files,
    isSingleFile: value.files === undefined,
    ...around,
    pieceLengthAt(index) {
      if (!(index >= 0 && index < pieceCount)) {
        throw new TorrentError('InvalidRequest', `piece ${index} of a torrent of ${pieceCount}`);
      }
      return index === pieceCount - 1 ? totalBytes - index * pieceLength : pieceLength;
    },
    pieceHash(index) {
      return pieceHashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
    },
  };
}

/** Strings of a list, the empty ones dropped; undefined if it is no such list. */
function textList(value: BencodeValue): string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const strings: string[] = [];
  for (const entry of value) {
    if (!Buffer.isBuffer(entry)) return undefined;
    const string = entry.toString('utf8').trim();
    if (string !== '') strings.push(string);
  }
  return strings;
}

function readAnnounceList(outer: BencodeDictionary): string[][] {
  const list = outer['announce-list'];
  if (list !== undefined) {
    if (!Array.isArray(list)) throw invalid('announce-list is not a list of lists of strings');
    const tiers = list.map((tier) => {
      const urls = textList(tier);
      if (urls === undefined) throw invalid('announce-list is not a list of lists of strings');
      return urls;
    });
    const filled = tiers.filter((tier) => tier.length > 0);
    // BEP 12: announce-list wins where there is one.
    if (filled.length > 0) return filled;
  }
  if (outer.announce === undefined) return [];
  if (!Buffer.isBuffer(outer.announce)) throw invalid('announce is not a string');
  const url = outer.announce.toString('utf8').trim();
  return url === '' ? [] : [[url]];
}

function readWebSeeds(outer: BencodeDictionary): string[] {
  const value = outer['url-list'];
  if (value === undefined) return [];
  const seeds = textList(Buffer.isBuffer(value) ? [value] : value);
  if (seeds === undefined) throw invalid('url-list is not a list of strings');
  return seeds;
}

function refuseTooLarge(bytes: Uint8Array): void {
  if (bytes.length <= MAX_METAINFO_BYTES) return;
  throw new TorrentError('TooLarge', `metainfo: ${bytes.length} bytes, more than ${MAX_METAINFO_BYTES}`);
}

/**
 * Parses a .torrent file (BEP 3). The bytes are referenced, not copied: do not change them afterwards.
 * @throws TorrentError InvalidBencode, InvalidMetainfo, UnsupportedMetainfo or TooLarge.
 */
export function parseMetainfo(bytes: Uint8Array): Metainfo {
  refuseTooLarge(bytes);
  const { value: outer, end, topLevel } = decodeBencodePrefix(bytes);
  if (end !== bytes.length)
    throw new TorrentError('InvalidBencode', `bencode: bytes behind the value at byte ${end}`);
  if (!isDictionary(outer)) throw invalid('not a dictionary');
  const range = topLevel.get('info');
  if (range === undefined || outer.info === undefined) throw invalid('no info dictionary');
  const created = outer['creation date'];
  return readInfo(bytes.subarray(range.start, range.end), outer.info, {
    announceList: readAnnounceList(outer),
    webSeeds: readWebSeeds(outer),
    comment: optionalText(outer.comment),
    createdBy: optionalText(outer['created by']),
    creationDateSeconds: typeof created === 'number' ? created : undefined,
  });
}

/**
 * Parses an info dictionary alone, as peers give it (BEP 9). The caller compares the info hash, and may say what
 * the magnet link said around it.
 * @throws TorrentError InvalidBencode, InvalidMetainfo, UnsupportedMetainfo or TooLarge.
 */
export function parseInfo(
  infoBytes: Uint8Array,
  around: Partial<Pick<Metainfo, 'announceList' | 'webSeeds'>> = {},
): Metainfo {
  refuseTooLarge(infoBytes);
  return readInfo(infoBytes, decodeBencode(infoBytes), { announceList: [], webSeeds: [], ...around });
}
