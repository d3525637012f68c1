// Long paths on the virtual network: what it takes from one seed to one leecher and to eight, beside what nobody can
// beat where windows double in a round trip.
import { describe, expect, test } from '@jest/globals';
import type { SimulationOptions } from '../../simulation/simulation.ts';
import { simulateInThread as simulate } from './worker.ts';

const MIB = 1024 * 1024;
const FIRST_WINDOW_BYTES = 64 * 1024;

/** Above it, what is on its way is more than a peer lets wait. */
const MAX_PATH_BYTES = 32 * MIB;

interface Case {
  readonly mebibytes: number;
  readonly megabits: number;
  readonly roundTripMilliseconds: number;
}

const bytesPerSecondOf = ({ megabits }: Case) => (megabits * 1e6) / 8;
const pathBytesOf = (one: Case) => (bytesPerSecondOf(one) * one.roundTripMilliseconds) / 1000;

function optionsOf(one: Case, leechers: number): SimulationOptions {
  const totalBytes = one.mebibytes * MIB;
  // As long as the engine makes them by itself.
  let pieceLength = 64 * 1024;
  while (totalBytes / pieceLength > 4096) pieceLength *= 2;
  return {
    leechers,
    policy: 'cluster',
    pieceCount: totalBytes / pieceLength,
    pieceLength,
    linkBytesPerSecond: bytesPerSecondOf(one),
    delayMilliseconds: one.roundTripMilliseconds / 2,
    seed: 1,
  };
}

/** Seconds: the content at the link's rate, round trips until the first block, and a window that doubles from 64 KiB. */
function boundSeconds(one: Case, leechers: number): number {
  const roundTrip = one.roundTripMilliseconds / 1000;
  const bytesPerSecond = bytesPerSecondOf(one);
  const totalBytes = one.mebibytes * MIB;
  const doublings = Math.log2(Math.max(1, Math.min(pathBytesOf(one), totalBytes) / FIRST_WINDOW_BYTES));
  const toOne = totalBytes / bytesPerSecond + 3.5 * roundTrip + roundTrip * doublings;
  if (leechers === 1) return toOne;
  return toOne + 2 * roundTrip + optionsOf(one, leechers).pieceLength / bytesPerSecond;
}

const CASES: Case[] = [100, 1000, 10_000]
  .flatMap((megabits) =>
    [0.2, 10, 40, 80, 200].map((roundTripMilliseconds) => ({
      mebibytes: 64,
      megabits,
      roundTripMilliseconds,
    })),
  )
  .filter((one) => pathBytesOf(one) <= MAX_PATH_BYTES);

/** One that is large; more of them would take too long. */
const LARGE: Case = { mebibytes: 1024, megabits: 1000, roundTripMilliseconds: 200 };

const nameOf = (one: Case) =>
  `${one.mebibytes} MiB at ${one.megabits} Mbit/s over ${one.roundTripMilliseconds} ms`;

describe.each([
  { leechers: 1, limit: 1.1 },
  { leechers: 8, limit: 1.15 },
])('from one seed to $leechers', ({ leechers, limit }) => {
  test.each([...CASES, LARGE].map((one) => [nameOf(one), one] as const))('%s', async (_, one) => {
    const { makespanSeconds } = await simulate(optionsOf(one, leechers));
    expect(makespanSeconds / boundSeconds(one, leechers)).toBeLessThanOrEqual(limit);
  });
});

test.each([
  { mebibytes: 1, roundTrips: 4.5 },
  { mebibytes: 4, roundTrips: 5.5 },
  { mebibytes: 24, roundTrips: 8.5 },
])(
  '$mebibytes MiB come within $roundTrips round trips of 80 ms, and two to dial: windows grow fourfold',
  async ({ mebibytes, roundTrips }) => {
    const one = { mebibytes, megabits: 1000, roundTripMilliseconds: 80 };
    for (const pieceLength of [64 * 1024, 256 * 1024]) {
      const pieceCount = (mebibytes * MIB) / pieceLength;
      const { makespanSeconds } = await simulate({ ...optionsOf(one, 1), pieceLength, pieceCount });
      expect(makespanSeconds / 0.08).toBeLessThanOrEqual(2 + roundTrips);
    }
  },
);
