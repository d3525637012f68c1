import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { announceIntervals } from '../../tracker/intervals.ts';

const random01 = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test('seeds come every 10 to 15 minutes', () => {
  fc.assert(
    fc.property(random01, fc.nat(1e6), (random, leechers) => {
      const { intervalSeconds } = announceIntervals(true, leechers, () => random);
      expect(intervalSeconds).toBeGreaterThanOrEqual(600);
      expect(intervalSeconds).toBeLessThanOrEqual(900);
      expect(Number.isInteger(intervalSeconds)).toBe(true);
    }),
  );
  expect(announceIntervals(true, 0, () => 0)).not.toEqual(announceIntervals(true, 0, () => 0.9));
});

test('leechers come about every 10 seconds while they are few', () => {
  fc.assert(
    fc.property(random01, fc.nat(10_000), (random, leechers) => {
      const { intervalSeconds, minIntervalSeconds } = announceIntervals(false, leechers, () => random);
      expect(intervalSeconds).toBeGreaterThanOrEqual(9);
      expect(intervalSeconds).toBeLessThanOrEqual(11);
      expect(minIntervalSeconds).toBe(2);
    }),
  );
});

test('a hundred thousand leechers announce a thousand times a second, not ten thousand', () => {
  const { intervalSeconds, minIntervalSeconds } = announceIntervals(false, 100_000, () => 0.5);
  expect(intervalSeconds).toBe(100);
  expect(minIntervalSeconds).toBeLessThan(intervalSeconds);
});

test('no leecher waits longer than five minutes and a bit', () => {
  expect(announceIntervals(false, 1e9, () => 0.999).intervalSeconds).toBeLessThanOrEqual(330);
});
