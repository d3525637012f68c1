// Quantities, percentages and bytes for people.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  ApiError,
  formatBytes,
  formatSeconds,
  parseLimits,
  parsePercent,
  parseQuantity,
  requiredCount,
} from '../../api/index.ts';

describe('parseQuantity', () => {
  test.each([
    ['0', 0],
    ['1', 1],
    [1073741824, 1073741824],
    ['200Gi', 200 * 2 ** 30],
    ['1.5Gi', 1.5 * 2 ** 30],
    ['.5k', 500],
    ['5.', 5],
    ['1e3', 1000],
    ['12E2', 1200],
    ['1E', 1e18],
    ['0.1', 1],
    ['1001m', 2],
    ['1n', 1],
    ['+7M', 7_000_000],
    ['-0', 0],
    ['7.9Pi', Math.ceil(7.9 * 2 ** 50)],
  ])('%s is %s bytes', (text, bytes) => {
    if (bytes > Number.MAX_SAFE_INTEGER) expect(() => parseQuantity(text)).toThrow(ApiError);
    else expect(parseQuantity(text)).toBe(bytes);
  });

  test.each(['', '.', 'Gi', '1gi', '1 Gi', '-1', '8Pi', '1e400', '0x10', '1,5', '9'.repeat(40)])(
    '%j is no quantity of ours',
    (text) => {
      expect(() => parseQuantity(text)).toThrow(/must be a quantity of bytes/);
    },
  );

  test('whole numbers of every unit are exact', () => {
    const units = {
      '': 1,
      k: 1e3,
      M: 1e6,
      G: 1e9,
      T: 1e12,
      Ki: 2 ** 10,
      Mi: 2 ** 20,
      Gi: 2 ** 30,
      Ti: 2 ** 40,
    };
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 8000 }),
        fc.constantFrom(...Object.entries(units)),
        (n, [unit, factor]) => {
          expect(parseQuantity(`${n}${unit}`)).toBe(n * factor);
        },
      ),
    );
  });

  test('whatever it is given, it gives a safe integer or an ApiError', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9.eE+kMGTPi-]{0,12}$/)), (text) => {
        try {
          expect(Number.isSafeInteger(parseQuantity(text))).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(ApiError);
        }
      }),
    );
  });
});

test('parseLimits leaves out what is not limited', () => {
  expect(parseLimits(undefined)).toEqual({});
  expect(parseLimits({ upload: '1Mi' })).toEqual({ uploadBytesPerSecond: 1048576 });
  expect(parseLimits({ upload: 1, download: '2k' })).toEqual({
    uploadBytesPerSecond: 1,
    downloadBytesPerSecond: 2000,
  });
});

describe('percentages', () => {
  test.each(['0%', '5%', '95%', '100%'])('%s', (text) => {
    expect(parsePercent(text)).toBe(Number.parseInt(text, 10));
  });

  test.each(['101%', '-1%', '05%', '5', '5.5%', '%', ' 5%', '1000%'])('%j must be refused', (text) => {
    expect(() => parsePercent(text)).toThrow(/must be a percentage from 0% to 100%/);
  });

  test('are rounded up, counts are taken as they are', () => {
    expect(requiredCount('95%', 10)).toBe(10);
    expect(requiredCount('95%', 40)).toBe(38);
    expect(requiredCount('0%', 40)).toBe(0);
    expect(requiredCount('100%', 0)).toBe(0);
    expect(requiredCount(3, 2)).toBe(3);
  });
});

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.0 KiB'],
  [16060522240, '15.0 GiB'],
  [2 ** 20 - 1, '1.0 MiB'],
  [2 ** 53, '8.0 PiB'],
  [2 ** 62, '4096.0 PiB'],
])('%s bytes read as %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [0, '0s'],
  [-5, '0s'],
  [45, '45s'],
  [130, '2m10s'],
  [120, '2m'],
  [11_100, '3h5m'],
  [3601, '1h'],
  [187_200, '2d4h'],
])('%s seconds read as %s', (seconds, text) => {
  expect(formatSeconds(seconds)).toBe(text);
});
