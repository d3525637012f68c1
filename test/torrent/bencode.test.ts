import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type BencodeValue,
  decodeBencode,
  decodeBencodePrefix,
  type Encodable,
  encodeBencode,
  encodeByteKeyed,
  isDictionary,
  MAX_BENCODE_DEPTH,
  validateBencode,
} from '../../torrent/bencode.ts';
import { TorrentError } from '../../torrent/errors.ts';
import { failureOf } from './failure.ts';
import { fuzzParameters, mutated } from './fuzz.ts';

function refusal(input: string | Uint8Array): string {
  const error = failureOf(() =>
    decodeBencode(typeof input === 'string' ? Buffer.from(input, 'latin1') : input),
  );
  expect(error.code).toBe('InvalidBencode');
  return error.message;
}

describe('decodeBencode refuses', () => {
  test.each([
    ['no bytes', '', 'no bytes'],
    ['a list that does not end', 'l', 'ends too early'],
    ['a dictionary that does not end', 'd1:ai1e', 'ends too early'],
    ['an end alone', 'e', 'an end without'],
    ['an unknown type', 'x', 'no known type'],
    ['a negative string length', '-3:abc', 'no known type'],
    ['the input that makes the npm package run out of memory', 'l-3:e', 'no known type'],
    ['a string length with a leading zero', '03:abc', 'leading zero'],
    ['a string that goes past the end', '4:abc', 'past the end'],
    ['a string length that overflows', '99999999999999999999:a', 'too large'],
    ['a string length of 2^53', '9007199254740992:a', 'larger than 2^53'],
    ['a string length without a colon', '3', 'no end'],
    ['a string length with a letter', '3x:abc', 'no digit'],
    ['minus zero', 'i-0e', 'minus zero'],
    ['a leading zero', 'i03e', 'leading zero'],
    ['a leading zero behind a minus', 'i-03e', 'leading zero'],
    ['an empty integer', 'ie', 'empty'],
    ['a minus alone', 'i-e', 'empty'],
    ['a fraction', 'i1.9e', 'no digit'],
    ['a plus', 'i+1e', 'no digit'],
    ['a space', 'i 1e', 'no digit'],
    ['an exponent', 'i1e5e', 'bytes behind'],
    ['an integer without an end', 'i12', 'no end'],
    ['2^53', 'i9007199254740992e', 'larger than 2^53'],
    ['minus 2^53', 'i-9007199254740992e', 'larger than 2^53'],
    ['an integer of 17 digits', 'i10000000000000000e', 'too large'],
    ['keys out of order', 'd1:bi1e1:ai1ee', 'out of order'],
    ['a longer key before its prefix', 'd2:aai1e1:ai1ee', 'out of order'],
    ['a repeated key', 'd1:ai1e1:ai1ee', 'repeated'],
    ['a repeated key further in', 'ld1:ai1e1:ai1eee', 'repeated'],
    ['a key that is an integer', 'di1ei1ee', 'not a string'],
    ['a key without a value', 'd1:ae', 'without a value'],
    ['the key __proto__', 'd9:__proto__d1:ai1eee', '__proto__'],
    ['trailing bytes', 'i1ei2e', 'bytes behind'],
    ['a trailing newline', 'i1e\n', 'bytes behind'],
  ])('%s', (_, input, message) => {
    expect(refusal(input)).toContain(message);
  });

  test('nesting beyond 64, of lists and of dictionaries', () => {
    expect(refusal('l'.repeat(65) + 'e'.repeat(65))).toContain('nested deeper than 64');
    expect(refusal(`${'d1:a'.repeat(65)}i1e${'e'.repeat(65)}`)).toContain('nested deeper than 64');
  });

  test('10 MB of l, without looking at all of it', () => {
    expect(refusal(Buffer.alloc(10_000_000, 'l'))).toContain('at byte 64');
  });

  test('more values than the limit', () => {
    const input = Buffer.from(`l${'0:'.repeat(11)}e`);
    expect(failureOf(() => decodeBencode(input, { maxValues: 11 })).message).toContain('more than 11 values');
    expect(decodeBencode(input, { maxValues: 12 })).toHaveLength(11);
  });
});

describe('decodeBencode accepts', () => {
  test('nesting of 64', () => {
    let value: BencodeValue = decodeBencode(
      Buffer.from('l'.repeat(MAX_BENCODE_DEPTH) + 'e'.repeat(MAX_BENCODE_DEPTH)),
    );
    let depth = 0;
    for (; Array.isArray(value); depth++) value = value[0] ?? 0;
    expect(depth).toBe(64);
  });

  test('the largest and smallest integers', () => {
    expect(decodeBencode(Buffer.from('i9007199254740991e'))).toBe(Number.MAX_SAFE_INTEGER);
    expect(decodeBencode(Buffer.from('i-9007199254740991e'))).toBe(-Number.MAX_SAFE_INTEGER);
    expect(decodeBencode(Buffer.from('i0e'))).toBe(0);
  });

  test('strings as bytes, not text', () => {
    const value = decodeBencode(Buffer.from([0x33, 0x3a, 0xff, 0x00, 0xfe]));
    expect(Buffer.isBuffer(value)).toBe(true);
    expect(value).toEqual(Buffer.from([0xff, 0x00, 0xfe]));
  });

  test('keys of Object.prototype as what was sent, and nothing that was not', () => {
    const value = decodeBencode(Buffer.from('d11:constructori1e8:toStringi2ee'));
    if (!isDictionary(value)) throw new Error('no dictionary');
    expect(value.constructor).toBe(1);
    expect(value.toString).toBe(2);
    expect(value.hasOwnProperty).toBeUndefined();
    expect(Object.getPrototypeOf(value)).toBeNull();
  });

  test('a value inside a larger buffer, at its own offset', () => {
    const surrounding = Buffer.from('xxxd4:infoi7eexxx');
    const inner = surrounding.subarray(3, 14);
    expect(decodeBencode(inner)).toMatchObject({ info: 7 });
    expect(validateBencode(inner).topLevel.get('info')).toEqual({ start: 7, end: 10 });
  });
});

test('decodeBencodePrefix tells where the value ends and leaves the rest alone', () => {
  const bytes = Buffer.concat([Buffer.from('d8:msg_typei1e5:piecei0ee'), Buffer.from([0xff, 0x65, 0x6c])]);
  const { value, end } = decodeBencodePrefix(bytes);
  expect(value).toMatchObject({ msg_type: 1, piece: 0 });
  expect(end).toBe(bytes.length - 3);
});

test('validateBencode gives the exact bytes of top-level entries only', () => {
  const bytes = Buffer.from('d1:ad1:bi1ee4:infod1:cl1:x0:ee2:zzi-5ee');
  const { topLevel, end } = validateBencode(bytes);
  expect(end).toBe(bytes.length);
  const text = (key: string) => {
    const range = topLevel.get(key);
    return range && bytes.toString('latin1', range.start, range.end);
  };
  expect([...topLevel.keys()]).toEqual(['a', 'info', 'zz']);
  expect(text('a')).toBe('d1:bi1ee');
  expect(text('info')).toBe('d1:cl1:x0:ee');
  expect(text('zz')).toBe('i-5e');
});

describe('encodeBencode', () => {
  test('sorts keys and leaves undefined entries out', () => {
    expect(encodeBencode({ b: 1, a: 'é', c: undefined, B: [] }).toString()).toBe('d1:Ble1:a2:é1:bi1ee');
  });

  test.each([[0.5], [Number.NaN], [2 ** 53], [-0], [Number.POSITIVE_INFINITY]])('refuses %p', (value) => {
    expect(failureOf(() => encodeBencode([value])).code).toBe('NotEncodable');
  });

  test('refuses keys that the package would sort wrongly or lose', () => {
    expect(failureOf(() => encodeBencode({ é: 1 })).code).toBe('NotEncodable');
    expect(failureOf(() => encodeBencode(JSON.parse('{"__proto__": 1}'))).code).toBe('NotEncodable');
  });

  test('refuses what would be nested too deep to be read again', () => {
    let value: Encodable = 1;
    for (let i = 0; i < 70; i++) value = [value];
    expect(failureOf(() => encodeBencode(value)).code).toBe('NotEncodable');
  });
});

describe('encodeByteKeyed', () => {
  test('sorts by bytes', () => {
    const one = encodeBencode(1);
    const encoded = encodeByteKeyed([
      [Buffer.from([0xff]), one],
      [Buffer.from([0x61, 0x00]), one],
      [Buffer.from([0x61]), one],
    ]);
    expect(encoded.toString('latin1')).toBe('d1:ai1e2:a\0i1e1:ÿi1ee');
    expect(validateBencode(encoded).end).toBe(encoded.length);
  });

  test('refuses a repeated key', () => {
    const entry = [Buffer.from('a'), encodeBencode(1)] as const;
    expect(failureOf(() => encodeByteKeyed([entry, entry])).code).toBe('NotEncodable');
  });
});

const encodable = fc.letrec<{ value: Encodable }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.maxSafeInteger().map((n) => (n === 0 ? 0 : n)),
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(
      fc.string({ unit: fc.integer({ min: 32, max: 126 }).map((c) => String.fromCharCode(c)), maxLength: 6 }),
      tie('value'),
      { maxKeys: 5 },
    ),
  ),
})).value;

function normalized(value: Encodable | BencodeValue | undefined): unknown {
  if (typeof value === 'number' || typeof value === 'string' || value === undefined) return value;
  if (value instanceof Uint8Array) return `bytes:${Buffer.from(value).toString('hex')}`;
  if (Array.isArray(value)) return value.map(normalized);
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, normalized(entry)]));
}

describe('properties', () => {
  test('what is encoded decodes to the same', () => {
    fc.assert(
      fc.property(encodable, (value) => {
        expect(normalized(decodeBencode(encodeBencode(value)))).toEqual(normalized(value));
      }),
      fuzzParameters(500),
    );
  });

  test('near-valid input is refused, or is the one encoding of what it decodes to', () => {
    fc.assert(
      fc.property(mutated(encodable.map((value) => encodeBencode(value))), (any) => {
        // ASCII, because the package gives keys that are not UTF-8 in hex.
        const bytes = any.map((byte) => byte & 0x7f) as Buffer;
        let value: BencodeValue;
        try {
          value = decodeBencode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(TorrentError);
          return;
        }
        try {
          expect(encodeBencode(value as Encodable).equals(bytes)).toBe(true);
        } catch (error) {
          // Keys with control characters decode but are not encoded here.
          if (!(error instanceof TorrentError) || error.code !== 'NotEncodable') throw error;
        }
      }),
      fuzzParameters(3000),
    );
  });

  test('any bytes end in a value or a TorrentError', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc
        .array(fc.constantFrom(...Buffer.from('0123456789-:ilde')), { maxLength: 40 })
        .map((a) => Uint8Array.from(a)),
    );
    fc.assert(
      fc.property(bytes, (input) => {
        try {
          const { end } = decodeBencodePrefix(input);
          expect(end).toBeLessThanOrEqual(input.length);
        } catch (error) {
          expect(error).toBeInstanceOf(TorrentError);
        }
      }),
      fuzzParameters(3000),
    );
  });
});
