import { describe, expect, test } from '@jest/globals';
import { StatusThrottle } from '../../../operator/status/throttle.ts';

/** Lets each of these ask when it is told to; gives the times at which they wrote, and how often they asked. */
function play(
  throttle: StatusThrottle,
  askers: readonly { uid: string; isTransition: boolean; writes: number }[],
  untilMilliseconds: number,
): { written: { uid: string; at: number }[]; asked: number } {
  const due = new Map(askers.map(({ uid }) => [uid, 0]));
  const left = new Map(askers.map(({ uid, writes }) => [uid, writes]));
  const written: { uid: string; at: number }[] = [];
  let asked = 0;
  for (let now = 0; now < untilMilliseconds; now += 1)
    for (const { uid, isTransition } of askers) {
      if (due.get(uid)! > now || left.get(uid) === 0) continue;
      asked += 1;
      const wait = throttle.ask(uid, isTransition, now);
      due.set(uid, now + Math.max(wait, 1));
      if (wait > 0) continue;
      written.push({ uid, at: now });
      left.set(uid, left.get(uid)! - 1);
    }
  return { written, asked };
}

/** The most writes within any second. */
function mostInASecond(written: readonly { at: number }[]): number {
  return Math.max(
    ...written.map(({ at }) => written.filter((other) => other.at >= at && other.at < at + 1000).length),
  );
}

test('progress of one distribution is written every 2 s, transitions at once', () => {
  const throttle = new StatusThrottle();
  expect(throttle.ask('a', false, 0)).toBe(0);
  expect(throttle.ask('a', false, 500)).toBe(1500);
  expect(throttle.ask('a', true, 600)).toBe(0);
  expect(throttle.ask('a', false, 2000)).toBe(600);
  expect(throttle.ask('a', false, 2600)).toBe(0);
  expect(throttle.ask('b', false, 2600)).toBe(0);
});

describe('500 distributions at once', () => {
  const many = (isTransition: boolean, writes: number, prefix = 'uid') =>
    Array.from({ length: 500 }, (_, place) => ({ uid: `${prefix}-${place}`, isTransition, writes }));

  test('write 20 times a second, each in its turn, and ask no more often than that takes', () => {
    const { written, asked } = play(new StatusThrottle(), many(true, 1), 30_000);
    expect(new Set(written.map(({ uid }) => uid)).size).toBe(500);
    expect(written.at(-1)?.at).toBeLessThanOrEqual(25_000);
    // A second's places may be taken at once, after a time without any.
    expect(mostInASecond(written)).toBeLessThanOrEqual(40);
    expect(mostInASecond(written.filter(({ at }) => at > 0))).toBeLessThanOrEqual(20);
    expect(asked).toBeLessThanOrEqual(1000);
  });

  test('that only tell progress leave half of the places to transitions', () => {
    const throttle = new StatusThrottle();
    const transition = { uid: 'urgent', isTransition: true, writes: 200 };
    const { written } = play(throttle, [...many(false, 100), transition], 20_000);
    const progress = written.filter(({ uid }) => uid !== 'urgent');
    expect(progress.length).toBeLessThanOrEqual(10 + 20 * 10);
    expect(written.length - progress.length).toBe(200);
    expect(mostInASecond(written.filter(({ at }) => at > 1000))).toBeLessThanOrEqual(20);
    const turns = new Map<string, number>();
    for (const { uid } of progress) turns.set(uid, (turns.get(uid) ?? 0) + 1);
    expect(Math.max(...turns.values())).toBe(1);
  });
});

test('a transition overtakes the progress that its distribution waits to tell', () => {
  const throttle = new StatusThrottle();
  expect(throttle.ask('a', false, 0)).toBe(0);
  expect(throttle.ask('a', false, 100)).toBe(1900);
  expect(throttle.ask('a', true, 200)).toBe(0);
});

test('one that is forgotten holds no place', () => {
  const throttle = new StatusThrottle();
  expect(throttle.ask('a', false, 0)).toBe(0);
  expect(throttle.ask('a', false, 1)).toBe(1999);
  throttle.forget('a');
  expect(throttle.ask('a', false, 2)).toBe(0);
});

test('a clock that is set back stops nothing', () => {
  const throttle = new StatusThrottle();
  for (let place = 0; place < 100; place += 1) throttle.ask(`uid-${place}`, true, 3_600_000);
  expect(throttle.ask('a', true, 0)).toBe(0);
});
