// Metainfo: what a .torrent file says (BEP 3, with BEP 12, 19, 27, 47, 52). Invariant: a Metainfo that exists has
// passed every check here, so that nobody behind this door checks a length, an offset or a path again; and its
// info hash is over the exact bytes that were received. What can be done without is no reason to refuse a torrent.
import { createHash } from 'node:crypto';
import { type BencodeDictionary, type BencodeValue, ODD_INTEGER, readDictionary } from './bencode.ts';
import { TorrentError } from './errors.ts';
import { severalFiles, singleFile, type TorrentFile } from './metainfo/files.ts';
import { refuseDisagreement } from './metainfo/hybrid.ts';
import { invalid } from './metainfo/invalid.ts';
import { LeftOut } from './metainfo/left-out.ts';
import { NameReader } from './metainfo/names.ts';
import {
  keyValue,
  readSurroundings,
  SIDE_KEYS,
  type Surroundings,
  sideText,
} from './metainfo/surroundings.ts';
import { nameFault } from './paths.ts';
import { BLOCK_BYTES } from './wire/messages.ts';

export type { TorrentFile } from './metainfo/files.ts';

/** Bytes of metainfo that are accepted, whole .torrent file or info dictionary alone. */
export const MAX_METAINFO_BYTES = 8 * 1024 * 1024;

/** Largest piece length that is made, in bytes. */
export const MAX_PIECE_LENGTH = 64 * 1024 * 1024;

/**
 * Largest piece length that is read, in bytes: a piece is in memory as a whole until its hash is known, several at a
 * time. Down to 1 byte every other one is read; the bytes of metainfo bound how many pieces there are.
 */
export const MAX_READ_PIECE_LENGTH = 256 * 1024 * 1024;

/** Blocks of 16 KiB that a torrent may have: the engine counts them in 31 bits. They are 32 TiB at least. */
const MAX_BLOCKS = 2 ** 31 - 1;

/** Length of a SHA-1. */
export const HASH_BYTES = 20;

const BUILT_INFO_KEYS = [
  'attr',
  'length',
  'meta version',
  'name',
  'name.utf-8',
  'piece length',
  'pieces',
  'private',
  'sha256',
  'source',
];

/** A checked info dictionary and what stood around it. */
export interface Metainfo extends Surroundings {
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
  /** BEP 27. Where the torrent says something else than 0 or 1, it counts as private: no peer is told of it unasked. */
  readonly isPrivate: boolean;
  readonly source?: string;
  readonly files: readonly TorrentFile[];
  /** True if the info dictionary has `length` instead of `files`. */
  readonly isSingleFile: boolean;
  /** What is malformed in the torrent and was left out, in a few short lines; nobody needs it to use the torrent. */
  readonly ignored: readonly string[];
  /** Bytes of piece `index`. */
  pieceLengthAt(index: number): number;
  /** The SHA-1 that piece `index` must have: a view, not a copy. */
  pieceHash(index: number): Buffer;
}

function readPieceLength(info: BencodeDictionary): number {
  const value = info['piece length'];
  if (value === ODD_INTEGER) throw invalid('the piece length is oddly written or larger than 2^53 - 1');
  if (typeof value !== 'number') throw invalid('the piece length is missing or not an integer');
  if (value < 1 || value > MAX_READ_PIECE_LENGTH) {
    throw invalid(
      `a piece length of ${value} is not between 1 and ${MAX_READ_PIECE_LENGTH} bytes, of which memory has to hold several`,
    );
  }
  return value;
}

function readVersion(info: BencodeDictionary, leftOut: LeftOut): 1 | 'hybrid' {
  const version = info['meta version'];
  if (version !== undefined && typeof version !== 'number') leftOut.add('meta version', 'is not an integer');
  if (typeof version !== 'number' || version === 1) return 1;
  if (version !== 2) {
    throw new TorrentError('UnsupportedMetainfo', 'metainfo: an unknown meta version (BEP 52)');
  }
  if (info.pieces === undefined) {
    throw new TorrentError('UnsupportedMetainfo', 'metainfo: version 2 only (BEP 52); hybrids are supported');
  }
  return 'hybrid';
}

function readPrivate(value: BencodeValue | undefined, leftOut: LeftOut): boolean {
  if (value === undefined || value === 0) return false;
  if (value !== 1) leftOut.add('private', 'is neither 0 nor 1, so the torrent counts as private');
  return true;
}

function readPieceHashes(value: BencodeValue | undefined, totalBytes: number, pieceLength: number): Buffer {
  if (!Buffer.isBuffer(value)) throw invalid('pieces is missing or not a string');
  if (value.length % HASH_BYTES !== 0) {
    throw invalid(`pieces has ${value.length} bytes, not a multiple of ${HASH_BYTES}`);
  }
  const pieceCount = Math.ceil(totalBytes / pieceLength);
  if (value.length === pieceCount * HASH_BYTES) return value;
  throw invalid(
    `${totalBytes} bytes are ${pieceCount} pieces of ${pieceLength}, but there are ${value.length / HASH_BYTES} hashes`,
  );
}

/** Every piece begins a block, so that many pieces of a little more than a block count double. */
function refuseTooManyBlocks(pieceCount: number, pieceLength: number): void {
  const blocks = pieceCount * Math.ceil(pieceLength / BLOCK_BYTES);
  if (blocks <= MAX_BLOCKS) return;
  throw new TorrentError(
    'TooLarge',
    `metainfo: ${pieceCount} pieces of ${pieceLength} bytes are ${blocks} blocks, more than ${MAX_BLOCKS}`,
  );
}

/** The keys that are small, as values, and the bytes of the two that are not. */
function readInfoKeys(
  infoBytes: Uint8Array,
  leftOut: LeftOut,
): { info: BencodeDictionary; files?: Buffer; tree?: Buffer } {
  const { entries, end } = readDictionary(infoBytes, [...BUILT_INFO_KEYS, 'files', 'file tree']);
  if (entries === undefined) throw invalid('info is not a dictionary');
  if (end !== infoBytes.length) {
    throw new TorrentError('InvalidBencode', `bencode: bytes behind the value at byte ${end}`);
  }
  const info: BencodeDictionary = Object.create(null);
  for (const key of BUILT_INFO_KEYS) info[key] = keyValue(entries.get(key), key, leftOut);
  return { info, files: entries.get('files'), tree: entries.get('file tree') };
}

function readInfo(
  infoBytes: Uint8Array,
  encoding: BencodeValue | undefined,
  around: Surroundings,
  leftOut: LeftOut,
): Metainfo {
  const { info, files: list, tree } = readInfoKeys(infoBytes, leftOut);
  const version = readVersion(info, leftOut);
  const pieceLength = readPieceLength(info);
  const names = new NameReader(encoding, leftOut);
  const name = names.name(info);
  const fault = nameFault(name);
  if (fault !== undefined) throw invalid(`the name ${fault}`);
  if (list !== undefined && info.length !== undefined) throw invalid('both length and files');
  const { files, totalBytes } =
    list === undefined ? singleFile(info, name, leftOut) : severalFiles(list, pieceLength, names, leftOut);
  const pieceHashes = readPieceHashes(info.pieces, totalBytes, pieceLength);
  const pieceCount = pieceHashes.length / HASH_BYTES;
  refuseTooManyBlocks(pieceCount, pieceLength);
  if (version === 'hybrid') refuseDisagreement(tree, files, pieceLength);

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
    isPrivate: readPrivate(info.private, leftOut),
    source: sideText(info.source, 'source', leftOut),
    files,
    isSingleFile: list === undefined,
    ...around,
    ignored: leftOut.lines(),
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

function refuseTooLarge(bytes: Uint8Array): void {
  if (bytes.length <= MAX_METAINFO_BYTES) return;
  throw new TorrentError('TooLarge', `metainfo: ${bytes.length} bytes, more than ${MAX_METAINFO_BYTES}`);
}

/**
 * Parses a .torrent file (BEP 3). The bytes are referenced, not copied: do not change them afterwards. Bytes behind
 * the dictionary, such as a newline, are left alone. Keys may be in any order, and none may be repeated: others could
 * read another torrent out of the same hash.
 * @throws TorrentError InvalidBencode, InvalidMetainfo, UnsupportedMetainfo or TooLarge.
 */
export function parseMetainfo(bytes: Uint8Array): Metainfo {
  refuseTooLarge(bytes);
  const { entries } = readDictionary(bytes, ['info', ...SIDE_KEYS]);
  if (entries === undefined) throw invalid('not a dictionary');
  const infoBytes = entries.get('info');
  if (infoBytes === undefined) throw invalid('no info dictionary');
  const leftOut = new LeftOut();
  const value = (key: string) => keyValue(entries.get(key), key, leftOut);
  return readInfo(infoBytes, value('encoding'), readSurroundings(value, leftOut), leftOut);
}

/**
 * Parses an info dictionary alone, as peers give it (BEP 9). The caller compares the info hash, and may say what
 * the magnet link said around it. Bytes behind the dictionary are refused: they would be part of what is hashed.
 * @throws TorrentError InvalidBencode, InvalidMetainfo, UnsupportedMetainfo or TooLarge.
 */
export function parseInfo(
  infoBytes: Uint8Array,
  around: Partial<Pick<Metainfo, 'announceList' | 'webSeeds'>> = {},
): Metainfo {
  refuseTooLarge(infoBytes);
  return readInfo(infoBytes, undefined, { announceList: [], webSeeds: [], ...around }, new LeftOut());
}
