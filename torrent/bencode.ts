// Bencode (BEP 3). Invariant: what real programs write is read as found (keys in any order, integers that nobody
// needs in odd forms) and whatever it is, memory is bounded by the input and the limits: no recursion, no copy of
// a string, nothing built that the caller does not want. A hash is always over received bytes, never over values.
// The npm package `bencode` encodes only: its decoder takes `i1.9e`, loses `__proto__`, keeps the last of repeated
// keys without a word, and runs out of memory on `l-3:e`.
import bencode from 'bencode';
import { TorrentError } from './errors.ts';

/** Nesting that is still accepted: a list in a list is 2 deep. */
export const MAX_BENCODE_DEPTH = 64;

/** Values in one input that are still accepted: bounds the memory that small values blow up to. */
const MAX_BENCODE_VALUES = 2_000_000;

/**
 * An integer that is there and has no value for us: written with leading zeros or as minus zero, or beyond 2^53. It
 * is no `number`, so that whoever needs one does not take it.
 */
export const ODD_INTEGER = Symbol('odd integer');

/**
 * A decoded dictionary: without a prototype, so that no key is found that was not sent. A key has one character for
 * each byte (Latin-1), so that different keys stay different whatever their encoding.
 */
export type BencodeDictionary = { [key: string]: BencodeValue | undefined };

/**
 * A decoded value. Strings stay bytes: what is text and in which encoding is the caller's knowledge. They are views
 * of the input: whoever keeps one longer than the input copies it.
 */
export type BencodeValue = number | typeof ODD_INTEGER | Buffer | BencodeValue[] | BencodeDictionary;

/** What `encodeBencode` takes. Undefined entries of a dictionary are left out. Text is encoded as UTF-8. */
export type Encodable =
  | number
  | string
  | Uint8Array
  | readonly Encodable[]
  | { readonly [key: string]: Encodable | undefined };

/** Bounds for one input, and how it is read. */
export interface BencodeLimits {
  /** Deepest nesting accepted; MAX_BENCODE_DEPTH where absent. */
  maxDepth?: number;
  /** Most values (dictionary keys apart) accepted; MAX_BENCODE_VALUES where absent. */
  maxValues?: number;
  /**
   * What a key means that a dictionary has twice. `refuse` where absent: two programs may take different ones, which
   * must not be where a hash is to name one content. `first` for messages that nobody hashes and of which the rest
   * is of use: the first counts, as in libtorrent.
   */
  repeatedKeys?: 'refuse' | 'first';
}

/** Where in the input something lies: `start` inclusive, `end` exclusive. */
interface ByteRange {
  start: number;
  end: number;
}

const INTEGER = 0x69;
const LIST = 0x6c;
const DICTIONARY = 0x64;
const END = 0x65;
const COLON = 0x3a;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;

/** Keys that a scanner has room for at first. */
const FIRST_KEY_ROOM = 64;

function refuse(what: string, offset: number): never {
  throw new TorrentError('InvalidBencode', `bencode: ${what} at byte ${offset}`);
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}

/** One list or dictionary that has not ended. */
interface Frame {
  readonly isDictionary: boolean;
  /** What is built of it; undefined while nothing is. */
  readonly built: BencodeValue[] | BencodeDictionary | undefined;
  /** Index of its first key among the scanner's keys. */
  readonly firstKey: number;
  /** A key did not come after the one before it: whether one is repeated shows at the end. */
  isUnsorted: boolean;
  /** A key was read and its value is awaited. */
  awaitsValue: boolean;
  /** Where the awaited value begins. */
  valueStart: number;
}

/** Who wants what of a dictionary: called with each entry of the outermost one, as it ends. */
type EntryListener = (key: ByteRange, value: ByteRange) => void;

/** Reads values one behind the other, none of which needs another. */
class Scanner {
  readonly #bytes: Buffer;
  readonly #maxDepth: number;
  readonly #maxValues: number;
  readonly #refusesRepeated: boolean;
  readonly #stack: Frame[] = [];
  /** Start and end of each key of the dictionaries that have not ended. */
  #keys = new Uint32Array(2 * FIRST_KEY_ROOM);
  #keyCount = 0;
  #values = 0;
  /** The number that #digits() read last is no exact one in its only form. */
  #isOdd = false;
  /** Where the next value begins. */
  position = 0;

  constructor(bytes: Uint8Array, limits: BencodeLimits) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#maxDepth = limits.maxDepth ?? MAX_BENCODE_DEPTH;
    this.#maxValues = limits.maxValues ?? MAX_BENCODE_VALUES;
    this.#refusesRepeated = limits.repeatedKeys !== 'first';
  }

  /**
   * Checks the value at `position`, and builds it if told to; afterwards `position` is behind it. The limits hold for
   * each value by itself. After an error the scanner is of no use any more.
   */
  scan(builds: boolean, onEntry?: EntryListener): BencodeValue | undefined {
    const bytes = this.#bytes;
    this.#values = 0;
    for (;;) {
      const start = this.position;
      const byte = bytes[start];
      if (byte === undefined) refuse(start === 0 ? 'no bytes' : 'the input ends too early', start);
      const frame = this.#stack.at(-1);
      let value: BencodeValue | undefined;
      if (byte === END) value = this.#leave(frame, start);
      else if (frame?.isDictionary && !frame.awaitsValue) {
        this.#readKey(frame, byte, start);
        continue;
      } else {
        if (++this.#values > this.#maxValues) refuse(`more than ${this.#maxValues} values`, start);
        if (byte === LIST || byte === DICTIONARY) {
          this.#enter(byte === DICTIONARY, builds, start);
          continue;
        }
        if (byte === INTEGER) value = this.#integer();
        else if (isDigit(byte)) {
          const end = this.string();
          const length = end - this.position;
          if (builds) value = bytes.subarray(this.position, this.position + length);
          this.position = end;
        } else refuse('a value of no known type', start);
      }
      const parent = this.#stack.at(-1);
      if (parent === undefined) return value;
      this.#put(parent, value, onEntry);
    }
  }

  #enter(isDictionary: boolean, builds: boolean, start: number): void {
    if (this.#stack.length >= this.#maxDepth) refuse(`nested deeper than ${this.#maxDepth}`, start);
    this.position++;
    const built = !builds ? undefined : isDictionary ? Object.create(null) : [];
    const firstKey = this.#keyCount;
    this.#stack.push({
      isDictionary,
      built,
      firstKey,
      isUnsorted: false,
      awaitsValue: false,
      valueStart: 0,
    });
  }

  /** The end of a list or a dictionary. */
  #leave(frame: Frame | undefined, start: number): BencodeValue | undefined {
    if (frame === undefined) refuse('an end without a beginning', start);
    if (frame.awaitsValue) refuse('a dictionary key without a value', start);
    if (frame.isUnsorted && this.#refusesRepeated) this.#refuseRepeated(frame);
    this.position++;
    this.#stack.pop();
    this.#keyCount = frame.firstKey;
    return frame.built;
  }

  /** A value is whole: it goes where it belongs. */
  #put(parent: Frame, value: BencodeValue | undefined, onEntry: EntryListener | undefined): void {
    const { built } = parent;
    if (!parent.isDictionary) {
      if (value !== undefined) (built as BencodeValue[] | undefined)?.push(value);
      return;
    }
    parent.awaitsValue = false;
    const key = this.#keyAt(this.#keyCount - 1);
    if (onEntry !== undefined && this.#stack.length === 1)
      onEntry(key, { start: parent.valueStart, end: this.position });
    if (built === undefined || value === undefined) return;
    const name = this.#bytes.toString('latin1', key.start, key.end);
    if (!(name in built)) (built as BencodeDictionary)[name] = value;
  }

  #readKey(frame: Frame, byte: number, start: number): void {
    if (!isDigit(byte)) refuse('a dictionary key that is not a string', start);
    const end = this.string();
    const isFirst = this.#keyCount === frame.firstKey;
    if (!isFirst && !frame.isUnsorted) {
      const before = this.#keyAt(this.#keyCount - 1);
      const order = this.#bytes.compare(this.#bytes, this.position, end, before.start, before.end);
      if (order === 0 && this.#refusesRepeated) refuse('a repeated dictionary key', start);
      if (order > 0) frame.isUnsorted = true;
    }
    if (2 * this.#keyCount === this.#keys.length) {
      const keys = new Uint32Array(2 * this.#keys.length);
      keys.set(this.#keys);
      this.#keys = keys;
    }
    this.#keys[2 * this.#keyCount] = this.position;
    this.#keys[2 * this.#keyCount + 1] = end;
    this.#keyCount++;
    this.position = end;
    frame.awaitsValue = true;
    frame.valueStart = end;
  }

  #keyAt(index: number): ByteRange {
    return { start: this.#keys[2 * index] ?? 0, end: this.#keys[2 * index + 1] ?? 0 };
  }

  /** Sorts the keys of a dictionary that had them in another order: repeated ones are neighbours then. */
  #refuseRepeated({ firstKey }: Frame): void {
    const compare = (a: number, b: number) => {
      const [one, other] = [this.#keyAt(a), this.#keyAt(b)];
      return this.#bytes.compare(this.#bytes, other.start, other.end, one.start, one.end);
    };
    const order = new Uint32Array(this.#keyCount - firstKey)
      .map((_, index) => firstKey + index)
      .sort(compare);
    for (let i = 1; i < order.length; i++) {
      const [one, other] = [order[i - 1] ?? 0, order[i] ?? 0];
      if (compare(one, other) !== 0) continue;
      const { start, end } = this.#keyAt(Math.max(one, other));
      refuse('a repeated dictionary key', start - `${end - start}:`.length);
    }
  }

  /** Decimal digits up to and including their terminator. */
  #digits(terminator: number, what: string): number {
    const start = this.position;
    let value = 0;
    let position = start;
    for (;;) {
      const byte = this.#bytes[position];
      if (byte === undefined) refuse(`${what} has no end`, start);
      if (byte === terminator) break;
      if (!isDigit(byte)) refuse(`${what} has a character that is no digit`, position);
      value = value * 10 + (byte - ZERO);
      position++;
    }
    const count = position - start;
    if (count === 0) refuse(`${what} is empty`, start);
    this.position = position + 1;
    const hasLeadingZero = count > 1 && this.#bytes[start] === ZERO;
    this.#isOdd = hasLeadingZero || value > Number.MAX_SAFE_INTEGER;
    return value;
  }

  #integer(): number | typeof ODD_INTEGER {
    this.position++;
    const isNegative = this.#bytes[this.position] === MINUS;
    if (isNegative) this.position++;
    const value = this.#digits(END, 'an integer');
    if (this.#isOdd || (isNegative && value === 0)) return ODD_INTEGER;
    return isNegative ? -value : value;
  }

  /** The length of a string; `position` is at its first byte then. Returns where it ends. */
  string(): number {
    const start = this.position;
    const length = this.#digits(COLON, 'a string length');
    const end = this.position + length;
    if (this.#isOdd) {
      const isPadded = this.#bytes[start] === ZERO;
      refuse(`a string length ${isPadded ? 'has a leading zero' : 'is too large'}`, start);
    }
    if (end > this.#bytes.length) refuse(`a string of ${length} bytes goes past the end`, start);
    return end;
  }
}

/**
 * Decodes the bencoded value that begins at byte 0 and tells where it ends: bytes behind it are left alone, be they
 * data (BEP 9) or the newline at the end of a file.
 * @throws TorrentError InvalidBencode, with what is wrong and at which byte.
 */
export function decodeBencodePrefix(
  bytes: Uint8Array,
  limits: BencodeLimits = {},
): { value: BencodeValue; end: number } {
  const scanner = new Scanner(bytes, limits);
  const value = scanner.scan(true) as BencodeValue;
  return { value, end: scanner.position };
}

/**
 * Decodes bytes that are one bencoded value and nothing else.
 * @throws TorrentError InvalidBencode
 */
export function decodeBencode(bytes: Uint8Array, limits?: BencodeLimits): BencodeValue {
  const { value, end } = decodeBencodePrefix(bytes, limits);
  if (end !== bytes.length) refuse('bytes behind the value', end);
  return value;
}

/**
 * Checks the bencoded value that begins at byte 0 and builds nothing of it: gives the exact bytes of those entries of
 * the outermost dictionary that are wanted. `entries` is undefined where the value is no dictionary.
 * @throws TorrentError InvalidBencode
 */
export function readDictionary(
  bytes: Uint8Array,
  wanted: readonly string[],
  limits: BencodeLimits = {},
): { entries: Map<string, Buffer> | undefined; end: number } {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const scanner = new Scanner(bytes, limits);
  const entries = new Map<string, Buffer>();
  scanner.scan(false, (key, value) => {
    const name = wanted.find(
      (one) => one.length === key.end - key.start && whole.toString('latin1', key.start, key.end) === one,
    );
    if (name !== undefined && !entries.has(name)) entries.set(name, whole.subarray(value.start, value.end));
  });
  return { entries: whole[0] === DICTIONARY ? entries : undefined, end: scanner.position };
}

/**
 * Walks through lists and dictionaries without building them, so that a long one costs the memory of its longest
 * entry. For bytes that were checked as a whole before: repeated keys are not looked for, and depth is the caller's.
 * Every method throws TorrentError InvalidBencode for what is no bencode.
 */
export class BencodeCursor {
  readonly #bytes: Buffer;
  readonly #scanner: Scanner;

  constructor(bytes: Uint8Array, limits: BencodeLimits = {}) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#scanner = new Scanner(bytes, limits);
  }

  /** Steps into the list that begins here; false if none does. */
  enterList(): boolean {
    return this.#step(LIST);
  }

  /** Steps into the dictionary that begins here; false if none does. */
  enterDictionary(): boolean {
    return this.#step(DICTIONARY);
  }

  /** Steps behind the end of the list or dictionary; false if another entry comes first. */
  leave(): boolean {
    return this.#step(END);
  }

  /** A dictionary's next key; its value comes next. */
  key(): Buffer {
    const end = this.#scanner.string();
    const key = this.#bytes.subarray(this.#scanner.position, end);
    this.#scanner.position = end;
    return key;
  }

  /** The next value. The limits hold for it alone. */
  value(): BencodeValue {
    return this.#scanner.scan(true) as BencodeValue;
  }

  #step(byte: number): boolean {
    if (this.#bytes[this.#scanner.position] !== byte) return false;
    this.#scanner.position++;
    return true;
  }
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
