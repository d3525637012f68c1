// Messages of ut_metadata (BEP 9). Invariant: a parsed message has a piece number that a metainfo of the accepted
// size can have; `data` is a view, valid as long as the payload is.
import { decodeBencodePrefix, encodeBencode, isDictionary } from '../bencode.ts';
import { TorrentError } from '../errors.ts';
import { MAX_METAINFO_BYTES } from '../metainfo.ts';

/** The name under BEP 10. */
export const METADATA_EXTENSION = 'ut_metadata';

/** Bytes of every piece of the metadata but the last. */
export const METADATA_PIECE_BYTES = 16 * 1024;

const REQUEST = 0;
const DATA = 1;
const REJECT = 2;

const MAX_PIECES = MAX_METAINFO_BYTES / METADATA_PIECE_BYTES;

/** What a peer says. */
export type MetadataMessage =
  | { kind: 'request' | 'reject'; piece: number }
  | { kind: 'data'; piece: number; data: Uint8Array };

/** Pieces of a metadata of so many bytes. */
export function metadataPieces(bytes: number): number {
  return Math.ceil(bytes / METADATA_PIECE_BYTES);
}

export function encodeMetadataRequest(piece: number): Buffer {
  return encodeBencode({ msg_type: REQUEST, piece });
}

export function encodeMetadataReject(piece: number): Buffer {
  return encodeBencode({ msg_type: REJECT, piece });
}

/** The piece of an info dictionary, with its bytes behind the dictionary. */
export function encodeMetadataData(piece: number, infoBytes: Uint8Array): Buffer {
  const head = encodeBencode({ msg_type: DATA, piece, total_size: infoBytes.length });
  const begin = piece * METADATA_PIECE_BYTES;
  return Buffer.concat([head, infoBytes.subarray(begin, begin + METADATA_PIECE_BYTES)]);
}

/**
 * Reads a message; undefined for kinds that are not known, which BEP 9 says to ignore. Keys may be in any order, and
 * of repeated ones the first counts: what is hashed stands behind the dictionary.
 * @throws TorrentError InvalidBencode or PeerProtocol.
 */
export function parseMetadataMessage(payload: Uint8Array): MetadataMessage | undefined {
  const { value, end } = decodeBencodePrefix(payload, { repeatedKeys: 'first' });
  if (!isDictionary(value)) throw new TorrentError('PeerProtocol', 'ut_metadata: not a dictionary');
  const { msg_type: type, piece } = value;
  if (typeof type !== 'number') throw new TorrentError('PeerProtocol', 'ut_metadata: no msg_type');
  if (type !== REQUEST && type !== DATA && type !== REJECT) return undefined;
  if (typeof piece !== 'number' || piece < 0 || piece >= MAX_PIECES) {
    throw new TorrentError('PeerProtocol', `ut_metadata: a piece that no metainfo has`);
  }
  if (type === DATA) return { kind: 'data', piece, data: payload.subarray(end) };
  return { kind: type === REQUEST ? 'request' : 'reject', piece };
}
