// Between own agents, who are all on one side: the whole swarm is to be done soon, nobody has to earn anything.
// Invariant: an own agent is choked only while the torrent is paused.
import type { Policy } from './policy.ts';

/** The default between own agents. */
export const clusterPolicy: Policy = {
  name: 'cluster',
  peers: { most: 40, dial: 15, low: 20 },
  pipelineMilliseconds: 50,
  mostShare: 1 / 128,
  keepAliveMilliseconds: 60_000,
  silenceMilliseconds: 120_000,
  owingMilliseconds: 10_000,
  randomFirstPieces: 0,
  longestRedialMilliseconds: 15_000,
  needMoreMilliseconds: 5000,
  directed: true,
  unchokesAlways: true,
  servesBefore(one, other, inOneGo) {
    if (inOneGo) {
      // A piece that leaves in one go is passed on while the next one leaves.
      const goesOn = one.upload.requests.firstPiece === one.upload.servedPiece;
      if (goesOn !== (other.upload.requests.firstPiece === other.upload.servedPiece)) return goesOn;
    }
    // Who differ by less than that have the same need.
    const need = one.progress - other.progress;
    return need === 0 ? one.upload.servedAt < other.upload.servedAt : need < 0;
  },
};
