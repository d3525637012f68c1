/** One seed and some leechers of one kind of client, from nothing to everybody complete. */
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, RunningClient } from './clients/client.ts';
import type { Stage } from './content.ts';

const LOOK_MILLISECONDS = 2;
const FIRST_PORT = 17_000;
/** Longer than any swarm of these benches needs. */
const LONGEST_MILLISECONDS = 300_000;

/** Where a client runs; the seed's place comes first. */
export interface Place {
  readonly host: string;
  readonly namespace: string | undefined;
}

/** What one run came to. */
export interface SwarmRun {
  /** Of the leecher that took longest: from its torrent being added to its last byte verified. */
  readonly seconds: number;
  /** From the first leecher's torrent being added to the first bytes in its file. */
  readonly firstByteSeconds: number;
  /** CPU time since the torrent was added. */
  readonly seedCpuSeconds: number;
  readonly leechCpuSeconds: number;
  readonly seedPeakBytes: number;
  readonly leechPeakBytes: number;
  /** Payload that the seed sent, if the client says so. */
  readonly seedSentBytes: number | undefined;
}

let nextPort = FIRST_PORT;

/** Runs a swarm to its end. Every process is gone afterwards. */
export async function runSwarm(client: Client, stage: Stage, places: readonly Place[]): Promise<SwarmRun> {
  const { torrent, name } = stage;
  const running: RunningClient[] = [];
  const folders: string[] = [];
  const start = (role: 'seed' | 'leech', folder: string, { host, namespace }: Place) => {
    const one = client.start({ role, torrent, folder, name, host, port: nextPort++, namespace });
    running.push(one);
    return one;
  };
  try {
    const seed = start('seed', stage.folder, places[0] as Place);
    await seed.added;
    // Its announce: before, leechers would find nobody, and that is not what is measured.
    await sleep(500);
    const seedCpu = seed.process.cpuSeconds();
    const leechers = places.slice(1).map((place) => {
      const folder = stage.empty();
      folders.push(folder);
      return start('leech', folder, place);
    });
    const before = leechers.map(() => 0);
    const added = leechers.map(async (leecher, index) => {
      await leecher.added;
      before[index] = leecher.process.cpuSeconds();
      return performance.now();
    });
    const first = added[0] as Promise<number>;
    const times = leechers.map(async (leecher, index) => {
      const begun = await added[index];
      await leecher.complete();
      return performance.now() - (begun as number);
    });
    const firstByte = first.then((at) => firstBytes(join(folders[0] as string, name), at));
    const seconds = Math.max(...(await within(client.name, Promise.all(times)))) / 1000;
    let leechCpuSeconds = 0;
    for (const [index, { process }] of leechers.entries())
      leechCpuSeconds += process.cpuSeconds() - (before[index] as number);
    return {
      seconds,
      firstByteSeconds: await firstByte,
      seedCpuSeconds: seed.process.cpuSeconds() - seedCpu,
      leechCpuSeconds,
      seedPeakBytes: seed.process.peakBytes(),
      leechPeakBytes: Math.max(...leechers.map(({ process }) => process.peakBytes())),
      seedSentBytes: await seed.sentBytes(),
    };
  } finally {
    await Promise.all(running.map(({ process }) => process.stop()));
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  }
}

/** Fails when it takes so long that something must be stuck. */
export async function within<T>(name: string, work: Promise<T>): Promise<T> {
  const late = new AbortController();
  const timeout = sleep(LONGEST_MILLISECONDS, undefined, { signal: late.signal, ref: false }).then(() => {
    throw new Error(`a swarm of ${name} was not complete after ${LONGEST_MILLISECONDS / 1000} s`);
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    late.abort();
    timeout.catch(() => undefined);
  }
}

/** Seconds since `from` until the file holds anything. */
async function firstBytes(path: string, from: number): Promise<number> {
  while ((statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) === 0) await sleep(LOOK_MILLISECONDS);
  return (performance.now() - from) / 1000;
}
