/**
 * What can be wrong with what a tracker is asked, started with or told. For announce and scrape the message is
 * the `failure reason` of BEP 3: it says to a person what was wrong with the request.
 */
import { CodedError } from '../base/index.ts';

export type TrackerErrorCode =
  /** A parameter that BEP 3 requires is not in the query. */
  | 'MissingParameter'
  /** A parameter is there and makes no sense. */
  | 'BadParameter'
  /** A parameter is there twice. */
  | 'RepeatedParameter'
  | 'QueryTooLong'
  /** The info hash is not one that this tracker serves. */
  | 'UnknownTorrent'
  /** The tracker does not know its list of torrents yet, or is ending. */
  | 'NotReady'
  /** The announce shows no right to this torrent, or a wrong one. */
  | 'NoRight'
  /** Whether the announce has the right cannot be found out at the moment. */
  | 'TokenUnchecked'
  /** What should be a .torrent file is not, or is another one. */
  | 'BadMetainfo'
  /** The host has put too many peers into the registry. */
  | 'TooManyPeers'
  /** A holder of a torrent did not give its metainfo. */
  | 'HolderFailed';

/** The one error class of tracker/. */
export class TrackerError extends CodedError<TrackerErrorCode> {
  override readonly name = 'TrackerError';
}
