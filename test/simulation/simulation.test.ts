// The product's swarm core on a virtual network: what the policies promise, in numbers that do not depend on the
// machine.
import { describe, expect, test } from '@jest/globals';
import type { SimulationOptions } from '../../simulation/simulation.ts';
import { simulateInThread as simulate } from './worker.ts';

/** 1 seed and 20 leechers, 64 MiB in pieces of 256 KiB, links of 100 Mbit/s. */
const TWENTY: SimulationOptions = {
  leechers: 20,
  policy: 'cluster',
  pieceCount: 256,
  pieceLength: 256 * 1024,
  linkBytesPerSecond: 12_500_000,
  seed: 1,
};

/** The same with little to do. */
const SMALL: SimulationOptions = { ...TWENTY, pieceCount: 64 };

const isComplete = (seconds: number) => seconds > 0;

describe('20 nodes, everybody connected with everybody', () => {
  test.each([1, 2])(
    'cluster: hardly longer than one copy takes, which leaves the seed once (seed %i)',
    async (seed) => {
      const result = await simulate({ ...TWENTY, seed });
      expect(result.completedSeconds).toHaveLength(20);
      expect(result.completedSeconds.every(isComplete)).toBe(true);
      expect(result.makespanRatio).toBeGreaterThanOrEqual(1);
      expect(result.makespanRatio).toBeLessThan(1.12);
      expect(result.seedCopies).toBeGreaterThanOrEqual(1);
      expect(result.seedCopies).toBeLessThan(1.12);
      expect(result.duplicateShare).toBeLessThan(0.01);
    },
  );

  test('classic: as good as its literature, and no better than the cluster policy', async () => {
    const result = await simulate({ ...TWENTY, policy: 'classic' });
    expect(result.completedSeconds.every(isComplete)).toBe(true);
    expect(result.makespanRatio).toBeLessThan(2.5);
    expect(result.seedCopies).toBeGreaterThan(1.3);
    expect(result.seedCopies).toBeLessThan(2);
    expect(result.duplicateShare).toBeLessThan(0.01);
  });

  test('over slow links, where a block takes long, hardly anything comes twice', async () => {
    const result = await simulate({ ...SMALL, linkBytesPerSecond: 250_000 });
    expect(result.completedSeconds.every(isComplete)).toBe(true);
    expect(result.makespanRatio).toBeLessThan(1.6);
    expect(result.duplicateShare).toBeLessThan(0.01);
  });
});

describe('what comes twice is less than 0.5 % of the content', () => {
  const SHORT: SimulationOptions = { ...TWENTY, pieceCount: 128 };
  test.each<[string, SimulationOptions]>([
    ['under the cluster policy', SHORT],
    ['under the classic policy', { ...SHORT, policy: 'classic' }],
    ['over slow links', { ...SMALL, linkBytesPerSecond: 250_000 }],
    ['with far and near neighbours', { ...SHORT, delayMilliseconds: 5, delaySpreadMilliseconds: 50 }],
  ])('%s', async (_, options) => {
    const result = await simulate(options);
    expect(result.completedSeconds.every(isComplete)).toBe(true);
    expect(result.endgameShare).toBeGreaterThan(0);
    expect(result.duplicateShare).toBeLessThan(0.005);
  });
});

test('the same options give the same result, another seed another one', async () => {
  const [first, second] = await Promise.all([simulate(SMALL), simulate(SMALL)]);
  expect(second).toEqual(first);
  const other = await simulate({ ...SMALL, seed: 2 });
  expect(other.completedSeconds).not.toEqual(first.completedSeconds);
});

describe.each(['cluster', 'classic'] as const)('%s', (policy) => {
  test('with five neighbours each nobody is left behind', async () => {
    const result = await simulate({ ...SMALL, policy, degree: 5 });
    expect(result.completedSeconds.every(isComplete)).toBe(true);
  });

  test('who joins late is served, and who vanishes takes nothing along', async () => {
    const result = await simulate({
      ...SMALL,
      policy,
      joinSeconds: new Map([[20, 3]]),
      leaveSeconds: new Map([
        [1, 0.3],
        [2, 0.6],
        [3, 0.9],
      ]),
    });
    expect(result.completedSeconds.slice(0, 3)).toEqual([-1, -1, -1]);
    expect(result.completedSeconds.slice(3).every(isComplete)).toBe(true);
    expect(result.completedSeconds[19]).toBeGreaterThan(3);
  });

  test('the seed may leave once every piece is out', async () => {
    const alone = await simulate({ ...SMALL, policy });
    const first = Math.min(...alone.completedSeconds);
    const result = await simulate({ ...SMALL, policy, leaveSeconds: new Map([[0, first]]) });
    expect(result.completedSeconds.every(isComplete)).toBe(true);
  });
});

/** 1 Gbit/s, 0.5 ms, 30 neighbours; a block is a quarter of a piece. */
const LARGE: SimulationOptions = {
  leechers: Number(process.env.ENXAME_SIMULATED_NODES ?? 60),
  policy: 'cluster',
  pieceCount: 1000,
  pieceLength: 512 * 1024,
  blockBytes: 128 * 1024,
  linkBytesPerSecond: 125_000_000,
  degree: 30,
  seed: 1,
};

test('8 nodes take hardly longer than one copy, which leaves the seed once', async () => {
  const result = await simulate({ ...TWENTY, leechers: 8 });
  expect(result.makespanRatio).toBeLessThan(1.05);
  expect(result.seedCopies).toBeLessThan(1.05);
});

test('many nodes with 30 neighbours each: 12 % above what nobody can beat (ENXAME_SIMULATED_NODES=1000 for more)', async () => {
  const result = await simulate(LARGE);
  expect(result.incomplete).toBe(0);
  expect(result.makespanRatio).toBeGreaterThanOrEqual(1);
  expect(result.makespanRatio).toBeLessThan(1.12);
  expect(result.seedCopies).toBeLessThan(1.12);
  expect(result.duplicateShare).toBeLessThan(0.005);
});

describe('what happens to swarms', () => {
  const PART: SimulationOptions = { ...LARGE, leechers: 40, pieceCount: 200 };

  test('a tenth vanishes, a fifth is late, the seed is lost as soon as every piece is out: the others complete', async () => {
    const result = await simulate({ ...PART, churnShare: 0.1, lateShare: 0.2, seedLeavesOnceOut: true });
    expect(result.left).toBe(4);
    expect(result.incomplete).toBe(0);
    expect(result.completedSeconds.filter(isComplete)).toHaveLength(36);
    // Once each, and what was asked for twice before the last one was out.
    expect(result.seedCopies).toBeLessThan(1.3);
  });

  test.each([
    ['20 ms between any two', { delayMilliseconds: 20 }],
    ['0.5 to 20 ms, by link', { delaySpreadMilliseconds: 20 }],
    ['uplinks of half the rate', { upBytesPerSecond: 62_500_000 }],
  ])('%s: everybody completes, twice the same', async (_, options) => {
    const [first, second] = await Promise.all([
      simulate({ ...PART, ...options }),
      simulate({ ...PART, ...options }),
    ]);
    expect(first.incomplete).toBe(0);
    expect(second).toEqual(first);
  });

  test('the timeline ends with everybody complete and every piece everywhere', async () => {
    const { timeline, makespanSeconds } = await simulate(PART);
    expect(timeline[0]).toMatchObject({ seconds: 0, complete: 0 });
    expect(timeline.at(-1)).toEqual({
      seconds: makespanSeconds,
      present: 40,
      complete: 40,
      rarest: 41,
      mean: 41,
      commonest: 41,
    });
    const complete = timeline.map((point) => point.complete);
    expect(complete).toEqual([...complete].sort((a, b) => a - b));
    for (const { rarest, mean, commonest } of timeline) {
      if (!(rarest <= mean && mean <= commonest)) throw new Error(`${rarest} ${mean} ${commonest}`);
    }
  });
});

test('what cannot complete ends all the same', async () => {
  const result = await simulate({ ...SMALL, leaveSeconds: new Map([[0, 0.2]]), limitSeconds: 30 });
  expect(result.makespanSeconds).toBe(Number.POSITIVE_INFINITY);
  expect(result.completedSeconds.every((seconds) => seconds === -1)).toBe(true);
});
