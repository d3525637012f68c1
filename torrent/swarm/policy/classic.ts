// BitTorrent as its literature gives it: tit for tat. Invariant: nobody is unchoked outside the choker's slots.
import type { Neighbour } from '../neighbour.ts';
import { RANDOM_FIRST_PIECES } from '../tunables.ts';
import type { Policy } from './policy.ts';

/** What foreign peers always meet. */
export const classicPolicy: Policy = {
  name: 'classic',
  neighbours: { most: 80, dial: 40, low: 20 },
  pipelineMilliseconds: 3000,
  keepAliveMilliseconds: 120_000,
  silenceMilliseconds: 180_000,
  owingMilliseconds: 60_000,
  randomFirstPieces: RANDOM_FIRST_PIECES,
  longestRedialMilliseconds: 60_000,
  needMoreMilliseconds: 30_000,
  directed: false,
  isAlwaysUnchoked: () => false,
  nextToServe: longestNotServed,
};

/** Turns: the one that was served longest ago. */
export function longestNotServed(waiting: readonly Neighbour[]): Neighbour {
  let chosen = waiting[0] as Neighbour;
  for (const neighbour of waiting) if (neighbour.servedAt < chosen.servedAt) chosen = neighbour;
  return chosen;
}
