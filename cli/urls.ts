/** URLs as the options of the command line take them. */
import { UsageError } from './errors.ts';

/** Kinds of trackers. */
export const TRACKER_PROTOCOLS = ['http:', 'https:', 'udp:'];

/** @throws UsageError for the first that is no URL of one of the protocols */
export function checkUrls(option: string, urls: readonly string[], protocols: readonly string[]): void {
  for (const url of urls) {
    if (URL.canParse(url) && protocols.includes(new URL(url).protocol)) continue;
    const kinds = protocols.map((protocol) => `${protocol}//`).join(', ');
    throw new UsageError(`${option} is '${url}'; it must be a URL that begins with one of ${kinds}`);
  }
}
