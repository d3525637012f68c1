import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  BencodeCursor,
  type BencodeLimits,
  type BencodeValue,
  decodeBencode,
  decodeBencodePrefix,
  type Encodable,
  encodeBencode,
  encodeByteKeyed,
  isDictionary,
  MAX_BENCODE_DEPTH,
  ODD_INTEGER,
  readDictionary,
} from '../../torrent/bencode.ts';
import { TorrentError } from '../../torrent/errors.ts';
import { failureOf } from './failure.ts';
import { fuzzParameters, mutated } from './fuzz.ts';

const latin1 = (text: string) => Buffer.from(text, 'latin1');

function refusal(input: string | Uint8Array, limits?: BencodeLimits): string {
  const error = failureOf(() => decodeBencode(typeof input === 'string' ? latin1(input) : input, limits));
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
    ['a string length of 2^53', '9007199254740992:a', 'too large'],
    ['a string length without a colon', '3', 'no end'],
    ['a string length with a letter', '3x:abc', 'no digit'],
    ['an empty integer', 'ie', 'empty'],
    ['a minus alone', 'i-e', 'empty'],
    ['a fraction', 'i1.9e', 'no digit'],
    ['a plus', 'i+1e', 'no digit'],
    ['a space', 'i 1e', 'no digit'],
    ['an exponent', 'i1e5e', 'bytes behind'],
    ['an integer without an end', 'i12', 'no end'],
    ['a repeated key', 'd1:ai1e1:ai1ee', 'repeated'],
    ['a repeated key further in', 'ld1:ai1e1:ai1eee', 'repeated'],
    [
      'a repeated key among keys in another order',
      'd1:bi1e1:ai1e1:ci1e1:bi2ee',
      'repeated dictionary key at byte 19',
    ],
    ['a repeated key of no bytes', 'd1:ai1e0:i1e0:i2ee', 'repeated'],
    ['a repeated key behind a dictionary', 'd1:bd1:zi1e1:yi1ee1:ai1e1:bi2ee', 'repeated'],
    ['a key that is an integer', 'di1ei1ee', 'not a string'],
    ['a key without a value', 'd1:ae', 'without a value'],
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

  test('one repeated key among 200,000 in falling order, of which many are numbers', () => {
    const keys = Array.from({ length: 100_000 }, (_, index) => [`${index}`, `key ${index}`]).flat();
    const sorted = keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const entries = sorted.reverse().map((key) => `${key.length}:${key}i0e`);
    expect(Object.keys(decodeBencode(latin1(`d${entries.join('')}e`)))).toHaveLength(200_000);
    const repeated = `d${entries.join('')}6:key 77i1ee`;
    expect(refusal(repeated)).toContain(`repeated dictionary key at byte ${repeated.length - 12}`);
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

  test.each([
    ['a leading zero', 'i03e'],
    ['a leading zero behind a minus', 'i-03e'],
    ['minus zero', 'i-0e'],
    ['several zeros', 'i000e'],
    ['2^53', 'i9007199254740992e'],
    ['minus 2^53', 'i-9007199254740992e'],
    ['17 digits', 'i10000000000000000e'],
    ['2^64 - 1', 'i18446744073709551615e'],
    ['a thousand digits', `i${'9'.repeat(1000)}e`],
  ])('an integer with %s, as one that nobody can take for a number', (_, input) => {
    expect(decodeBencode(latin1(`l${input}i7ee`))).toEqual([ODD_INTEGER, 7]);
  });

  test.each([
    ['out of order', 'd1:bi1e1:ai2ee', { a: 2, b: 1 }],
    ['with a longer key before its prefix', 'd2:aai1e1:ai2ee', { a: 2, aa: 1 }],
    ['out of order further in', 'ld1:bi1e1:ai2eed1:zle1:y0:ee', undefined],
  ])('keys %s', (_, input, expected) => {
    const value = decodeBencode(latin1(input));
    if (expected !== undefined) expect({ ...(value as object) }).toEqual(expected);
    expect(readDictionary(latin1(input), []).end).toBe(input.length);
  });

  test('keys that are not UTF-8, each as what it is', () => {
    const value = decodeBencode(latin1('d1:\xffi1e2:ffi2e2:\xc3\xa9i3ee'));
    expect(Object.entries(value)).toEqual([
      ['\xff', 1],
      ['ff', 2],
      ['\xc3\xa9', 3],
    ]);
  });

  test('the key __proto__ as data', () => {
    const value = decodeBencode(latin1('d9:__proto__d1:ai1ee9:__proto_ai2ee'));
    if (!isDictionary(value)) throw new Error('no dictionary');
    expect(Object.keys(value)).toEqual(['__proto__', '__proto_a']);
    expect(value.a).toBeUndefined();
    const [inner] = Object.values(value);
    expect(isDictionary(inner) && inner.a).toBe(1);
    expect(({} as { a?: number }).a).toBeUndefined();
  });

  test('the first of repeated keys, where the caller says so, sorted or not', () => {
    const first = (input: string) => ({
      ...(decodeBencode(latin1(input), { repeatedKeys: 'first' }) as object),
    });
    expect(first('d1:ai1e1:ai2ee')).toEqual({ a: 1 });
    expect(first('d1:bi1e1:ai2e1:bi3ee')).toEqual({ a: 2, b: 1 });
  });

  test('strings without a copy', () => {
    const bytes = latin1('l3:abce');
    const [text] = decodeBencode(bytes) as Buffer[];
    bytes[3] = 0x7a;
    expect(text?.toString()).toBe('zbc');
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
    expect(readDictionary(inner, ['info']).entries?.get('info')).toEqual(Buffer.from('i7e'));
  });
});

test('decodeBencodePrefix tells where the value ends and leaves the rest alone', () => {
  const bytes = Buffer.concat([Buffer.from('d8:msg_typei1e5:piecei0ee'), Buffer.from([0xff, 0x65, 0x6c])]);
  const { value, end } = decodeBencodePrefix(bytes);
  expect(value).toMatchObject({ msg_type: 1, piece: 0 });
  expect(end).toBe(bytes.length - 3);
});

describe('readDictionary', () => {
  test('gives the exact bytes of the outermost entries that are wanted', () => {
    const bytes = latin1('d1:qi9e4:infod1:cl1:x0:ee1:ad1:bi1e4:infoi1ee2:zzi-5eex');
    const { entries, end } = readDictionary(bytes, ['a', 'info', 'zz', 'absent']);
    expect(end).toBe(bytes.length - 1);
    expect([...(entries ?? [])].map(([key, value]) => [key, value.toString('latin1')])).toEqual([
      ['info', 'd1:cl1:x0:ee'],
      ['a', 'd1:bi1e4:infoi1ee'],
      ['zz', 'i-5e'],
    ]);
  });

  test('checks what is not wanted', () => {
    expect(failureOf(() => readDictionary(latin1('d1:ald1:bi1e1:ai1e1:bi2eeee'), [])).message).toContain(
      'repeated',
    );
    expect(failureOf(() => readDictionary(latin1('d1:ali1.9eee'), [])).message).toContain('no digit');
  });

  test('finds no entries where there is no dictionary', () => {
    expect(readDictionary(latin1('li1ee'), ['a']).entries).toBeUndefined();
    expect(readDictionary(latin1('de'), ['a']).entries?.size).toBe(0);
  });
});

test('BencodeCursor walks through lists and dictionaries in the order of their bytes', () => {
  const cursor = new BencodeCursor(latin1('d2:10i1e1:9li2ei3eee'));
  expect(cursor.enterList()).toBe(false);
  expect(cursor.enterDictionary()).toBe(true);
  expect([cursor.leave(), cursor.key().toString(), cursor.value()]).toEqual([false, '10', 1]);
  expect([cursor.leave(), cursor.key().toString(), cursor.enterList()]).toEqual([false, '9', true]);
  expect([cursor.value(), cursor.value(), cursor.leave(), cursor.leave()]).toEqual([2, 3, true, true]);
  expect(failureOf(() => cursor.value()).code).toBe('InvalidBencode');
  expect(failureOf(() => new BencodeCursor(latin1('i1e')).key()).code).toBe('InvalidBencode');
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
    expect(readDictionary(encoded, []).end).toBe(encoded.length);
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
  if (
    typeof value === 'number' ||
    typeof value === 'symbol' ||
    typeof value === 'string' ||
    value === undefined
  )
    return value;
  if (value instanceof Uint8Array) return `bytes:${Buffer.from(value).toString('hex')}`;
  if (Array.isArray(value)) return value.map(normalized);
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, normalized(entry)]));
}

/** A decoded value as bytes again; undefined if an odd integer is in it. */
function reencoded(value: BencodeValue): Buffer | undefined {
  if (typeof value === 'symbol') return undefined;
  if (typeof value === 'number') return latin1(`i${value}e`);
  if (Buffer.isBuffer(value)) return Buffer.concat([latin1(`${value.length}:`), value]);
  const parts = Array.isArray(value)
    ? value.map(reencoded)
    : Object.entries(value).flatMap(([key, entry]) => [
        latin1(`${key.length}:${key}`),
        reencoded(entry as BencodeValue),
      ]);
  if (parts.includes(undefined)) return undefined;
  return Buffer.concat([latin1(Array.isArray(value) ? 'l' : 'd'), ...(parts as Buffer[]), latin1('e')]);
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

  test('keys in any order are read the same, and are repeated in any order', () => {
    const keys = fc.uniqueArray(fc.string({ unit: 'binary-ascii', maxLength: 3 }), {
      minLength: 1,
      maxLength: 30,
    });
    fc.assert(
      fc.property(keys, fc.nat(), (names, at) => {
        const entries = names.map((name, index) => `${name.length}:${name}i${index}e`);
        const value = decodeBencode(latin1(`d${entries.join('')}e`)) as { [key: string]: BencodeValue };
        expect(names.map((name) => value[name])).toEqual(names.map((_, index) => index));
        const twice = `d${entries.join('')}${entries[at % entries.length]}e`;
        expect(refusal(twice)).toContain('repeated');
        expect(failureOf(() => readDictionary(latin1(twice), [])).message).toContain('repeated');
      }),
      fuzzParameters(500),
    );
  });

  test('near-valid input is refused, or is what its value is encoded to but for the forms that are read as found', () => {
    fc.assert(
      fc.property(mutated(encodable.map((value) => encodeBencode(value))), (any) => {
        const bytes = any.map((byte) => byte & 0x7f) as Buffer;
        let value: BencodeValue;
        try {
          value = decodeBencode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(TorrentError);
          return;
        }
        const again = reencoded(value);
        // Nothing is lost or added: keys in another order, and odd integers apart, it is the same bytes.
        if (again !== undefined) expect([...again].sort()).toEqual([...bytes].sort());
        expect(readDictionary(bytes, []).end).toBe(bytes.length);
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
