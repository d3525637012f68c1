import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { announceIntervals } from '../../../tracker/announce/intervals.ts';

const random01 = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const MINUTE = 60;

test.each([true, false])('seeds come every 10 to 15 minutes (our own: %p)', (isOwn) => {
  fc.assert(
    fc.property(random01, fc.nat(1e6), (random, leechers) => {
      const { intervalSeconds } = announceIntervals(true, isOwn, leechers, () => random);
      expect(intervalSeconds).toBeGreaterThanOrEqual(10 * MINUTE);
      expect(intervalSeconds).toBeLessThanOrEqual(15 * MINUTE);
      expect(Number.isInteger(intervalSeconds)).toBe(true);
    }),
  );
  expect(announceIntervals(true, isOwn, 0, () => 0)).not.toEqual(
    announceIntervals(true, isOwn, 0, () => 0.9),
  );
});

describe('our own leechers', () => {
  test('come about every 10 seconds while they are few, and are forgotten after two intervals', () => {
    fc.assert(
      fc.property(random01, fc.nat(10_000), (random, leechers) => {
        const intervals = announceIntervals(false, true, leechers, () => random);
        expect(intervals.intervalSeconds).toBeGreaterThanOrEqual(9);
        expect(intervals.intervalSeconds).toBeLessThanOrEqual(11);
        expect(intervals.minIntervalSeconds).toBe(2);
        expect(intervals.expirySeconds).toBe(2 * intervals.intervalSeconds);
      }),
    );
  });

  test('announce a thousand times a second where they are a hundred thousand, not ten thousand', () => {
    const { intervalSeconds, minIntervalSeconds } = announceIntervals(false, true, 100_000, () => 0.5);
    expect(intervalSeconds).toBe(100);
    expect(minIntervalSeconds).toBeLessThan(intervalSeconds);
  });

  test('never wait longer than five minutes and a bit', () => {
    expect(announceIntervals(false, true, 1e9, () => 0.999).intervalSeconds).toBeLessThanOrEqual(330);
  });
});

describe('foreign clients', () => {
  test('are told 5 minutes or more, and are known for 25 minutes or more, and beyond what they are told', () => {
    fc.assert(
      fc.property(fc.boolean(), random01, fc.nat(1e6), (isSeed, random, leechers) => {
        const { intervalSeconds, minIntervalSeconds, lateSeconds, expirySeconds } = announceIntervals(
          isSeed,
          false,
          leechers,
          () => random,
        );
        expect(intervalSeconds).toBeGreaterThanOrEqual(5 * MINUTE);
        expect(intervalSeconds).toBeLessThan(17 * MINUTE);
        expect(minIntervalSeconds).toBeGreaterThanOrEqual(MINUTE);
        expect(minIntervalSeconds).toBeLessThan(intervalSeconds);
        // The longest least interval that clients have (rtorrent).
        expect(lateSeconds).toBeGreaterThan(10 * MINUTE);
        expect(lateSeconds).toBeGreaterThan(intervalSeconds);
        expect(expirySeconds).toBeGreaterThanOrEqual(25 * MINUTE);
        expect(expirySeconds).toBeGreaterThanOrEqual(2 * intervalSeconds);
      }),
    );
  });
});
