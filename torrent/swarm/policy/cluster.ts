// Between own agents, who are all on one side: the whole swarm is to be done soon, nobody has to earn anything.
// Invariant: an own agent is choked only while the torrent is paused.
import { longestNotServed } from './classic.ts';
import type { Policy } from './policy.ts';

/** The uplink goes in turn to this many of those who wait, the ones with the fewest pieces. */
const NEEDIEST = 8;

/** The default between agents; peers that are no own agents meet the classic choker. */
export const clusterPolicy: Policy = {
  name: 'cluster',
  neighbours: { most: 40, dial: 15, low: 20 },
  pipelineMilliseconds: 250,
  keepAliveMilliseconds: 60_000,
  silenceMilliseconds: 120_000,
  owingMilliseconds: 10_000,
  randomFirstPieces: 0,
  longestRedialMilliseconds: 15_000,
  needMoreMilliseconds: 5000,
  directed: true,
  isAlwaysUnchoked: (neighbour) => neighbour.ownAgent,
  nextToServe(waiting) {
    if (waiting.length <= NEEDIEST) return longestNotServed(waiting);
    const byNeed = [...waiting].sort((a, b) => a.pieces.count - b.pieces.count);
    return longestNotServed(byNeed.slice(0, NEEDIEST));
  },
};
