// The one error class of this room. Invariant: whatever a remote, a file or a disk does to us ends as a
// TorrentError with a code, so that callers decide by code and never by reading messages.
import { CodedError } from '../base/index.ts';

/** What went wrong, as a stable word. Callers branch on it; the message is for people. */
export type TorrentErrorCode =
  /** Bytes that are no bencode (BEP 3), or repeat a key where that is refused. */
  | 'InvalidBencode'
  /** A value of ours that bencode cannot carry: a defect of the caller. */
  | 'NotEncodable'
  /** A .torrent file or info dictionary that breaks a rule. */
  | 'InvalidMetainfo'
  /** Well formed, but of a kind this engine does not do (version 2 only, symlinks). */
  | 'UnsupportedMetainfo'
  /** A magnet link that breaks a rule. */
  | 'InvalidMagnet'
  /** More than the limits of this engine allow (bytes, files, pieces). */
  | 'TooLarge'
  /** A bitfield of the wrong length or with spare bits set. */
  | 'InvalidBitfield'
  /** The disk or the quota is full. */
  | 'NoSpace'
  /** Written to a read-only mount, or without the right to. */
  | 'ReadOnly'
  /** Any other failure of the disk. */
  | 'DiskIo'
  /** A file vanished, was truncated or replaced underneath us. */
  | 'FileChanged'
  /** A path of the torrent leads through a symlink or out of its root. */
  | 'UnsafePath'
  /** Asked for something outside the torrent, or for a piece that is not held. */
  | 'InvalidRequest'
  /** Used after close(). */
  | 'Closed'
  /** A peer broke the wire protocol (BEP 3, 6, 10). */
  | 'PeerProtocol'
  /** A web seed (BEP 19) gave no answer, or not what was asked for. */
  | 'WebSeedFailed'
  /** Could not be reached, or did not answer in time. */
  | 'TrackerUnreachable'
  /** Answered with a `failure reason`; the message carries it. */
  | 'TrackerRefused'
  /** Answered with something that is not a tracker's answer. */
  | 'InvalidTrackerReply';

/** An error of the torrent engine; `code` says which, `cause` keeps what was underneath. */
export class TorrentError extends CodedError<TorrentErrorCode> {
  override readonly name = 'TorrentError';
}

/** True for a TorrentError, of the given code where one is given. */
export function isTorrentError(error: unknown, code?: TorrentErrorCode): error is TorrentError {
  return error instanceof TorrentError && (code === undefined || error.code === code);
}
