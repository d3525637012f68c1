import { expect, test } from '@jest/globals';
import { WaitingRoom } from '../../../tracker/announce/waiting-room.ts';

/** A room with timers that ring when the test says so. */
function roomWith(maxWaiting: number) {
  const timers = new Set<() => void>();
  const room = new WaitingRoom({
    maxWaiting,
    startTimer: (_, done) => {
      timers.add(done);
      return () => timers.delete(done);
    },
  });
  return { room, timers };
}

test('all who wait for a key go when it is called, others stay', async () => {
  const { room, timers } = roomWith(10);
  const first = room.wait('a', 100);
  const second = room.wait('a', 100);
  const other = room.wait('b', 100);
  room.call('a');
  expect(await Promise.all([first, second])).toEqual([true, true]);
  expect(room.count).toBe(1);
  expect(timers.size).toBe(1);
  for (const ring of [...timers]) ring();
  expect(await other).toBe(false);
  expect(room.count).toBe(0);
});

test('a full room, and a wait of no time, send away at once', async () => {
  const { room } = roomWith(1);
  expect(await room.wait('a', 0)).toBe(false);
  const inside = room.wait('a', 100);
  expect(await room.wait('a', 100)).toBe(false);
  room.call('a');
  expect(await inside).toBe(true);
  const again = room.wait('a', 100);
  room.call('a');
  expect(await again).toBe(true);
});

test('closing sends everybody away, now and later', async () => {
  const { room, timers } = roomWith(10);
  const waiting = [room.wait('a', 100), room.wait('b', 100)];
  room.close();
  expect(await Promise.all(waiting)).toEqual([false, false]);
  expect(await room.wait('a', 100)).toBe(false);
  expect(timers.size).toBe(0);
});
