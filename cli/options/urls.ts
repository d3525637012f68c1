/** URLs as the options of the command line take them. */
import { UsageError } from '../errors.ts';

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

/** User and password of a URL, up to the @ before its host; what is no URL may have them too. */
const CREDENTIALS = /^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i;

/** The URL as it may be shown: with `***` for user and password. */
export function withHiddenCredentials(url: string): string {
  return url.replace(CREDENTIALS, '$1***@');
}

/** The URL without user and password, to be passed on. */
export function withoutCredentials(url: string): string {
  return url.replace(CREDENTIALS, '$1');
}
