import { TorrentError } from '../errors.ts';

/** A rule of metainfo that is broken; the message says which. */
export function invalid(message: string): TorrentError {
  return new TorrentError('InvalidMetainfo', `metainfo: ${message}`);
}
