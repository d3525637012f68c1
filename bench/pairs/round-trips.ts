/** Row 13 with real processes: through round trips of 80 ms, and from a peer that answers every 500 ms only. */
import type { Bench } from '../bench.ts';
import { ENXAME } from '../clients/enxame.ts';
import { LIBTORRENT } from '../clients/libtorrent.ts';
import { TRANSMISSION } from '../clients/transmission.ts';
import { contestPairs, type PairMeasure } from './pair-contest.ts';

const MIB = 2 ** 20;
const DELAY_MILLISECONDS = 40;
const LEAST_OF_ARIA2 = 0.9;

const SEEDS = [
  { seed: ENXAME, delayMilliseconds: DELAY_MILLISECONDS, where: `through ${2 * DELAY_MILLISECONDS} ms` },
  { seed: LIBTORRENT, delayMilliseconds: DELAY_MILLISECONDS, where: `through ${2 * DELAY_MILLISECONDS} ms` },
  { seed: TRANSMISSION, delayMilliseconds: 0, where: 'which answers every 500 ms' },
];

export const ROUND_TRIPS: Bench = {
  name: 'round-trips',
  about:
    'row 13: one leecher through round trips of 80 ms, and from a peer that answers every 500 ms (24 MiB)',
  run(options) {
    const size = options.size ?? 24 * MIB;
    const works = SEEDS.map(({ seed, delayMilliseconds, where }) => ({
      work: `${size / MIB} MiB from ${seed.name} ${where}`,
      partner: seed,
      partnerRole: 'seed' as const,
      delayMilliseconds,
    }));
    const measure: PairMeasure = {
      number: '13',
      unit: 'MB/s',
      value: ({ seconds }) => size / 1e6 / seconds,
      target: `≥ ${LEAST_OF_ARIA2} × aria2`,
      isReached: (ours, aria2) => ours >= LEAST_OF_ARIA2 * aria2,
    };
    return contestPairs(size, works, measure, options);
  },
};
