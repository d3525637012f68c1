/** Rows 5 to 7: one seed and eight leechers with links of 100 Mbit/s. */
import type { Bench, Row } from './bench.ts';
import { ARIA2 } from './clients/aria2.ts';
import type { Client } from './clients/client.ts';
import { ENXAME } from './clients/enxame.ts';
import { LIBTORRENT } from './clients/libtorrent.ts';
import { type Stage, setStage } from './content.ts';
import { contest, peersOf } from './contest.ts';
import { LINK_MEGABITS, makeNetwork, sentBytes } from './shaped-network.ts';
import { median } from './statistics.ts';
import { runSwarm } from './swarm-run.ts';

const MIB = 2 ** 20;
const LEECHERS = 8;
const PEERS_PIECE_LENGTH = 256 * 1024;
const OURS = 'Enxame';
const OURS_AUTOMATIC = 'Enxame, automatic piece length';

interface ShapedRun {
  /** Makespan by the time that one link needs for the content. */
  readonly makespan: number;
  readonly firstByteSeconds: number;
  /** What the seed's link carried by the content, headers included. */
  readonly wireCopies: number;
  /** Payload that the seed says it sent, by the content. */
  readonly copies: number;
}

export const SHAPED: Bench = {
  name: 'shaped',
  about: 'rows 5 to 7: one seed, eight leechers, each link shaped to 100 Mbit/s (64 MiB); needs root',
  async run(options) {
    const size = options.size ?? 64 * MIB;
    const bound = size / ((LINK_MEGABITS * 1e6) / 8);
    const network = makeNetwork(LEECHERS + 1);
    const stages: Stage[] = [];
    try {
      const place = network.hosts[0];
      const fixed = await setStage(size, PEERS_PIECE_LENGTH, place);
      stages.push(fixed);
      const automatic = await setStage(size, undefined, place);
      stages.push(automatic);
      const one = (client: Client, stage: Stage) => async (): Promise<ShapedRun> => {
        const [seed] = network.hosts;
        const before = seed === undefined ? 0 : sentBytes(seed);
        const { seconds, firstByteSeconds, seedSentBytes } = await runSwarm(client, stage, network.hosts);
        const wire = seed === undefined ? 0 : sentBytes(seed) - before;
        return {
          makespan: seconds / bound,
          firstByteSeconds,
          wireCopies: wire / size,
          copies: (seedSentBytes ?? Number.NaN) / size,
        };
      };
      const contenders = {
        [OURS]: one(ENXAME, fixed),
        [OURS_AUTOMATIC]: one(ENXAME, automatic),
        [LIBTORRENT.name]: one(LIBTORRENT, fixed),
        [ARIA2.name]: one(ARIA2, fixed),
      };
      const show = ({ makespan, wireCopies }: ShapedRun) =>
        `${makespan.toFixed(2)} of the bound, ${wireCopies.toFixed(2)} copies on the seed's wire`;
      const results = await contest('shaped', contenders, options, show);
      const peers = { ...results };
      delete peers[OURS_AUTOMATIC];
      const target = size < 256 * MIB ? 1.15 : 1.12;
      const rows: Row[] = [];
      for (const [name, label] of [
        [OURS, '256 KiB pieces'],
        [OURS_AUTOMATIC, 'automatic piece length'],
      ] as const) {
        const list = results[name] ?? [];
        const row = (
          number: string,
          work: string,
          value: (run: ShapedRun) => number,
          most: number,
          compared: boolean,
        ): Row => {
          const ours = list.map(value);
          return {
            number,
            work: `1 → 8 at ${LINK_MEGABITS} Mbit/s, ${size / MIB} MiB, ${label}: ${work}`,
            ours,
            peers: compared ? peersOf(peers, OURS, value) : {},
            digits: 2,
            target: `≤ ${most}`,
            isReached: median(ours) <= most,
          };
        };
        rows.push(
          row(size < 256 * MIB ? '5' : '6', 'makespan ÷ lower bound', (run) => run.makespan, target, true),
          row('5', 's to the first byte', (run) => run.firstByteSeconds, 0.2, true),
          row('7', "seed's payload ÷ content", (run) => run.copies, 1.05, false),
          row('7', "bytes on the seed's wire ÷ content", (run) => run.wireCopies, 1.1, true),
        );
      }
      return { rows };
    } finally {
      for (const stage of stages) await stage.close();
      network.close();
    }
  },
};
