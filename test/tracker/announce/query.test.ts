import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodePercent, eachParameter } from '../../../tracker/announce/query.ts';

function decode(text: string, capacity = 64): Buffer | -1 {
  const into = Buffer.alloc(capacity);
  const length = decodePercent(text, 0, text.length, into);
  return length < 0 ? -1 : into.subarray(0, length);
}

/** Any way to write bytes: as they are where that is legal, or escaped in upper or lower case. */
const writtenBytes = fc
  .array(fc.record({ byte: fc.nat(255), style: fc.constantFrom('raw', 'upper', 'lower') }), { maxLength: 60 })
  .map((parts) => ({
    bytes: Buffer.from(parts.map(({ byte }) => byte)),
    text: parts
      .map(({ byte, style }) => {
        const character = String.fromCharCode(byte);
        if (style === 'raw' && character !== '%') return character;
        const hex = byte.toString(16).padStart(2, '0');
        return `%${style === 'upper' ? hex.toUpperCase() : hex}`;
      })
      .join(''),
  }));

describe('decodePercent', () => {
  test('gives back any bytes, however they were written', () => {
    fc.assert(fc.property(writtenBytes, ({ bytes, text }) => expect(decode(text)).toEqual(bytes)));
  });

  test('leaves + as it is', () => {
    expect(decode('a+b')).toEqual(Buffer.from('a+b'));
  });

  test.each(['%', 'a%', '%4', '%4g', '%g4', '%%41', '% 1', '%-1', '%+1'])('refuses %p', (text) => {
    expect(decode(text)).toBe(-1);
  });

  test('counts what does not fit and writes no further', () => {
    const into = Buffer.alloc(4);
    expect(decodePercent('%41bcdef', 0, 8, into.subarray(0, 2))).toBe(6);
    expect(into.toString('latin1')).toBe('Ab\0\0');
  });
});

describe('eachParameter', () => {
  const parameters = (query: string) => {
    const found: [string, string][] = [];
    eachParameter(query, (name, start, end) => found.push([name, query.slice(start, end)]));
    return found;
  };

  test('splits at & and at the first =', () => {
    expect(parameters('a=1&b==2&&c&=3&d=')).toEqual([
      ['a', '1'],
      ['b', '=2'],
      ['c', ''],
      ['', '3'],
      ['d', ''],
    ]);
  });

  test('finds nothing in nothing', () => {
    expect(parameters('')).toEqual([]);
    expect(parameters('&&&')).toEqual([]);
  });
});
