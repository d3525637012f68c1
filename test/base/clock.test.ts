import { expect, test } from '@jest/globals';
import { sleep } from '../../base/index.ts';
import { FakeClock, settle } from './fake-clock.ts';

test('sleep ends with its delay', async () => {
  const clock = new FakeClock();
  let isOver = false;
  void sleep(clock, 1000).then(() => {
    isOver = true;
  });
  await clock.advance(999);
  expect(isOver).toBe(false);
  await clock.advance(1);
  expect(isOver).toBe(true);
});

test('sleep ends when the signal aborts, and leaves no timer', async () => {
  const clock = new FakeClock();
  const end = new AbortController();
  let isOver = false;
  void sleep(clock, 1000, end.signal).then(() => {
    isOver = true;
  });
  await settle();
  end.abort();
  await settle();
  expect([isOver, clock.pending]).toEqual([true, 0]);
  await sleep(clock, 1000, end.signal);
  expect(clock.pending).toBe(0);
});
