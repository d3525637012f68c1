// Bencode (BEP 3), strict. Invariant: the npm package `bencode`, which is lenient and can be made to run out
// of memory, never sees a byte that `validateBencode` has not accepted; and every accepted input has exactly
// one encoding, so that a hash over received bytes is a hash over the value.
import bencode, { type DecodedByPackage } from 'bencode';
import { TorrentError } from './errors.ts';

/** Nesting that is still accepted: a list in a list is 2 deep. */
export const MAX_BENCODE_DEPTH = 64;

/** Values in one input that are still accepted: bounds the memory that small values blow up to. */
const MAX_BENCODE_VALUES = 2_000_000;

/** A decoded dictionary: without a prototype, so that no key is found that was not sent. */
export type BencodeDictionary = { [key: string]: BencodeValue | undefined };

/** A decoded value. Strings stay bytes: what is text and in which encoding is the caller's knowledge. */
export type BencodeValue = number | Buffer | BencodeValue[] | BencodeDictionary;

/** What `encodeBencode` takes. Undefined entries of a dictionary are left out. Text is encoded as UTF-8. */
export type Encodable =
  | number
  | string
  | Uint8Array
  | readonly Encodable[]
  | { readonly [key: string]: Encodable | undefined };

/** Bounds for one input. */
export interface BencodeLimits {
  /** Deepest nesting accepted; MAX_BENCODE_DEPTH where absent. */
  maxDepth?: number;
  /** Most values (dictionary keys apart) accepted; MAX_BENCODE_VALUES where absent. */
  maxValues?: number;
}

/** Where in the input something lies: `start` inclusive, `end` exclusive. */
interface ByteRange {
  start: number;
  end: number;
}

/** What validation learns about an input. */
export interface ValidatedBencode {
  /** The offset behind the value. */
  end: number;
  /** Where the values of the outermost dictionary lie, by key (keys read as Latin-1); empty if it is none. */
  topLevel: Map<string, ByteRange>;
}

const INTEGER = 0x69;
const LIST = 0x6c;
const DICTIONARY = 0x64;
const END = 0x65;
const COLON = 0x3a;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;

/** Digits of 2^53 - 1: no longer number can be exact. */
const MAX_DIGITS = 16;

/** The npm package would assign to the prototype instead of an entry. */
const FORBIDDEN_KEY = Buffer.from('__proto__');

interface Frame {
  isDictionary: boolean;
  /** Range of the key before this one, for the order; -1 before the first. */
  keyStart: number;
  keyEnd: number;
  /** In a dictionary: a key was read and its value is awaited. */
  awaitsValue: boolean;
  /** Where the awaited value began. */
  valueStart: number;
}

function refuse(what: string, offset: number): never {
  throw new TorrentError('InvalidBencode', `bencode: ${what} at byte ${offset}`);
}

/** Reads decimal digits up to `terminator`. Returns the value; the caller advances behind the terminator. */
class Reader {
  readonly bytes: Uint8Array;
  position: number;

  constructor(bytes: Uint8Array, position: number) {
    this.bytes = bytes;
    this.position = position;
  }

  /** A number without sign or leading zeros, up to and including its terminator. */
  digits(terminator: number, what: string): number {
    const start = this.position;
    let value = 0;
    let position = start;
    for (;;) {
      const byte = this.bytes[position];
      if (byte === undefined) refuse(`${what} has no end`, start);
      if (byte === terminator) break;
      if (byte < ZERO || byte > NINE) refuse(`${what} has a character that is no digit`, position);
      if (position - start >= MAX_DIGITS) refuse(`${what} is too large`, start);
      value = value * 10 + (byte - ZERO);
      position++;
    }
    if (position === start) refuse(`${what} is empty`, start);
    if (this.bytes[start] === ZERO && position - start > 1) refuse(`${what} has a leading zero`, start);
    if (value > Number.MAX_SAFE_INTEGER) refuse(`${what} is larger than 2^53 - 1`, start);
    this.position = position + 1;
    return value;
  }

  integer(): void {
    const start = this.position;
    this.position++;
    const negative = this.bytes[this.position] === MINUS;
    if (negative) this.position++;
    const magnitude = this.digits(END, 'an integer');
    if (negative && magnitude === 0) refuse('an integer is minus zero', start);
  }

  string(): ByteRange {
    const start = this.position;
    const length = this.digits(COLON, 'a string length');
    const end = this.position + length;
    if (end > this.bytes.length) refuse(`a string of ${length} bytes goes past the end`, start);
    const range = { start: this.position, end };
    this.position = end;
    return range;
  }
}

function compareBytes(bytes: Uint8Array, aStart: number, aEnd: number, bStart: number, bEnd: number): number {
  const shared = Math.min(aEnd - aStart, bEnd - bStart);
  for (let i = 0; i < shared; i++) {
    const difference = (bytes[aStart + i] ?? 0) - (bytes[bStart + i] ?? 0);
    if (difference !== 0) return difference;
  }
  return aEnd - aStart - (bEnd - bStart);
}

function isForbiddenKey(bytes: Uint8Array, range: ByteRange): boolean {
  if (range.end - range.start !== FORBIDDEN_KEY.length) return false;
  return FORBIDDEN_KEY.every((byte, i) => bytes[range.start + i] === byte);
}

/**
 * Checks one bencoded value that begins at byte 0, without building it: no recursion, memory bounded by depth.
 * Bytes behind the value are allowed here (BEP 9 messages carry data there); `decodeBencode` refuses them.
 * @throws TorrentError InvalidBencode, with what is wrong and at which byte.
 */
export function validateBencode(bytes: Uint8Array, limits: BencodeLimits = {}): ValidatedBencode {
  const maxDepth = limits.maxDepth ?? MAX_BENCODE_DEPTH;
  const maxValues = limits.maxValues ?? MAX_BENCODE_VALUES;
  const reader = new Reader(bytes, 0);
  const stack: Frame[] = [];
  const topLevel = new Map<string, ByteRange>();
  let values = 0;

  for (;;) {
    const position = reader.position;
    const byte = bytes[position];
    if (byte === undefined) refuse(position === 0 ? 'no bytes' : 'the input ends too early', position);
    const frame = stack.at(-1);

    let completed = false;
    if (byte === END) {
      if (frame === undefined) refuse('an end without a beginning', position);
      if (frame.awaitsValue) refuse('a dictionary key without a value', position);
      reader.position++;
      stack.pop();
      completed = true;
    } else if (frame?.isDictionary && !frame.awaitsValue) {
      if (byte < ZERO || byte > NINE) refuse('a dictionary key that is not a string', position);
      const key = reader.string();
      if (frame.keyStart >= 0) {
        const order = compareBytes(bytes, frame.keyStart, frame.keyEnd, key.start, key.end);
        if (order === 0) refuse('a repeated dictionary key', position);
        if (order > 0) refuse('dictionary keys out of order', position);
      }
      if (isForbiddenKey(bytes, key)) refuse('the key __proto__', position);
      frame.keyStart = key.start;
      frame.keyEnd = key.end;
      frame.awaitsValue = true;
      frame.valueStart = reader.position;
    } else {
      if (++values > maxValues) refuse(`more than ${maxValues} values`, position);
      if (byte === INTEGER) {
        reader.integer();
        completed = true;
      } else if (byte === LIST || byte === DICTIONARY) {
        if (stack.length >= maxDepth) refuse(`nested deeper than ${maxDepth}`, position);
        reader.position++;
        stack.push({
          isDictionary: byte === DICTIONARY,
          keyStart: -1,
          keyEnd: -1,
          awaitsValue: false,
          valueStart: 0,
        });
      } else if (byte >= ZERO && byte <= NINE) {
        reader.string();
        completed = true;
      } else {
        refuse('a value of no known type', position);
      }
    }

    if (!completed) continue;
    const parent = stack.at(-1);
    if (parent === undefined) return { end: reader.position, topLevel };
    if (parent.isDictionary) {
      parent.awaitsValue = false;
      if (stack.length === 1) {
        const key = Buffer.from(
          bytes.buffer,
          bytes.byteOffset + parent.keyStart,
          parent.keyEnd - parent.keyStart,
        );
        topLevel.set(key.toString('latin1'), { start: parent.valueStart, end: reader.position });
      }
    }
  }
}

/** The package's value in our types: Buffers over the bytes it copied, dictionaries without a prototype. */
function adopt(value: DecodedByPackage): BencodeValue {
  if (typeof value === 'number') return value;
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (Array.isArray(value)) return value.map(adopt);
  const dictionary: BencodeDictionary = Object.create(null);
  for (const key of Object.keys(value)) {
    const entry = value[key];
    if (entry !== undefined) dictionary[key] = adopt(entry);
  }
  return dictionary;
}

/**
 * Decodes the bencoded value that begins at byte 0 and tells where it ends (BEP 9 puts data behind it).
 * Keys that are not UTF-8 appear in hex, as the package gives them.
 * @throws TorrentError InvalidBencode
 */
export function decodeBencodePrefix(
  bytes: Uint8Array,
  limits?: BencodeLimits,
): { value: BencodeValue } & ValidatedBencode {
  const validated = validateBencode(bytes, limits);
  const value = adopt(bencode.decode(bytes.subarray(0, validated.end)));
  return { value, ...validated };
}

/**
 * Decodes bytes that are one bencoded value and nothing else.
 * @throws TorrentError InvalidBencode
 */
export function decodeBencode(bytes: Uint8Array, limits?: BencodeLimits): BencodeValue {
  const validated = validateBencode(bytes, limits);
  if (validated.end !== bytes.length) refuse('bytes behind the value', validated.end);
  return adopt(bencode.decode(bytes));
}

/** True if a decoded value is a dictionary. */
export function isDictionary(value: BencodeValue | undefined): value is BencodeDictionary {
  return typeof value === 'object' && !Array.isArray(value) && !Buffer.isBuffer(value);
}

function checkEncodable(value: Encodable, depth: number): void {
  if (depth > MAX_BENCODE_DEPTH) throw new TorrentError('NotEncodable', 'bencode: nested too deep to encode');
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
      throw new TorrentError('NotEncodable', `bencode: ${value} is not an exact integer`);
    }
  } else if (typeof value === 'string' || value instanceof Uint8Array) {
    return;
  } else if (Array.isArray(value)) {
    for (const entry of value) checkEncodable(entry, depth + 1);
  } else {
    for (const [key, entry] of Object.entries(value)) {
      // The package sorts by UTF-16 units, which is byte order for ASCII only.
      if (!/^[\x20-\x7e]*$/.test(key) || key === '__proto__') {
        throw new TorrentError('NotEncodable', `bencode: ${JSON.stringify(key)} cannot be a key here`);
      }
      if (entry !== undefined) checkEncodable(entry, depth + 1);
    }
  }
}

/**
 * Encodes a value; dictionary keys are sorted, must be printable ASCII, and undefined entries are left out.
 * For keys that are bytes see `encodeByteKeyed`.
 * @throws TorrentError NotEncodable for numbers that are no exact integers and keys that cannot be sorted.
 */
export function encodeBencode(value: Encodable): Buffer {
  checkEncodable(value, 1);
  const encoded = bencode.encode(value);
  return Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength);
}

/**
 * Encodes a dictionary whose keys are bytes (a scrape reply's `files`, BEP 48) from values that are encoded
 * already. The npm package cannot sort such keys.
 * @throws TorrentError NotEncodable for a repeated key.
 */
export function encodeByteKeyed(
  entries: Iterable<readonly [key: Uint8Array, encodedValue: Uint8Array]>,
): Buffer {
  const sorted = [...entries].sort((a, b) => Buffer.compare(a[0], b[0]));
  const parts: Uint8Array[] = [Buffer.from('d')];
  let previous: Uint8Array | undefined;
  for (const [key, value] of sorted) {
    if (previous !== undefined && Buffer.compare(previous, key) === 0) {
      throw new TorrentError('NotEncodable', 'bencode: a repeated dictionary key');
    }
    previous = key;
    parts.push(Buffer.from(`${key.length}:`), key, value);
  }
  parts.push(Buffer.from('e'));
  return Buffer.concat(parts);
}
