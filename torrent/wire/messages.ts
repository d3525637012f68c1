// Message ids, and how long each message may be (BEP 3, 5, 6, 10). Invariant: a message's length is judged from
// its first five bytes, before a byte of it is stored.
import { TorrentError } from '../errors.ts';

/** What a request asks for at most, and what everybody asks for. */
export const BLOCK_BYTES = 16 * 1024;

/**
 * Consecutive blocks of one piece may go as one message of up to this many bytes, a run: between own agents only, as
 * others drop whoever asks for more than a block. A run is never longer than what leaves at once anyway.
 */
export const MAX_RUN_BYTES = 128 * 1024;

/** An extended message (BEP 10) may be this long: ut_metadata's 16 KiB and a good margin. */
export const MAX_EXTENDED_BYTES = 64 * 1024;

/** Messages of a kind we do not know are skipped if they are not longer than this. */
export const MAX_UNKNOWN_BYTES = 64 * 1024;

export const CHOKE = 0;
export const UNCHOKE = 1;
export const INTERESTED = 2;
export const NOT_INTERESTED = 3;
export const HAVE = 4;
export const BITFIELD = 5;
export const REQUEST = 6;
export const PIECE = 7;
export const CANCEL = 8;
export const PORT = 9;
export const SUGGEST = 13;
export const HAVE_ALL = 14;
export const HAVE_NONE = 15;
export const REJECT = 16;
export const ALLOWED_FAST = 17;
export const EXTENDED = 20;

/** Bytes of a `piece` message before its block: length prefix, id, piece, begin. */
export const PIECE_HEADER_BYTES = 13;

/** What bounds the messages of one connection. */
export interface MessageBounds {
  /** Bytes of the torrent's bitfield; undefined as long as nobody knows how many pieces there are. */
  bitfieldBytes: number | undefined;
  /** The longest block that was asked for, or the longest run. */
  maxBlockBytes: number;
}

function exactly(id: number, length: number, expected: number): void {
  if (length !== expected) {
    throw new TorrentError('PeerProtocol', `message ${id} of ${length} bytes instead of ${expected}`);
  }
}

function between(id: number, length: number, least: number, most: number): void {
  if (length < least || length > most) {
    throw new TorrentError(
      'PeerProtocol',
      `message ${id} of ${length} bytes, allowed are ${least} to ${most}`,
    );
  }
}

/**
 * Judges a message by its id and by its length without the prefix. Hot: once a message.
 * @throws TorrentError PeerProtocol.
 */
export function checkMessageLength(id: number, length: number, bounds: MessageBounds): void {
  switch (id) {
    case PIECE:
      between(id, length, 10, 9 + bounds.maxBlockBytes);
      break;
    case HAVE:
    case SUGGEST:
    case ALLOWED_FAST:
      exactly(id, length, 5);
      break;
    case REQUEST:
    case CANCEL:
    case REJECT:
      exactly(id, length, 13);
      break;
    case CHOKE:
    case UNCHOKE:
    case INTERESTED:
    case NOT_INTERESTED:
    case HAVE_ALL:
    case HAVE_NONE:
      exactly(id, length, 1);
      break;
    case BITFIELD:
      if (bounds.bitfieldBytes === undefined) between(id, length, 1, MAX_UNKNOWN_BYTES);
      else exactly(id, length, 1 + bounds.bitfieldBytes);
      break;
    case PORT:
      exactly(id, length, 3);
      break;
    case EXTENDED:
      between(id, length, 2, MAX_EXTENDED_BYTES);
      break;
    default:
      between(id, length, 1, MAX_UNKNOWN_BYTES);
      break;
  }
}
