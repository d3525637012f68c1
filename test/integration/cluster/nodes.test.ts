/**
 * A cluster with a node, from its start to the last trace of it: faults and their ends, and runs that are
 * interrupted. Needs root.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { until } from '../../base/until.ts';
import { ensureBinaries } from '../../cluster/binaries.ts';
import { cgroupsOf, processesOf } from '../../cluster/cgroups.ts';
import { Cluster } from '../../cluster/cluster.ts';
import { namespacesOf, processesIn } from '../../cluster/network.ts';
import { PAUSE_IMAGE } from '../../cluster/pause-image.ts';
import { ensurePrerequisites } from '../../cluster/prerequisites.ts';
import { Processes } from '../../cluster/processes.ts';
import { PATIENCE } from '../../patience.ts';

const NAME = 'enxame-cluster-test';
const NODE = 'node-1';
const PROGRAM = join(import.meta.dirname, '..', '..', 'cluster', 'main.ts');
const lines: string[] = [];
const cluster = new Cluster(NAME, (line) => lines.push(line));
const { layout } = cluster;

beforeAll(async () => {
  await ensurePrerequisites({ log: () => {} });
  await ensureBinaries({ log: () => {} });
  await cluster.down();
}, 1_800_000);

afterAll(() => cluster.down(), 60_000);

/** Everything that the machine still has of the cluster. */
async function traces(): Promise<string[]> {
  const namespaces = await namespacesOf(layout.prefix);
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const processes = readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false;
    const file = `/proc/${pid}/cmdline`;
    try {
      return readFileSync(file, 'utf8').includes(layout.folder);
    } catch {
      return false; // It has ended.
    }
  });
  return [
    ...namespaces.map((name) => `namespace ${name}`),
    ...(await cgroupsOf(layout.prefix)).map((name) => `cgroup ${name}`),
    ...mounts.filter((line) => line.includes(layout.folder) || line.includes(layout.prefix)),
    ...[...processes, ...(await processesIn(namespaces))].map((pid) => `process ${pid}`),
    ...[layout.folder, `${layout.folder}.lock`].filter(existsSync),
  ];
}

/** Waits for a condition of a Pod. */
const podIs = (condition: string) =>
  cluster.kubectl(['wait', `--for=${condition}`, 'pod/sleeper', `--timeout=${PATIENCE * 60}s`]);

const isReachable = (): Promise<boolean> =>
  cluster.nodeExec(NODE, ['timeout', '2', 'bash', '-c', 'echo > /dev/tcp/198.18.0.2/6443']).then(
    () => true,
    () => false,
  );

/** Starts an `up` of its own and kills it as soon as something is so. */
async function interruptUp(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const run = spawn(process.execPath, [PROGRAM, 'up', '--name', NAME, '--nodes', '1'], { stdio: 'ignore' });
  const ended = new Promise((resolve) => run.once('close', resolve));
  for (const end = Date.now() + PATIENCE * 60_000; !(await isSo()); await delay(20))
    if (Date.now() > end || run.exitCode !== null) throw new Error('the run did not come that far');
  run.kill('SIGKILL');
  await ended;
  expect(run.signalCode).toBe('SIGKILL');
}

describe('a cluster that comes up over what an interrupted run left', () => {
  beforeAll(async () => {
    await interruptUp(async () => (await namespacesOf(layout.prefix)).length > 0);
    expect(await traces()).not.toEqual([]);
    await cluster.up({ nodes: 1 });
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'sleeper' },
      spec: {
        containers: [{ name: 'sleeper', image: PAUSE_IMAGE, imagePullPolicy: 'Never' }],
        terminationGracePeriodSeconds: 0,
      },
    };
    await cluster.kubectl(['apply', '-f', '-'], JSON.stringify(pod));
  });

  test('is up, runs a Pod, and is left alone by another up', async () => {
    await podIs('condition=Ready');
    expect(await cluster.status()).toEqual({
      ...{ name: NAME, state: 'up', stopped: [] },
      nodes: [{ name: NODE, running: true, ready: true }],
    });
    await new Cluster(NAME, (line) => lines.push(line)).up({ nodes: 1 });
    expect(lines.at(-1)).toContain('up already');
    await podIs('condition=Ready');
  });

  test('has folders of its own on the node, and shows those of the machine', async () => {
    await cluster.nodeExec(NODE, ['bash', '-c', 'echo mine > /var/lib/enxame-trial']);
    expect(existsSync('/var/lib/enxame-trial')).toBe(false);
    await cluster.nodeExec(NODE, ['ls', cluster.binaries, layout.pki]);
  });

  test('a small disk at the content root fills up, and goes again', async () => {
    await cluster.limitDisk(NODE, 1024 * 1024);
    await cluster.limitDisk(NODE, '2m');
    const write = ['dd', 'if=/dev/zero', 'of=/var/lib/enxame/file', 'bs=1M', 'count=3'];
    await expect(cluster.nodeExec(NODE, write)).rejects.toThrow('No space left on device');
    await cluster.unlimitDisk(NODE);
    await cluster.nodeExec(NODE, write);
  });

  test('a node that is cut off reaches nobody, and somebody once it is back', async () => {
    expect(await isReachable()).toBe(true);
    await cluster.cutNode(NODE);
    expect(await isReachable()).toBe(false);
    await cluster.rejoinNode(NODE);
    await until('it reaches somebody', isReachable);
  });

  test('a node takes a rate and gives it back', async () => {
    const queues = async () => (await cluster.nodeExec(NODE, ['tc', 'qdisc', 'show', 'dev', 'eth0'])).stdout;
    await cluster.shapeNode(NODE, '50mbit');
    expect(await queues()).toContain('rate 50Mbit');
    await cluster.unshapeNode(NODE);
    expect(await queues()).not.toContain('rate');
    await cluster.unshapeNode(NODE);
  });

  test('a node that crashes has no process left, and runs its Pods again once it is revived', async () => {
    const { cgroup } = layout.node(1);
    expect((await processesOf(cgroup)).length).toBeGreaterThan(4);
    await cluster.crashNode(NODE);
    expect(await processesOf(cgroup)).toEqual([]);
    expect((await cluster.status()).nodes).toEqual([expect.objectContaining({ running: false })]);
    await cluster.reviveNode(NODE);
    await cluster.reviveNode(NODE);
    await podIs('jsonpath={.status.containerStatuses[0].restartCount}=1');
    await podIs('condition=Ready');
  });

  test('an API server that is killed answers again once it is started', async () => {
    await cluster.stopApiServer();
    await expect(cluster.kubectl(['get', 'nodes', '--request-timeout=2s'])).rejects.toThrow();
    expect(await cluster.status()).toMatchObject({ state: 'partly up', stopped: ['kube-apiserver'] });
    await cluster.startApiServer();
    await cluster.startApiServer();
    expect(await cluster.kubectl(['get', 'nodes', '--output=name'])).toBe(`node/${NODE}\n`);
  });

  test('leaves nothing when it goes down, and does not mind going down again', async () => {
    await cluster.down();
    expect(await traces()).toEqual([]);
    await cluster.down();
    await expect(cluster.kubectl(['get', 'nodes'])).rejects.toThrow('there is no cluster');
  });
});

test('what a run leaves that is killed while the node starts goes with the next down', async () => {
  await interruptUp(() => existsSync(join(layout.folder, 'run', `${NODE}-containerd.json`)));
  expect((await traces()).filter((trace) => trace.startsWith('process')).length).toBeGreaterThan(3);
  await cluster.down();
  expect(await traces()).toEqual([]);
});

test('a process that was given the process id of one that ended is not killed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'enxame-processes-'));
  const processes = new Processes(folder);
  try {
    const logFile = join(folder, 'sleeper.log');
    await processes.start({ name: 'sleeper', command: ['sleep', '60'], logFile });
    const pid = await processes.pid('sleeper');
    const file = join(folder, 'sleeper.json');
    const record = readFileSync(file, 'utf8');
    writeFileSync(file, JSON.stringify({ ...JSON.parse(record), startTime: '1' }));
    await processes.kill('sleeper');
    expect(existsSync(`/proc/${pid}`)).toBe(true);
    writeFileSync(file, record);
    await processes.kill('sleeper');
    expect(await processes.pid('sleeper')).toBeUndefined();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
