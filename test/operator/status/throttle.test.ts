import { expect, test } from '@jest/globals';
import { StatusThrottle } from '../../../operator/status/throttle.ts';

test('progress of one distribution is written every 2 s, transitions at once', () => {
  const throttle = new StatusThrottle();
  expect(throttle.ask('a', false, 0)).toBe(0);
  expect(throttle.ask('a', false, 500)).toBe(1500);
  expect(throttle.ask('a', true, 600)).toBe(0);
  expect(throttle.ask('a', false, 2000)).toBe(600);
  expect(throttle.ask('a', false, 2600)).toBe(0);
  expect(throttle.ask('b', false, 2600)).toBe(0);
});

test('all together write 20 times a second', () => {
  const throttle = new StatusThrottle();
  let written = 0;
  for (let time = 0; time < 10_000; time += 5)
    if (throttle.ask(`uid-${time}`, true, time) === 0) written += 1;
  expect(written).toBeGreaterThanOrEqual(200);
  expect(written).toBeLessThanOrEqual(221);
});
