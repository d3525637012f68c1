/** Row 13 with real processes: through round trips of 80 ms, and from a peer that answers every 500 ms only. */
import type { Bench, Row } from '../bench.ts';
import { ARIA2 } from '../clients/aria2.ts';
import { ENXAME } from '../clients/enxame.ts';
import { LIBTORRENT } from '../clients/libtorrent.ts';
import { TRANSMISSION } from '../clients/transmission.ts';
import { contest, peersOf } from '../contest.ts';
import { median } from '../statistics.ts';
import { waitsOf } from './clients.ts';
import { type PairRun, runPair, setPairStage } from './pair-run.ts';

const MIB = 2 ** 20;
const DELAY_MILLISECONDS = 40;
const LEAST_OF_ARIA2 = 0.9;

const WORKS = [
  { seed: ENXAME, delayMilliseconds: DELAY_MILLISECONDS, where: `through ${2 * DELAY_MILLISECONDS} ms` },
  { seed: LIBTORRENT, delayMilliseconds: DELAY_MILLISECONDS, where: `through ${2 * DELAY_MILLISECONDS} ms` },
  { seed: TRANSMISSION, delayMilliseconds: 0, where: 'which answers every 500 ms' },
];

export const ROUND_TRIPS: Bench = {
  name: 'round-trips',
  about:
    'row 13: one leecher through round trips of 80 ms, and from a peer that answers every 500 ms (24 MiB)',
  async run(options) {
    const size = options.size ?? 24 * MIB;
    const stage = await setPairStage(size);
    const rows: Row[] = [];
    const works = new Map<string, Record<string, PairRun[]>>();
    const rate = (run: PairRun) => size / 1e6 / run.seconds;
    const show = (run: PairRun) =>
      `${rate(run).toFixed(2)} MB/s after ${run.waitSeconds.toFixed(2)} s of waiting for the first unchoke`;
    try {
      for (const { seed, delayMilliseconds, where } of WORKS) {
        const work = `${size / MIB} MiB from ${seed.name} ${where}`;
        const one = (contender: typeof seed) => () =>
          runPair(stage, { contender, partner: seed, partnerRole: 'seed', delayMilliseconds });
        const contenders = { [ENXAME.name]: one(ENXAME), [ARIA2.name]: one(ARIA2) };
        const results = await contest(work, contenders, options, show);
        works.set(work, results);
        const ours = (results[ENXAME.name] ?? []).map(rate);
        const peers = peersOf(results, ENXAME.name, rate);
        rows.push({
          number: '13',
          work: `${work}: MB/s from the first unchoke`,
          ours,
          peers,
          digits: 2,
          target: `≥ ${LEAST_OF_ARIA2} × aria2`,
          isReached: median(ours) >= LEAST_OF_ARIA2 * median(peers[ARIA2.name] ?? []),
        });
      }
    } finally {
      await stage.close();
    }
    const text = waitsOf(works);
    options.log(text);
    return { rows, text };
  },
};
