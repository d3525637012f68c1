// From received files to a revision: manifest, digest, info dictionary, info hash. Invariant: a pure function
// of the files, the name and UID of the distribution, and the format version; publishing again gives the same.
import { formatBytes, infoSource, MAX_METAINFO_BYTES, revisionFromDigest } from '../../api/index.ts';
import {
  automaticPieceLength,
  buildInfoDictionary,
  encodeMetainfo,
  isTorrentError,
  type Metainfo,
  parseMetainfo,
} from '../../torrent/index.ts';
import { IngestRefusal } from './errors.ts';
import { type ManifestFile, manifestDigest } from './manifest.ts';
import type { IngestResult } from './record.ts';

const PIECE_HASH_BYTES = 20;

/** Whose content it is. */
export interface Publisher {
  uid: string;
  /** Name of the distribution. */
  name: string;
}

/** A revision, ready to be seeded. */
export interface DescribedContent {
  result: IngestResult;
  metainfo: Metainfo;
  metainfoBytes: Buffer;
}

function encode(
  { uid, name }: Publisher,
  files: readonly ManifestFile[],
  pieceLength: number,
  pieces: Uint8Array,
): Buffer {
  const info = buildInfoDictionary({
    name,
    source: infoSource(uid),
    private: true,
    files: files.map(({ path, sizeBytes, executable, sha256 }) => ({
      path,
      lengthBytes: sizeBytes,
      executable,
      sha256: Buffer.from(sha256, 'hex'),
    })),
    pieceLength,
    pieces,
  });
  return encodeMetainfo({ info });
}

/** What an info dictionary takes for a file besides its path: keys, SHA-256, and digits of a length. */
const LEAST_BYTES_PER_FILE = 60;

function tooManyFiles(files: number, totalBytes: number, options?: ErrorOptions): IngestRefusal {
  return new IngestRefusal(
    'TooManyFiles',
    `${files} files of ${formatBytes(totalBytes)} in all need more than the ${formatBytes(MAX_METAINFO_BYTES)} of metainfo that a torrent may have: put them into fewer files or shorter paths`,
    options,
  );
}

/**
 * Refuses what is far too much at a glance: everything else about so many files takes seconds.
 * @throws IngestRefusal TooManyFiles with the numbers
 */
export function expectFewFiles(files: readonly { path: string; sizeBytes: number | null }[]): void {
  const leastBytes = files.reduce((sum, { path }) => sum + path.length + LEAST_BYTES_PER_FILE, 0);
  if (leastBytes <= MAX_METAINFO_BYTES) return;
  throw tooManyFiles(
    files.length,
    files.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0),
  );
}

/**
 * Judges, before anything is read, whether files of these paths and sizes can become a torrent.
 * @throws IngestRefusal TooManyFiles with the numbers, InvalidRequest for paths that no torrent may have
 */
export function judgeTorrent(
  publisher: Publisher,
  files: readonly { path: string; sizeBytes: number; executable: boolean }[],
): void {
  const totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  try {
    const pieceLength = automaticPieceLength(totalBytes);
    const pieces = Buffer.alloc(Math.ceil(totalBytes / pieceLength) * PIECE_HASH_BYTES);
    const sha256 = '0'.repeat(64);
    encode(
      publisher,
      files.map((file) => ({ ...file, sha256 })),
      pieceLength,
      pieces,
    );
  } catch (error) {
    if (isTorrentError(error, 'TooLarge')) throw tooManyFiles(files.length, totalBytes, { cause: error });
    if (isTorrentError(error)) throw new IngestRefusal('InvalidRequest', error.message, { cause: error });
    throw error;
  }
}

/** The piece length that content of this size gets. */
export const pieceLengthFor = (totalBytes: number): number => automaticPieceLength(totalBytes);

/** Makes the revision of files that were received; `pieces` are the SHA-1 of all pieces, end to end. */
export function describe(
  publisher: Publisher,
  files: readonly ManifestFile[],
  pieces: Uint8Array,
): DescribedContent {
  const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const pieceLength = automaticPieceLength(sizeBytes);
  const metainfoBytes = encode(publisher, files, pieceLength, pieces);
  const metainfo = parseMetainfo(metainfoBytes);
  const digest = manifestDigest(files);
  return {
    result: {
      digest,
      revision: revisionFromDigest(digest),
      infoHash: metainfo.infoHashHex,
      sizeBytes,
      metainfoBytes: metainfoBytes.length,
      files: files.length,
      pieceLength,
    },
    metainfo,
    metainfoBytes,
  };
}
