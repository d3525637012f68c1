// Between own agents, who are all on one side: the whole swarm is to be done soon, nobody has to earn anything.
// Invariant: an own agent is choked only while the torrent is paused.
import type { Neighbour } from '../neighbour.ts';
import type { Policy } from './policy.ts';

/** Neighbours that differ by less than this share of the pieces are served in turn. */
const NEED_STEPS = 16;

function stepOf({ pieces }: Neighbour): number {
  return Math.trunc((pieces.count * NEED_STEPS) / pieces.length);
}

/** The default between agents; peers that are no own agents meet the classic choker. */
export const clusterPolicy: Policy = {
  name: 'cluster',
  neighbours: { most: 40, dial: 15, low: 20 },
  pipelineMilliseconds: 50,
  mostShare: 1 / 128,
  keepAliveMilliseconds: 60_000,
  silenceMilliseconds: 120_000,
  owingMilliseconds: 10_000,
  randomFirstPieces: 0,
  longestRedialMilliseconds: 15_000,
  needMoreMilliseconds: 5000,
  directed: true,
  isAlwaysUnchoked: (neighbour) => neighbour.ownAgent,
  servesBefore(one, other, inOneGo) {
    if (inOneGo) {
      // A piece that leaves in one go is passed on while the next one leaves.
      const goesOn = one.requests.firstPiece === one.servedPiece;
      if (goesOn !== (other.requests.firstPiece === other.servedPiece)) return goesOn;
    }
    const need = stepOf(one) - stepOf(other);
    return need === 0 ? one.servedAt < other.servedAt : need < 0;
  },
};
