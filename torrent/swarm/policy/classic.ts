// BitTorrent as its literature gives it: tit for tat. Invariant: nobody is unchoked outside the choker's slots.
import { RANDOM_FIRST_PIECES } from '../tunables.ts';
import type { Policy } from './policy.ts';

/** What foreign peers always meet. */
export const classicPolicy: Policy = {
  name: 'classic',
  peers: { most: 80, dial: 40, low: 20 },
  pipelineMilliseconds: 3000,
  mostShare: 1,
  keepAliveMilliseconds: 120_000,
  silenceMilliseconds: 180_000,
  owingMilliseconds: 60_000,
  randomFirstPieces: RANDOM_FIRST_PIECES,
  longestRedialMilliseconds: 60_000,
  needMoreMilliseconds: 30_000,
  directed: false,
  unchokesAlways: false,
  servesBefore: (one, other) => one.upload.servedAt < other.upload.servedAt,
};
