/**
 * Reads the query of a tracker request byte by byte. Info hashes and peer ids are binary: whatever decodes a
 * query as text (decodeURIComponent, query-string parsers) breaks them, so none is used here.
 *
 * A query is a string of one char per byte (codes 0 to 255), which is what Node's HTTP parser makes of a request
 * line. `+` stands for itself, as in every BitTorrent client and tracker.
 */
import { TrackerError } from '../errors.ts';

const PERCENT = 0x25;

/** Longest query that is looked at, in bytes. */
export const MAX_QUERY_BYTES = 8192;

/**
 * Calls `visit` with each `name=value` of a query, in order. The value is given by where it lies in the query
 * and still encoded. Empty parts are passed over; a part without `=` has an empty value.
 */
export function eachParameter(
  query: string,
  visit: (name: string, valueStart: number, valueEnd: number) => void,
): void {
  let start = 0;
  while (start < query.length) {
    let end = query.indexOf('&', start);
    if (end < 0) end = query.length;
    if (end > start) {
      let equals = query.indexOf('=', start);
      if (equals < 0 || equals > end) equals = end;
      visit(query.slice(start, equals), Math.min(equals + 1, end), end);
    }
    start = end + 1;
  }
}

/** The value of a hexadecimal digit, upper or lower case; -1 for any other character code. */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/**
 * Percent-decodes the part [start, end) of a query into `into`.
 *
 * @returns how many bytes it is; more than `into` holds if it does not fit (the rest is counted, not written);
 *   -1 if a `%` is not followed by two hexadecimal digits
 */
export function decodePercent(query: string, start: number, end: number, into: Uint8Array): number {
  let length = 0;
  for (let at = start; at < end; at += 1) {
    let byte = query.charCodeAt(at);
    if (byte === PERCENT) {
      if (at + 2 >= end) return -1;
      const high = hexDigit(query.charCodeAt(at + 1));
      const low = hexDigit(query.charCodeAt(at + 2));
      if (high < 0 || low < 0) return -1;
      byte = high * 16 + low;
      at += 2;
    }
    if (length < into.length) into[length] = byte;
    length += 1;
  }
  return length;
}

/** A parameter of exactly `lengthBytes` bytes, such as an info hash. */
export function readBytes(
  query: string,
  name: string,
  start: number,
  end: number,
  lengthBytes: number,
): Buffer {
  const bytes = Buffer.allocUnsafe(lengthBytes); // Filled below, or not handed out.
  const length = decodePercent(query, start, end, bytes);
  if (length < 0)
    throw new TrackerError('BadParameter', `${name} has a '%' that two hexadecimal digits do not follow`);
  if (length !== lengthBytes)
    throw new TrackerError('BadParameter', `${name} is ${length} bytes after decoding, not ${lengthBytes}`);
  return bytes;
}

/** Digits of 2^64; what is longer is no count that any client keeps. */
const MAX_DIGITS = 20;

/**
 * Reads a decimal number. Beyond 2^53 - 1 it becomes that.
 *
 * @returns -1 if it is not of 1 to 20 digits and nothing else
 */
export function readDigits(query: string, start: number, end: number): number {
  if (end <= start || end - start > MAX_DIGITS) return -1;
  let value = 0;
  for (let at = start; at < end; at += 1) {
    const digit = query.charCodeAt(at) - 0x30;
    if (!(digit >= 0 && digit <= 9)) return -1;
    value = value * 10 + digit;
  }
  return Math.min(value, Number.MAX_SAFE_INTEGER);
}

/** Refuses a query that is too long to be a sane request. */
export function checkQueryLength(query: string): void {
  if (query.length > MAX_QUERY_BYTES)
    throw new TrackerError(
      'QueryTooLong',
      `the query is ${query.length} bytes long, ${MAX_QUERY_BYTES} are allowed`,
    );
}
