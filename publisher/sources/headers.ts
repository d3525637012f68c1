// The request headers that a Secret brings, a line `Name: value` each.
//
// Invariant: nothing of a value ever stands in a message; the line number has to do.
import { HEADERS_SECRET_KEY, SourceReason } from '../../api/index.ts';
import { PublishError } from '../errors.ts';

const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Headers that belong to the connection or to the publisher itself. */
const OURS = new Set([
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'host',
  'if-range',
  'keep-alive',
  'proxy-connection',
  'range',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Headers by lower-case name. Empty lines and lines that begin with # are skipped.
 * Throws PublishError SourceInvalidHeaders that names the line.
 */
export function parseHeaderLines(text: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.replace(/\r$/, '');
    if (line.trim() === '' || line.startsWith('#')) continue;
    const wrong = (what: string) =>
      new PublishError(
        SourceReason.InvalidHeaders,
        `line ${index + 1} of the key ${HEADERS_SECRET_KEY} of the headers Secret ${what}`,
      );
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (colon < 1 || !NAME.test(name)) throw wrong('must be of the form "Name: value"');
    if (!VALUE.test(value)) throw wrong('must have a value without control characters');
    if (OURS.has(name)) throw wrong(`must not set ${name}, which the publisher sets itself`);
    if (name in headers) throw wrong(`must not set ${name} a second time`);
    headers[name] = value;
  }
  return headers;
}
