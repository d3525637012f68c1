// What the connections of one host may show.
import { expect, test } from '@jest/globals';
import { ShownPieces } from '../../../../torrent/session/greeting/shown-pieces.ts';

const clockAt = () => {
  const clock = { time: 0, monotonic: () => clock.time };
  return clock;
};

/** How many connections with so many pieces are admitted, of `attempts`. */
function admitted(
  shown: ShownPieces,
  attempts: number,
  hostOf: (attempt: number) => string,
  isOwnKind: boolean,
  pieces = 1_000_000,
) {
  let count = 0;
  for (let i = 0; i < attempts; i++) if (shown.admit(hostOf(i), isOwnKind, pieces)) count++;
  return count;
}

test('10,000,000 pieces at once, and 100,000 in a second', () => {
  const clock = clockAt();
  const shown = new ShownPieces(clock);
  expect(admitted(shown, 20, () => '192.0.2.1', false)).toBe(10);
  clock.time += 9_999;
  expect(shown.admit('192.0.2.1', false, 1_000_000)).toBe(false);
  clock.time += 1;
  expect(admitted(shown, 20, () => '192.0.2.1', false)).toBe(1);
  clock.time += 1e9;
  expect(admitted(shown, 20, () => '192.0.2.1', false)).toBe(10);
});

test('an agent that comes back with 2,000 torrents of 4,096 pieces is not held up', () => {
  expect(admitted(new ShownPieces(clockAt()), 2_000, () => '192.0.2.1', true, 4_096)).toBe(2_000);
});

test('strangers of one /64 are one host; clients of our kind are one each, and sixteen in a global /64', () => {
  const globalHost = (i: number) => `2a01:4f8:1:2::${i.toString(16)}`;
  const localHost = (i: number) => `fd00:1:2:3::${i.toString(16)}`;
  expect(admitted(new ShownPieces(clockAt()), 300, globalHost, false)).toBe(10);
  expect(admitted(new ShownPieces(clockAt()), 300, globalHost, true)).toBe(160);
  expect(admitted(new ShownPieces(clockAt()), 300, localHost, true)).toBe(300);
  expect(admitted(new ShownPieces(clockAt()), 300, () => globalHost(1), true)).toBe(10);
  const shown = new ShownPieces(clockAt());
  admitted(shown, 300, globalHost, false);
  expect(shown.admit(globalHost(1), true, 1_000_000)).toBe(true);
});

test('4,096 hosts are remembered, those that came last', () => {
  const shown = new ShownPieces(clockAt());
  const host = (i: number) => `10.0.${i >> 8}.${i & 255}`;
  for (let i = 0; i < 4_096; i++) shown.admit(host(i), false, 10_000_000);
  expect(shown.admit(host(0), false, 1)).toBe(false);
  shown.admit(host(4_096), false, 10_000_000);
  expect(shown.admit(host(1), false, 1)).toBe(false);
  expect(shown.admit(host(0), false, 1)).toBe(true);
});
