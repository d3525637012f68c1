/** The query of a scrape (BEP 48): the info hashes it asks about. */

import { TrackerError } from '../errors.ts';
import { HASH_BYTES } from './announce-request.ts';
import { checkQueryLength, eachParameter, readBytes } from './query.ts';

/** Most info hashes in one scrape. Beyond that the request is refused, so that no short query makes long work. */
export const MAX_SCRAPED_TORRENTS = 100;

/**
 * Parses the query of a scrape, the part after `?`, one char a byte.
 *
 * @returns info hashes in hex, each once, in the order of the query
 * @throws TrackerError if there is none (whole lists are not given away), one is bad, or there are too many
 */
export function parseScrape(query: string): string[] {
  checkQueryLength(query);
  const infoHashes = new Set<string>();
  eachParameter(query, (name, start, end) => {
    if (name !== 'info_hash') return;
    infoHashes.add(readBytes(query, 'info_hash', start, end, HASH_BYTES).toString('hex'));
    if (infoHashes.size > MAX_SCRAPED_TORRENTS)
      throw new TrackerError(
        'BadParameter',
        `a scrape may name at most ${MAX_SCRAPED_TORRENTS} info hashes; ask again for the others`,
      );
  });
  if (infoHashes.size === 0) throw new TrackerError('MissingParameter', 'info_hash is missing');
  return [...infoHashes];
}
