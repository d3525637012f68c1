// How many suggestions are on their way to one neighbour.
import { expect, test } from '@jest/globals';
import { SuggestedPieces } from '../../../../torrent/swarm/upload/suggested-pieces.ts';

/** Pieces of 1 MiB at 100 Mbit/s, in a millisecond. */
const RATE = 12_500 / (1024 * 1024);

/** Suggests as many as there is room for; returns how many. */
function fill(suggested: SuggestedPieces, from: number, now: number): number {
  let count = 0;
  for (; suggested.hasRoom; count++) suggested.suggest(from + count, now);
  return count;
}

test('one at first; more as long as the uplink was idle while they were on their way, and the path holds more', () => {
  const suggested = new SuggestedPieces();
  let [piece, now, most] = [0, 0, 0];
  for (let round = 0; round < 12; round++) {
    const count = fill(suggested, piece, now);
    most = Math.max(most, count);
    now += 200;
    for (let i = 0; i < count; i++) suggested.taken(piece + i, now, RATE, now, false);
    piece += count;
  }
  // 200 ms at this rate are 2.4 pieces, of which eight times may be on the way.
  expect(most).toBe(20);
});

test('to one that is alone three more for each piece it takes, before its rate is known too; four times what others get', () => {
  const suggested = new SuggestedPieces();
  const counts: number[] = [];
  let [piece, now, rate] = [0, 0, 0];
  for (let round = 0; round < 6; round++) {
    const count = fill(suggested, piece, now);
    counts.push(count);
    now += 200;
    for (let i = 0; i < count; i++) suggested.taken(piece + i, now, rate, now, true);
    rate = RATE;
    piece += count;
  }
  // 2.4 pieces are on the path.
  expect(counts).toEqual([1, 4, 16, 64, 80, 80]);
});

test('no more than one where the uplink was busy, or the path is short', () => {
  for (const { idleAt, took } of [
    { idleAt: -1, took: 200 },
    { idleAt: Number.POSITIVE_INFINITY, took: 0.5 },
  ]) {
    const suggested = new SuggestedPieces();
    for (let piece = 0, now = 0; piece < 10; piece++, now += took) {
      expect(fill(suggested, piece, now)).toBe(1);
      expect(suggested.taken(piece, Math.min(idleAt, now + took), RATE, now + took, false)).toBe(true);
    }
  }
});

test('before the first is acted on, the neighbour has three seconds; afterwards four times what it took', () => {
  const suggested = new SuggestedPieces();
  suggested.suggest(1, 0);
  expect(suggested.overdue(500, 2999)).toBe(-1);
  expect(suggested.overdue(500, 3000)).toBe(1);
  suggested.taken(1, -1, RATE, 300, false);
  suggested.suggest(2, 1000);
  expect(suggested.overdue(500, 2199)).toBe(-1);
  expect(suggested.overdue(500, 2200)).toBe(2);
});

test('one that is overlooked is not assigned any more, and nothing is suggested for a while', () => {
  const suggested = new SuggestedPieces();
  suggested.suggest(1, 0);
  expect(suggested.isAssigned(1)).toBe(true);
  suggested.overlooked(1, 5000);
  expect(suggested.isAssigned(1)).toBe(false);
  expect([suggested.hasRoom, suggested.restsUntil]).toEqual([true, 5000]);
  expect(suggested.taken(1, 0, RATE, 10, false)).toBe(false);
});

test('however much the path holds, 1024 are on their way at most', () => {
  const suggested = new SuggestedPieces();
  let [piece, now, most] = [0, 0, 0];
  for (let round = 0; round < 12; round++) {
    const count = fill(suggested, piece, now);
    most = Math.max(most, count);
    now += 200;
    for (let i = 0; i < count; i++) suggested.taken(piece + i, now, 1000 * RATE, now, false);
    piece += count;
  }
  expect(most).toBe(1024);
});
