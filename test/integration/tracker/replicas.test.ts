// Three trackers as processes of their own, with live announcers, one after the other restarted.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { rankReplicas, trackerDiscovery } from '../../../torrent/index.ts';
import { until } from '../../base/until.ts';
import { enxame, type Run } from '../../cli/enxame-process.ts';
import { announceQuery, escapeBytes } from '../../tracker/announce-query.ts';

const NAMES = ['tracker-0', 'tracker-1', 'tracker-2'];
const SWARMS = 6;

let folder: string;
let ports: number[];
const runs = new Map<string, Run>();
const stops: (() => Promise<void>)[] = [];

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

const portOf = (name: string) => ports[NAMES.indexOf(name)] as number;

async function start(name: string): Promise<void> {
  const others = NAMES.flatMap((other) => ['--replica', `${other}=http://127.0.0.1:${portOf(other)}`]);
  const run = enxame(
    [
      ...['tracker', '--open', '--json', '--name', name, '--listen', `127.0.0.1:${portOf(name)}`],
      ...['--replica-secret-file', join(folder, 'secret'), ...others],
    ],
    { ENXAME_LOG_LEVEL: 'error' },
  );
  runs.set(name, run);
  expect(await run.nextLine()).toContain('listening');
}

async function stop(name: string): Promise<void> {
  const run = runs.get(name);
  run?.child.kill('SIGTERM');
  expect((await run?.ended)?.code).toBe(0);
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'enxame-replicas-'));
  await writeFile(join(folder, 'secret'), 'a secret that three trackers share\n');
  ports = await Promise.all(NAMES.map(freePort));
  await Promise.all(NAMES.map(start));
});

afterEach(async () => {
  await Promise.all(stops.splice(0).map((end) => end()));
  for (const run of runs.values()) run.child.kill('SIGKILL');
  runs.clear();
  await rm(folder, { recursive: true, force: true });
});

const hashOf = (swarm: number) => Buffer.alloc(20, swarm + 1);

/** What one replica answers to a plain announce. */
async function announce(name: string, swarm: number, changes: Record<string, string | number> = {}) {
  const query = announceQuery({ info_hash: escapeBytes(hashOf(swarm)), ...changes });
  const response = await fetch(`http://127.0.0.1:${portOf(name)}/announce?${query}`);
  return Buffer.from(await response.arrayBuffer()).toString('latin1');
}

test('whichever replica is asked, a swarm is one', async () => {
  for (let swarm = 0; swarm < SWARMS; swarm += 1) {
    for (const [at, name] of NAMES.entries()) {
      const answer = await announce(name, swarm, { port: 1001 + at });
      expect(answer).toContain(`10:incompletei${at + 1}e`);
    }
    const owner = rankReplicas(hashOf(swarm).toString('hex'), NAMES)[0] as string;
    const url = `http://127.0.0.1:${portOf(owner)}/swarms/${hashOf(swarm).toString('hex')}`;
    expect(await (await fetch(url)).json()).toMatchObject({ peers: 3 });
  }
});

test('what claims to come from another replica is not believed without its proof', async () => {
  const owner = rankReplicas(hashOf(0).toString('hex'), NAMES)[0] as string;
  const query = announceQuery({ info_hash: escapeBytes(hashOf(0)) });
  const response = await fetch(`http://127.0.0.1:${portOf(owner)}/announce?${query}`, {
    headers: { 'x-enxame-forwarded': `${Buffer.from('{}').toString('base64url')}.${'ab'.repeat(32)}` },
  });
  expect(response.status).toBe(403);
});

test('no swarm stalls while one replica after the other is restarted', async () => {
  const found = Array.from({ length: SWARMS }, () => new Set<number>());
  const join = (swarm: number, port: number, heard?: Set<number>) => {
    const tiers = rankReplicas(hashOf(swarm).toString('hex'), NAMES).map((name) => [
      `http://127.0.0.1:${portOf(name)}/announce`,
    ]);
    const discovery = trackerDiscovery({ tiers, ownTrackers: true });
    stops.push(() => discovery.stop());
    discovery.start(
      {
        infoHash: hashOf(swarm),
        peerId: Buffer.alloc(20, port & 255),
        port,
        progress: () => ({ uploaded: 0, downloaded: 0, left: 5 }),
      },
      (addresses) => {
        for (const address of addresses) heard?.add(address.port);
      },
    );
  };
  for (let swarm = 0; swarm < SWARMS; swarm += 1) join(swarm, 2001);
  for (const [round, name] of NAMES.entries()) {
    await stop(name);
    // Whoever joins while a replica is away meets those that joined before, and those that come later meet it.
    for (let swarm = 0; swarm < SWARMS; swarm += 1) {
      found[swarm]?.clear();
      join(swarm, 3001 + round, found[swarm]);
    }
    await until('every client hears of the peer', async () => found.every((heard) => heard.has(2001)));
    await start(name);
  }
  // In the end each swarm is whole again at its owner, whoever is asked.
  for (let swarm = 0; swarm < SWARMS; swarm += 1)
    for (const name of NAMES)
      await until('the replica counts all peers', async () =>
        (await announce(name, swarm, { port: 4001, numwant: 0 })).includes('10:incompletei5e'),
      );
});
