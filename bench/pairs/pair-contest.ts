/**
 * Our client and aria2 in turn with the same partners. Invariant: what is compared begins with the first unchoke; the
 * wait before it is told apart.
 */
import type { BenchOptions, BenchResult, Row } from '../bench.ts';
import { ARIA2 } from '../clients/aria2.ts';
import type { Client } from '../clients/client.ts';
import { ENXAME } from '../clients/enxame.ts';
import { contest, peersOf } from '../contest.ts';
import { median, spread } from '../statistics.ts';
import { type Pair, type PairRun, runPair, setPairStage } from './pair-run.ts';

/** Whom both meet, and what that is called. */
export interface PairWork extends Omit<Pair, 'contender'> {
  readonly work: string;
}

/** What is compared. */
export interface PairMeasure {
  /** The row of the project's list of targets. */
  readonly number: string;
  readonly unit: string;
  value(run: PairRun): number;
  readonly target: string;
  /** By the medians. */
  isReached(ours: number, aria2: number): boolean;
}

/** Runs each of the works `runs` times with ours and with aria2. */
export async function contestPairs(
  sizeBytes: number,
  works: readonly PairWork[],
  { number, unit, value, target, isReached }: PairMeasure,
  options: BenchOptions,
): Promise<BenchResult> {
  const stage = await setPairStage(sizeBytes);
  const rows: Row[] = [];
  const waits = ['Before that, until the first unchoke:'];
  const show = (run: PairRun) =>
    `${value(run).toFixed(2)} ${unit} after ${run.waitSeconds.toFixed(2)} s of waiting for the first unchoke`;
  try {
    for (const { work, ...pair } of works) {
      const one = (contender: Client) => () => runPair(stage, { contender, ...pair });
      const contenders = { [ENXAME.name]: one(ENXAME), [ARIA2.name]: one(ARIA2) };
      const results = await contest(work, contenders, options, show);
      waits.push([work, ...Object.entries(results).map(waitsOf)].join('; '));
      const ours = (results[ENXAME.name] ?? []).map(value);
      const peers = peersOf(results, ENXAME.name, value);
      rows.push({
        number,
        work: `${work}: ${unit} from the first unchoke`,
        ours,
        peers,
        digits: 2,
        target,
        isReached: isReached(median(ours), median(peers[ARIA2.name] ?? [])),
      });
    }
  } finally {
    await stage.close();
  }
  const text = waits.join('\n');
  options.log(text);
  return { rows, text };
}

function waitsOf([name, runs]: [name: string, runs: readonly PairRun[]]): string {
  const seconds = spread(
    runs.map(({ waitSeconds }) => waitSeconds),
    (value) => `${value.toFixed(2)} s`,
  );
  return `${name} ${seconds}`;
}
