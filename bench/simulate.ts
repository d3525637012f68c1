/** Row 11: a thousand nodes and more, in virtual time. Once each: the same options give the same result. */
import type { Bench, Row } from './bench.ts';
import { PROGRAM } from './clients/enxame.ts';
import { MeasuredProcess } from './measured-process.ts';

interface Outcome {
  readonly makespanRatio: number;
  readonly seedCopies: number;
}

interface Swarm {
  readonly nodes: number;
  readonly pieces: number;
  readonly mostRatio: number;
  readonly mostSeconds: number;
}

const SWARMS: readonly Swarm[] = [
  { nodes: 1000, pieces: 1000, mostRatio: 1.12, mostSeconds: 60 },
  { nodes: 100, pieces: 4000, mostRatio: 1.06, mostSeconds: 60 },
];

async function simulated({ nodes, pieces }: Swarm): Promise<Outcome & { seconds: number }> {
  const started = performance.now();
  const process = new MeasuredProcess([
    ...PROGRAM,
    'simulate',
    '--nodes',
    `${nodes}`,
    '--pieces',
    `${pieces}`,
    '--json',
  ]);
  try {
    const outcome = JSON.parse(await process.line((line) => line.startsWith('{'))) as Outcome;
    return { ...outcome, seconds: (performance.now() - started) / 1000 };
  } finally {
    await process.stop();
  }
}

export const SIMULATE: Bench = {
  name: 'simulate',
  about:
    'row 11: the simulator, links of 1 Gbit/s, 0.5 ms, 30 neighbours; 1,000 nodes and pieces, 100 nodes and 4,000 pieces',
  async run({ log }) {
    const rows: Row[] = [];
    for (const swarm of SWARMS) {
      const { makespanRatio, seedCopies, seconds } = await simulated(swarm);
      const { nodes, pieces, mostRatio, mostSeconds } = swarm;
      log(
        `simulate, ${nodes} nodes, ${pieces} pieces: ${makespanRatio.toFixed(3)}, seed sent ${seedCopies.toFixed(3)} copies, ${seconds.toFixed(0)} s`,
      );
      const what = `simulator, ${nodes} nodes, ${pieces} pieces`;
      const row = { number: '11', peers: {} };
      rows.push(
        {
          ...row,
          work: `${what}: makespan ÷ (size ÷ rate)`,
          ours: [makespanRatio],
          digits: 3,
          target: `≤ ${mostRatio}`,
          isReached: makespanRatio <= mostRatio,
        },
        {
          ...row,
          work: `${what}: s on one core`,
          ours: [seconds],
          digits: 0,
          target: `< ${mostSeconds}`,
          isReached: seconds < mostSeconds,
        },
      );
    }
    return { rows };
  },
};
