/**
 * Announces a second: this tracker, Debian's opentracker and Node's own HTTP server, side by side and in turn.
 *
 *     node bench/tracker/main.ts [--runs 5] [--seconds 4] [--peers 100000] [--only NAME]
 *
 * A server has one core at most; beside announces a second stands what it answers in a second of its own CPU
 * time, which other work on the machine disturbs less.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { figuresCost } from './figures.ts';
import type { LoadResult, LoadSettings } from './load.ts';
import { firstLine, type Server, startBareHttp, startEnxame, startOpentracker } from './servers.ts';

interface Shape {
  readonly name: string;
  readonly connections: number;
  readonly swarms: number;
  readonly peersPerSwarm: number;
}

async function load(settings: Partial<LoadSettings> & { port: number }): Promise<LoadResult> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'load.ts'), JSON.stringify(settings)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return (await firstLine(child)) as LoadResult;
}

/** What answering takes by itself, of memory too, is there before peers come. */
const WARM_UP_PEERS = 64;
const WARM_UP_SECONDS = 12;

const median = (values: readonly number[]) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const thousands = (value: number) => Math.round(value).toLocaleString('en');

function spread(values: readonly number[]): string {
  return `${thousands(median(values))} (${thousands(Math.min(...values))}–${thousands(Math.max(...values))})`;
}

/** Lets a server that has worked for a while get to know its peers; resident bytes that it grows by for each. */
async function fill(server: Server, { swarms, peersPerSwarm }: Shape): Promise<number> {
  const { port, perRequest } = server;
  const few = { port, connections: 64, swarms: 1, peersPerSwarm: WARM_UP_PEERS, perRequest };
  if (!server.hasPeers) return 0;
  await load({ ...few, seconds: WARM_UP_SECONDS });
  const before = server.residentBytes();
  const { answers, failures } = await load({ ...few, swarms, peersPerSwarm, seconds: 0 });
  if (failures > 0) throw new Error(`${server.name} refused ${failures} of ${answers} announces`);
  return (server.residentBytes() - before) / (swarms * peersPerSwarm);
}

async function compare(shape: Shape, runs: number, seconds: number, only: string | undefined): Promise<void> {
  const started = [() => startEnxame(), () => startOpentracker(shape.swarms), () => startBareHttp()];
  const servers = (await Promise.all(started.map((start) => start()))).filter(
    ({ name, stop }) => only === undefined || name === only || void stop(),
  );
  try {
    const memory = new Map<Server, number>();
    for (const server of servers) memory.set(server, await fill(server, shape));
    const rates = new Map<Server, number[]>();
    const perCpu = new Map<Server, number[]>();
    const slow = new Map<Server, number[]>();
    const failed = new Map<Server, number>();
    for (let run = 0; run < runs; run += 1)
      for (const server of servers) {
        const cpu = server.cpuSeconds();
        const { port, perRequest } = server;
        const { connections, swarms, peersPerSwarm } = shape;
        const result = await load({ port, connections, swarms, peersPerSwarm, seconds, perRequest });
        // A tracker that is asked over ten thousand new connections at once may refuse some.
        if (result.failures > 0 && !perRequest)
          throw new Error(`${server.name} failed ${result.failures} times`);
        failed.set(server, (failed.get(server) ?? 0) + result.failures);
        rates.set(server, [...(rates.get(server) ?? []), result.answers / result.seconds]);
        const used = server.cpuSeconds() - cpu;
        perCpu.set(server, [...(perCpu.get(server) ?? []), result.answers / used]);
        slow.set(server, [...(slow.get(server) ?? []), result.p99Milliseconds]);
      }
    process.stdout.write(`\n${shape.name}, ${shape.connections} connections, ${runs} runs of ${seconds} s\n`);
    for (const server of servers)
      process.stdout.write(
        `  ${server.name.padEnd(15)} ${spread(rates.get(server) ?? [])} announces/s; ` +
          `${spread(perCpu.get(server) ?? [])} per CPU s; p99 ${median(slow.get(server) ?? []).toFixed(1)} ms; ` +
          `${Math.round(memory.get(server) ?? 0)} B of memory a peer${failed.get(server) ? `; ${failed.get(server)} failed` : ''}\n`,
      );
    const enxame = servers.find(({ name }) => name === 'enxame');
    if (enxame !== undefined) await printFigures(enxame.port);
  } finally {
    for (const server of servers) await server.stop();
  }
}

async function printFigures(port: number): Promise<void> {
  const { oneSwarmMilliseconds, allSwarmsMilliseconds, announceMilliseconds } = await figuresCost(port);
  process.stdout.write(
    `  figures: /swarms/INFOHASH ${oneSwarmMilliseconds.toFixed(1)} ms, /swarms ${allSwarmsMilliseconds.toFixed(1)} ms a call; ` +
      `an announce meanwhile ${announceMilliseconds.toFixed(1)} ms at most\n`,
  );
}

/** Ten thousand connections, each with one `started`, all at once. */
async function burst(): Promise<void> {
  const server = await startEnxame();
  try {
    const result = await load({
      port: server.port,
      connections: 10_000,
      swarms: 1,
      peersPerSwarm: 10_000,
      seconds: 0,
      started: true,
    });
    process.stdout.write(
      `\nburst of 10,000 'started' at once: ${result.answers} answered in ${result.seconds.toFixed(2)} s, ` +
        `${result.failures} failed; p50 ${result.p50Milliseconds.toFixed(0)} ms, p99 ${result.p99Milliseconds.toFixed(0)} ms\n`,
    );
  } finally {
    await server.stop();
  }
}

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    peers: { type: 'string', default: '100000' },
    only: { type: 'string' },
  },
});
const peers = Number(values.peers);
const shapes: Shape[] = [
  { name: `one swarm of ${thousands(peers)}`, connections: 64, swarms: 1, peersPerSwarm: peers },
  {
    name: `${thousands(peers / 100)} swarms of 100`,
    connections: 64,
    swarms: peers / 100,
    peersPerSwarm: 100,
  },
  { name: `one swarm of ${thousands(peers)}`, connections: 10_000, swarms: 1, peersPerSwarm: peers },
];
for (const shape of shapes) await compare(shape, Number(values.runs), Number(values.seconds), values.only);
await burst();
