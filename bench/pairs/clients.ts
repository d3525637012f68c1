/** Our client and aria2 with the same partners, in both roles: whoever meets others' clients should not be slow. */
import type { Bench, Row } from '../bench.ts';
import { ARIA2 } from '../clients/aria2.ts';
import { ENXAME } from '../clients/enxame.ts';
import { LIBTORRENT } from '../clients/libtorrent.ts';
import { TRANSMISSION } from '../clients/transmission.ts';
import { contest, peersOf } from '../contest.ts';
import { median, spread } from '../statistics.ts';
import { type PairRun, runPair, setPairStage } from './pair-run.ts';

const MIB = 2 ** 20;
const MOST_TIMES_ARIA2 = 2;

const show = ({ seconds, waitSeconds }: PairRun) =>
  `${seconds.toFixed(2)} s after ${waitSeconds.toFixed(2)} s of waiting for the first unchoke`;

/** Waits for the first unchoke as lines of text, one a work. */
export function waitsOf(works: ReadonlyMap<string, Readonly<Record<string, readonly PairRun[]>>>): string {
  const seconds = (runs: readonly PairRun[]) =>
    spread(
      runs.map(({ waitSeconds }) => waitSeconds),
      (value) => `${value.toFixed(2)} s`,
    );
  const lines = [...works].map(([work, results]) =>
    [work, ...Object.entries(results).map(([name, runs]) => `${name} ${seconds(runs)}`)].join('; '),
  );
  return ['Before that, until the first unchoke:', ...lines].join('\n');
}

export const CLIENTS: Bench = {
  name: 'clients',
  about: "time with each other client as seed and as leecher, beside aria2's with the same one (24 MiB)",
  async run(options) {
    const size = options.size ?? 24 * MIB;
    const stage = await setPairStage(size);
    const rows: Row[] = [];
    const works = new Map<string, Record<string, PairRun[]>>();
    try {
      for (const partner of [LIBTORRENT, ARIA2, TRANSMISSION])
        for (const partnerRole of ['seed', 'leech'] as const) {
          const work = `${size / MIB} MiB ${partnerRole === 'seed' ? 'from' : 'to'} ${partner.name}`;
          const one = (contender: typeof partner) => () =>
            runPair(stage, { contender, partner, partnerRole });
          const contenders = { [ENXAME.name]: one(ENXAME), [ARIA2.name]: one(ARIA2) };
          const results = await contest(work, contenders, options, show);
          works.set(work, results);
          const value = (run: PairRun) => run.seconds;
          const ours = (results[ENXAME.name] ?? []).map(value);
          const peers = peersOf(results, ENXAME.name, value);
          rows.push({
            number: '–',
            work: `${work}: s from the first unchoke`,
            ours,
            peers,
            digits: 2,
            target: `≤ ${MOST_TIMES_ARIA2} × aria2`,
            isReached: median(ours) <= MOST_TIMES_ARIA2 * median(peers[ARIA2.name] ?? []),
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
