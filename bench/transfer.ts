/** Rows 1 to 4: as fast as one host allows, over loopback. */
import type { Bench, Row } from './bench.ts';
import { ARIA2 } from './clients/aria2.ts';
import { ENXAME } from './clients/enxame.ts';
import { LIBTORRENT } from './clients/libtorrent.ts';
import { setStage } from './content.ts';
import { contest, peersOf } from './contest.ts';
import { median } from './statistics.ts';
import { runSwarm, type SwarmRun } from './swarm-run.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const CLIENTS = [ENXAME, LIBTORRENT, ARIA2];
const HERE = { host: '127.0.0.1', namespace: undefined };

const megabytesASecond = (bytes: number) => (run: SwarmRun) => bytes / 1e6 / run.seconds;

/** Runs all clients with one seed and so many leechers here. */
async function swarms(
  what: string,
  sizeBytes: number,
  leechers: number,
  options: Parameters<Bench['run']>[0],
): Promise<Record<string, SwarmRun[]>> {
  const stage = await setStage(sizeBytes, 256 * 1024);
  try {
    const places = Array.from({ length: leechers + 1 }, () => HERE);
    const contenders = Object.fromEntries(
      CLIENTS.map((client) => [client.name, () => runSwarm(client, stage, places)]),
    );
    const show = (run: SwarmRun) => `${megabytesASecond(sizeBytes * leechers)(run).toFixed(0)} MB/s`;
    return await contest(what, contenders, options, show);
  } finally {
    await stage.close();
  }
}

export const TRANSFER: Bench = {
  name: 'transfer',
  about: 'rows 1 to 3: one seed, one leecher, over loopback, content in memory (1 GiB)',
  async run(options) {
    const size = options.size ?? GIB;
    const results = await swarms('transfer', size, 1, options);
    const gib = size / GIB;
    const row = (
      number: string,
      work: string,
      value: (run: SwarmRun) => number,
      digits: number,
      target: string,
      isReached: (ours: number, libtorrent: number) => boolean,
    ): Row => {
      const ours = (results[ENXAME.name] ?? []).map(value);
      const peers = peersOf(results, ENXAME.name, value);
      const reached = isReached(median(ours), median(peers[LIBTORRENT.name] ?? []));
      return { number, work, ours, peers, digits, target, isReached: reached };
    };
    return {
      rows: [
        row(
          '1',
          `1 → 1, ${gib} GiB: MB/s`,
          megabytesASecond(size),
          0,
          '≥ 1.5 × libtorrent',
          (a, b) => a >= 1.5 * b,
        ),
        row(
          '2',
          '1 → 1: CPU s per GiB, seed',
          (run) => run.seedCpuSeconds / gib,
          2,
          '≤ 0.85',
          (a) => a <= 0.85,
        ),
        row(
          '2',
          '1 → 1: CPU s per GiB, leecher',
          (run) => run.leechCpuSeconds / gib,
          2,
          '≤ 1.6',
          (a) => a <= 1.6,
        ),
        row(
          '3',
          '1 → 1: s to the first byte',
          (run) => run.firstByteSeconds,
          2,
          '< 0.2',
          (a) => a < 0.2,
        ),
        row(
          '3',
          '1 → 1: MB resident at most, seed',
          (run) => run.seedPeakBytes / 1e6,
          0,
          '≤ 150',
          (a) => a <= 150,
        ),
        row(
          '3',
          '1 → 1: MB resident at most, leecher',
          (run) => run.leechPeakBytes / 1e6,
          0,
          '≤ 150',
          (a) => a <= 150,
        ),
      ],
    };
  },
};

export const FAN_OUT: Bench = {
  name: 'fan-out',
  about: 'row 4: one seed, eight leechers on one host (128 MiB)',
  async run(options) {
    const size = options.size ?? 128 * MIB;
    const results = await swarms('fan-out', size, 8, options);
    const value = (run: SwarmRun) => (run.seedCpuSeconds + run.leechCpuSeconds) / ((8 * size) / GIB);
    const ours = (results[ENXAME.name] ?? []).map(value);
    const peers = peersOf(results, ENXAME.name, value);
    return {
      rows: [
        {
          number: '4',
          work: `1 → 8 on one host, ${size / MIB} MiB: CPU s per delivered GiB, all processes`,
          ours,
          peers,
          digits: 2,
          target: '≤ 2.5',
          isReached: median(ours) <= 2.5,
        },
      ],
    };
  },
};
