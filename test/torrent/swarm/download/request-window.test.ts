// The window of requests of one peer, on paths that are played here: a round trip, a rate, and a time to answer.
import { describe, expect, test } from '@jest/globals';
import { RequestWindow } from '../../../../torrent/swarm/download/request-window.ts';

const BLOCK = 16 * 1024;

/** A path to one peer: requests wait there, blocks leave one after the other, and arrive half a round trip later. */
class Path {
  readonly window = new RequestWindow();
  readonly #roundTrip: number;
  readonly #perBlock: number;
  /** It looks at what it was asked for at multiples of this time only; 0 = at once. */
  readonly #beat: number;
  readonly #isOneOfFew: boolean;
  readonly #arrivals: { at: number; askedAt: number; bytesThen: number }[] = [];
  #now = 0;
  #freeAt = 0;
  #bytes = 0;

  constructor({
    roundTrip = 0,
    rate = 1000,
    beat = 0,
    isOneOfFew = true,
  }: { roundTrip?: number; rate?: number; beat?: number; isOneOfFew?: boolean }) {
    this.#isOneOfFew = isOneOfFew;
    this.#roundTrip = roundTrip;
    this.#perBlock = BLOCK / rate;
    this.#beat = beat;
    this.window.begin(4);
  }

  /** Asks and receives for so long; returns the bytes per millisecond that came in that time. */
  run(milliseconds: number, floor = 0): number {
    const end = this.#now + milliseconds;
    const before = this.#bytes;
    for (;;) {
      while (this.#arrivals.length < this.window.blocks) this.#ask();
      const next = this.#arrivals[0]!;
      if (next.at > end) break;
      this.#arrivals.shift();
      this.#now = next.at;
      this.#bytes += BLOCK;
      const { askedAt, bytesThen } = next;
      this.window.answered(
        this.#now - askedAt,
        this.#bytes - bytesThen,
        this.#now,
        floor,
        BLOCK,
        this.#isOneOfFew,
      );
    }
    this.#now = end;
    return (this.#bytes - before) / milliseconds;
  }

  #ask(): void {
    let answeredAt = this.#now + this.#roundTrip / 2;
    if (this.#beat > 0) answeredAt = Math.ceil(answeredAt / this.#beat) * this.#beat;
    this.#freeAt = Math.max(this.#freeAt, answeredAt) + this.#perBlock;
    this.#arrivals.push({
      at: this.#freeAt + this.#roundTrip / 2,
      askedAt: this.#now,
      bytesThen: this.#bytes,
    });
  }
}

describe('the window fills the path', () => {
  test.each([
    { roundTrip: 0.2, rate: 12_500 },
    { roundTrip: 10, rate: 12_500 },
    { roundTrip: 80, rate: 12_500 },
    { roundTrip: 200, rate: 12_500 },
    { roundTrip: 200, rate: 125_000 },
    { roundTrip: 20, rate: 1_250_000 },
  ])('%o', ({ roundTrip, rate }) => {
    const path = new Path({ roundTrip, rate });
    const blocksInPath = (rate * roundTrip) / BLOCK;
    // From four blocks on it doubles in a round trip, and two more are for what is measured on the way.
    path.run(roundTrip * (3 + Math.ceil(Math.log2(Math.max(1, blocksInPath / 4)))));
    expect(path.run(20 * roundTrip) / rate).toBeGreaterThan(0.95);
    // And no more than it needs: what waits at the peer is for nothing.
    expect(path.window.blocks).toBeLessThanOrEqual(Math.ceil(3 * blocksInPath) + 4);
  });

  test('of a peer that answers every 500 ms only', () => {
    const path = new Path({ roundTrip: 1, rate: 12_500, beat: 500 });
    path.run(8000);
    expect(path.run(10_000) / 12_500).toBeGreaterThan(0.8);
  });
});

describe('from four blocks on, over 80 ms', () => {
  /** The window after each round trip. */
  function growth(rate: number, roundTrips: number, isOneOfFew = true): number[] {
    const path = new Path({ roundTrip: 80, rate, isOneOfFew });
    return Array.from({ length: roundTrips }, () => {
      path.run(80.1 + (4 * BLOCK) / rate);
      return path.window.blocks;
    });
  }

  test('it becomes four times as large in a round trip while answers come at once', () => {
    expect(growth(1e9, 4)).toEqual([16, 64, 256, 1024]);
  });

  test('of one of many it does not: they are many windows', () => {
    expect(growth(1e9, 4, false)).toEqual([6, 12, 24, 48]);
  });

  test('it grows no further than twice what the path holds: near that, answers come one after the other', () => {
    expect(Math.max(...growth(BLOCK, 6))).toBeLessThanOrEqual(2 * 80);
  });
});

test('a queue of its own is no reason to grow: the least time is measured anew without it', () => {
  const path = new Path({ roundTrip: 50, rate: 12_500 });
  path.run(5000);
  const settled = path.window.blocks;
  const rate = path.run(120_000);
  expect(rate / 12_500).toBeGreaterThan(0.97);
  expect(path.window.blocks).toBeLessThanOrEqual(2 * settled);
});

test('it is never below the floor, and not above where the path holds less', () => {
  const path = new Path({ roundTrip: 0.2, rate: 1000 });
  path.run(5000, 40);
  expect(path.window.blocks).toBe(40);
});

test('it collapses to one block, and grows again', () => {
  const path = new Path({ roundTrip: 50, rate: 12_500 });
  path.run(5000);
  const before = path.window.blocks;
  path.window.collapse();
  expect(path.window.blocks).toBe(1);
  path.run(5000);
  expect(path.window.blocks).toBeGreaterThan(before / 2);
});

test('nothing is known before the first block', () => {
  const window = new RequestWindow();
  window.begin(0.25);
  expect([window.blocks, window.path(BLOCK)]).toEqual([1, 0]);
});

describe('what is measured', () => {
  test('the rate is of the last two spans of 20 ms: what a path held before is forgotten', () => {
    const window = new RequestWindow();
    let now = 0;
    for (; now < 100; now++) window.answered(1, 10 * BLOCK, now, 0, BLOCK, true);
    expect(window.path(BLOCK)).toBeCloseTo(10);
    for (const end = now + 45; now < end; now++) window.answered(1, BLOCK, now, 0, BLOCK, true);
    expect(window.path(BLOCK)).toBeCloseTo(1);
  });

  test('the least time to answer counts for 10 s', () => {
    const window = new RequestWindow();
    window.answered(10, BLOCK, 0, 0, BLOCK, true);
    for (let now = 100; now <= 9_900; now += 100) window.answered(100, BLOCK, now, 0, BLOCK, true);
    expect(window.leastResponse).toBe(10);
    for (let now = 10_000; now <= 10_500; now += 100) window.answered(100, BLOCK, now, 0, BLOCK, true);
    expect(window.leastResponse).toBe(100);
  });

  test('an answer that took no time is one all the same', () => {
    const window = new RequestWindow();
    for (let i = 0; i < 10; i++) window.answered(0, 4 * BLOCK, 0, 0, BLOCK, true);
    expect(window.path(BLOCK)).toBeCloseTo(4);
  });
});
