// What the tracker's choice by zones does to a swarm: the answers are those of the registry that serves announces.
import { describe, expect, test } from '@jest/globals';
import { introducedPairs } from '../../cli/simulation/simulated-tracker.ts';
import type { SimulationOptions } from '../../simulation/simulation.ts';
import { simulateInThread as simulate } from './worker.ts';

const NODES = 61;
const ZONES = 3;

/** 60 nodes and a seed in three zones, 1 Gbit/s, 30 neighbours. */
const SWARM: SimulationOptions = {
  leechers: NODES - 1,
  policy: 'cluster',
  pieceCount: 60,
  pieceLength: 512 * 1024,
  blockBytes: 128 * 1024,
  linkBytesPerSecond: 125_000_000,
  zones: ZONES,
  seed: 1,
};

/** The swarm as a tracker makes it that tells of so many of the own zone. */
function run(zoneShare: number | undefined, more: Partial<SimulationOptions> = {}) {
  const seed = more.seed ?? SWARM.seed;
  const pairs = introducedPairs({ nodes: NODES, neighbours: 30, zones: ZONES, zoneShare, seed });
  return simulate({ ...SWARM, ...more, pairs });
}

describe.each([1, 2])('seed %i', (seed) => {
  test('with zones far fewer bytes go between them, and it takes no longer', async () => {
    const [without, with_] = await Promise.all([run(undefined, { seed }), run(2 / 3, { seed })]);
    const part = ({ crossZoneBytes, sentBytes }: typeof without) => crossZoneBytes / sentBytes;
    expect([without.incomplete, with_.incomplete]).toEqual([0, 0]);
    expect(part(without)).toBeGreaterThan(0.6);
    expect(with_.crossZoneBytes).toBeLessThan(0.75 * without.crossZoneBytes);
    expect(with_.makespanSeconds).toBeLessThan(1.05 * without.makespanSeconds);
  });
});

test('where the lines between zones are narrow, it takes clearly less time', async () => {
  // Each zone can send a tenth of what its nodes can; by chance one swarm fares better than another.
  const seconds = { without: 0, with: 0 };
  for (const seed of [1, 2, 3]) {
    const narrow = { seed, zoneBytesPerSecond: 250_000_000 };
    const [without, with_] = await Promise.all([run(undefined, narrow), run(2 / 3, narrow)]);
    expect([without.incomplete, with_.incomplete]).toEqual([0, 0]);
    expect(with_.makespanSeconds).toBeLessThan(0.95 * without.makespanSeconds);
    seconds.without += without.makespanSeconds;
    seconds.with += with_.makespanSeconds;
  }
  expect(seconds.with).toBeLessThan(0.87 * seconds.without);
});

test('all bytes that leave a zone pass its line, one after another', async () => {
  const zoneBytesPerSecond = 100_000_000;
  const { crossZoneBytes, makespanSeconds } = await run(undefined, { zoneBytesPerSecond });
  expect(crossZoneBytes).toBeGreaterThan(0);
  // What is still on its way when the last node completes is counted too: pieces that came twice.
  expect(crossZoneBytes / (ZONES * zoneBytesPerSecond)).toBeLessThan(1.05 * makespanSeconds);
});

test('in one zone nothing goes between zones', async () => {
  const { crossZoneBytes, sentBytes } = await run(2 / 3, { zones: 1 });
  expect(crossZoneBytes).toBe(0);
  expect(sentBytes).toBeGreaterThanOrEqual((NODES - 1) * SWARM.pieceCount * SWARM.pieceLength);
});
