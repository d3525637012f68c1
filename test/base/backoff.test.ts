import { expect, test } from '@jest/globals';
import { backoffMilliseconds } from '../../base/index.ts';

const BOUNDS = { firstMilliseconds: 500, maxMilliseconds: 3000 };

test('doubles from the first wait to the greatest', () => {
  const waits = [1, 2, 3, 4, 5, 5000].map((failures) => backoffMilliseconds(failures, BOUNDS));
  expect(waits).toEqual([500, 1000, 2000, 3000, 3000, 3000]);
});

test('is drawn from the upper half', () => {
  expect(backoffMilliseconds(2, BOUNDS, () => 0)).toBe(500);
  expect(backoffMilliseconds(2, BOUNDS, () => 0.5)).toBe(750);
  expect(backoffMilliseconds(9, BOUNDS, () => 0.999)).toBeLessThanOrEqual(3000);
});
