// Making torrents. Invariant: an info dictionary is a pure function of what is handed in, byte for byte, so
// that two nodes that publish the same content get the same info hash; and what is made here parses here.
import { createHash, hash as hashOnce } from 'node:crypto';
import { type Encodable, encodeBencode } from './bencode.ts';
import { TorrentError } from './errors.ts';
import { HASH_BYTES, MAX_PIECE_LENGTH, parseInfo, parseMetainfo } from './metainfo.ts';

/** Smallest piece length that is chosen automatically, in bytes. */
const MIN_AUTOMATIC_PIECE_LENGTH = 64 * 1024;

/** Pieces that the automatic piece length aims to stay below. */
const MAX_AUTOMATIC_PIECES = 4096;

/** Bytes of piece hashes that are still made: beyond, a torrent is refused. */
const MAX_PIECE_HASH_BYTES = 2 * 1024 * 1024;

/**
 * The smallest power of two ≥ 64 KiB that gives at most 4,096 pieces; at most 64 MiB, beyond that more pieces.
 * @throws TorrentError TooLarge where even that needs more than 2 MiB of piece hashes (about 6.5 TiB).
 */
export function automaticPieceLength(totalBytes: number): number {
  let pieceLength = MIN_AUTOMATIC_PIECE_LENGTH;
  while (pieceLength < MAX_PIECE_LENGTH && Math.ceil(totalBytes / pieceLength) > MAX_AUTOMATIC_PIECES) {
    pieceLength *= 2;
  }
  const hashBytes = Math.ceil(totalBytes / pieceLength) * HASH_BYTES;
  if (hashBytes > MAX_PIECE_HASH_BYTES) {
    throw new TorrentError(
      'TooLarge',
      `${totalBytes} bytes need more than ${MAX_PIECE_HASH_BYTES} bytes of piece hashes`,
    );
  }
  return pieceLength;
}

/** A file that goes into an info dictionary. */
export interface FileToDescribe {
  /** Path below the root, parts joined by `/`. */
  path: string;
  lengthBytes: number;
  executable: boolean;
  /** SHA-256 of the file, 32 bytes. */
  sha256?: Uint8Array;
}

/** What an info dictionary is made from. */
export interface InfoToDescribe {
  name: string;
  /** Changes the info hash and nothing else: tells swarms of equal content apart. */
  source?: string;
  /** BEP 27: peers come from the torrent's own trackers only. */
  private: boolean;
  /** In the order of the torrent's bytes. */
  files: readonly FileToDescribe[];
  pieceLength: number;
  /** SHA-1 of all pieces, end to end (`PieceHasher`). */
  pieces: Uint8Array;
  /** The form with `length` and no paths: exactly one file, whose path is the name. */
  singleFile?: boolean;
}

/** BEP 47 attributes and checksum, as they stand in the dictionary of a file. */
function fileDetails(file: FileToDescribe): { attr?: string; length: number; sha256?: Uint8Array } {
  return { attr: file.executable ? 'x' : undefined, length: file.lengthBytes, sha256: file.sha256 };
}

/**
 * Makes the bencoded info dictionary.
 * @throws TorrentError InvalidMetainfo where a path, a length or the hashes break a rule of `parseInfo`.
 */
export function buildInfoDictionary(info: InfoToDescribe): Buffer {
  const common: { [key: string]: Encodable | undefined } = {
    name: info.name,
    'piece length': info.pieceLength,
    pieces: info.pieces,
    private: info.private ? 1 : undefined,
    source: info.source,
  };
  let content: { [key: string]: Encodable | undefined };
  if (info.singleFile) {
    const [file, second] = info.files;
    if (file === undefined || second !== undefined || file.path !== info.name) {
      throw new TorrentError(
        'InvalidMetainfo',
        'a torrent of a single file needs one file, named as the torrent',
      );
    }
    content = fileDetails(file);
  } else {
    content = { files: info.files.map((file) => ({ ...fileDetails(file), path: file.path.split('/') })) };
  }
  const encoded = encodeBencode({ ...common, ...content });
  // Whoever reads it will check it; a torrent that cannot be read must not be made.
  parseInfo(encoded);
  return encoded;
}

/** What a .torrent file is made from. */
export interface MetainfoToEncode {
  /** The bencoded info dictionary. */
  info: Uint8Array;
  announce?: string;
  /** BEP 12. */
  announceList?: readonly (readonly string[])[];
  /** BEP 19. */
  webSeeds?: readonly string[];
  comment?: string;
  createdBy?: string;
  /** Seconds since 1970. */
  creationDateSeconds?: number;
}

/**
 * Makes a .torrent file around an info dictionary, whose bytes stay exactly as they are.
 * @throws TorrentError as `parseMetainfo` does.
 */
export function encodeMetainfo(metainfo: MetainfoToEncode): Buffer {
  const filled = (list: readonly Encodable[] | undefined) => (list && list.length > 0 ? list : undefined);
  const before = encodeBencode({
    announce: metainfo.announce ?? metainfo.announceList?.[0]?.[0],
    'announce-list': filled(metainfo.announceList),
    comment: metainfo.comment,
    'created by': metainfo.createdBy,
    'creation date': metainfo.creationDateSeconds,
  });
  const after = encodeBencode({ 'url-list': filled(metainfo.webSeeds) });
  // Keys of `before` sort before `info`, that of `after` behind it: the info bytes are set in between, untouched.
  const encoded = Buffer.concat([
    before.subarray(0, -1),
    Buffer.from('4:info'),
    metainfo.info,
    after.subarray(1),
  ]);
  parseMetainfo(encoded);
  return encoded;
}

/**
 * Hashes a stream of bytes in pieces. Feed the torrent's bytes in order, in chunks of any size.
 * Chunks that hold whole pieces (or are slices of them) are hashed without copying.
 */
export class PieceHasher {
  readonly pieceLength: number;
  readonly #hashes: Buffer[] = [];
  #current = createHash('sha1');
  #inCurrentBytes = 0;
  #totalBytes = 0;

  constructor(pieceLength: number) {
    this.pieceLength = pieceLength;
  }

  /** Bytes fed so far. */
  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** Feeds the next bytes. */
  update(chunk: Uint8Array): void {
    this.#totalBytes += chunk.length;
    for (let position = 0; position < chunk.length; ) {
      const take = Math.min(this.pieceLength - this.#inCurrentBytes, chunk.length - position);
      const part = chunk.subarray(position, position + take);
      position += take;
      if (take === this.pieceLength) {
        this.#hashes.push(hashOnce('sha1', part, 'buffer'));
        continue;
      }
      this.#current.update(part);
      this.#inCurrentBytes += take;
      if (this.#inCurrentBytes === this.pieceLength) this.#endPiece();
    }
  }

  /** Ends the last piece. Returns the SHA-1 of all pieces, 20 bytes each; feed nothing afterwards. */
  finish(): Buffer {
    if (this.#inCurrentBytes > 0) this.#endPiece();
    return Buffer.concat(this.#hashes);
  }

  #endPiece(): void {
    this.#hashes.push(this.#current.digest());
    this.#current = createHash('sha1');
    this.#inCurrentBytes = 0;
  }
}
