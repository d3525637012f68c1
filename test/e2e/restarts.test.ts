// Programs that end in mid-work: agents, operator, API server, trackers.
import { afterAll, expect } from '@jest/globals';
import { SYSTEM_NAMESPACE } from './harness/chart.ts';
import { type Distribution, downloadingNode, fromFiles } from './harness/distribution.ts';
import { disconnect, kubectl } from './harness/environment.ts';
import { killProgram, stagedBytes } from './harness/node-processes.ts';
import { agentMetrics, asOnNode, filesOn, nodeNames } from './harness/nodes.ts';
import { agentOn, podsOf } from './harness/pods.ts';
import { faultScenario, scenario } from './harness/scenario.ts';
import type { SourceFile } from './harness/source.ts';
import { until } from './harness/until.ts';

const MEBIBYTE = 1024 * 1024;

afterAll(disconnect);

async function everywhere(distribution: Distribution, files: readonly SourceFile[]): Promise<void> {
  for (const node of await nodeNames())
    expect(await filesOn(node, distribution.namespace, distribution.name)).toEqual(asOnNode(files));
}

faultScenario(
  'an agent killed in mid-download goes on without asking again for what it had verified',
  async (world, cluster) => {
    const source = await world.startSource();
    const files = [source.file('content.bin', 'killed-agent', 64 * MEBIBYTE)];
    const distribution = world.distribution('killed-agent');
    const nodes = await nodeNames();
    const counted = new Map(
      await Promise.all(
        nodes.map(async (each) => [each, (await agentMetrics(each)).downloadedBytes] as const),
      ),
    );
    await distribution.apply(fromFiles(files, { limits: { download: '4Mi' } }));
    const node = await downloadingNode(distribution);
    const uid = await distribution.uid();
    const downloaded = async () => (await agentMetrics(node)).downloadedBytes - counted.get(node)!;
    const before = await until('a third is downloaded', downloaded, (bytes) => bytes > 20 * MEBIBYTE);
    const pod = await agentOn(node);
    const restarts = pod.status!.containerStatuses![0]!.restartCount;
    await killProgram(cluster, node, 'enxame.js agent');
    const isAgain = async () => {
      const [container] = (await agentOn(node)).status?.containerStatuses ?? [];
      return container !== undefined && container.restartCount > restarts && container.ready;
    };
    // The kubelet waits longer before each new start of a container that was restarted lately.
    await until('the container was started again', isAgain, Boolean, 120);
    expect((await agentOn(node)).metadata!.name).toBe(pod.metadata!.name);
    // While its agent is away the node does not count, so Ready says nothing of it.
    const held = async () => (await filesOn(node, world.namespace, 'killed-agent'))['content.bin'];
    await until('the node has it', held, (hash) => hash === files[0]!.sha256, 90);
    await distribution.waitReady();
    const after = await agentMetrics(node);
    // Counters begin anew with the process: what it fetched is at most what was missing, and a piece or two
    // that were not on the disk yet.
    expect(after.downloadedBytes).toBeLessThan(64 * MEBIBYTE - before + 4 * MEBIBYTE);
    expect(after.downloadedBytes).toBeGreaterThan(0);
    expect(await distribution.uid()).toBe(uid);
    await everywhere(distribution, files);
  },
  { timeoutSeconds: 400 },
);

scenario('an operator killed in mid-publish goes on', async (world) => {
  const source = await world.startSource();
  const files = [source.file('content.bin', 'killed-operator', 24 * MEBIBYTE)];
  await source.behave(files[0]!, { rate: 2 * MEBIBYTE });
  const distribution = world.distribution('killed-operator');
  await distribution.apply(fromFiles(files));
  await until(
    'the source is being read',
    () => source.sent(files[0]!),
    ({ bytes }) => bytes > 2 * MEBIBYTE,
  );
  const selector = ['--selector=app.kubernetes.io/component=operator', '--grace-period=0', '--force'];
  await kubectl(['-n', SYSTEM_NAMESPACE, 'delete', 'pods', ...selector]);
  await distribution.waitReady();
  await everywhere(distribution, files);
  // Not begun anew: the publisher and the agent had nothing to do with it.
  expect((await source.sent(files[0]!)).bytes).toBe(files[0]!.sizeBytes);
  await until(
    'two operators are ready',
    () => podsOf('operator'),
    (pods) => pods.length === 2 && pods.every(({ status }) => status?.containerStatuses?.[0]?.ready),
  );
});

scenario('a publisher that is killed is replaced, and goes on where it was', async (world) => {
  const source = await world.startSource();
  const file = source.file('content.bin', 'killed-publisher', 24 * MEBIBYTE);
  await source.behave(file, { rate: 2 * MEBIBYTE });
  const distribution = world.distribution('killed-publisher');
  await distribution.apply(fromFiles([file]));
  await until(
    'half of the source is read',
    () => source.sent(file),
    ({ bytes }) => bytes > 12 * MEBIBYTE,
  );
  const [pod] = await distribution.publisherPods();
  await kubectl([
    '-n',
    world.namespace,
    'delete',
    'pod',
    pod!.metadata!.name!,
    '--grace-period=0',
    '--force',
  ]);
  await source.behave(file, {});
  await distribution.waitReady(120);
  await everywhere(distribution, [file]);
  expect((await source.sent(file)).bytes).toBeLessThan(1.25 * file.sizeBytes);
});

faultScenario(
  'bytes keep moving while the API server is away for 30 s',
  async (world, cluster) => {
    const source = await world.startSource();
    const files = [source.file('content.bin', 'api-away', 96 * MEBIBYTE)];
    const distribution = world.distribution('api-away');
    await distribution.apply(fromFiles(files, { limits: { download: '2Mi' } }));
    const node = await downloadingNode(distribution);
    const { uid } = (await distribution.get()).metadata;
    world.finally(() => cluster.startApiServer());
    const before = await stagedBytes(cluster, node, uid!);
    await cluster.stopApiServer();
    await new Promise((resolve) => setTimeout(resolve, 30_000));
    const after = await stagedBytes(cluster, node, uid!);
    await cluster.startApiServer();
    // 2 MiB/s for 30 s, less what was under way; far more than what was in flight when it went.
    expect(after - before).toBeGreaterThan(30 * MEBIBYTE);
    await distribution.waitReady(150);
    await everywhere(distribution, files);
  },
  { timeoutSeconds: 300 },
);

scenario('trackers deleted in mid-download: the swarm completes', async (world) => {
  const source = await world.startSource();
  const files = [source.file('content.bin', 'trackers-gone', 48 * MEBIBYTE)];
  const distribution = world.distribution('trackers-gone');
  await distribution.apply(fromFiles(files, { limits: { download: '3Mi' } }));
  await downloadingNode(distribution);
  const selector = ['--selector=app.kubernetes.io/component=tracker', '--grace-period=0', '--force'];
  await kubectl(['-n', SYSTEM_NAMESPACE, 'delete', 'pods', ...selector]);
  await distribution.waitReady(120);
  await everywhere(distribution, files);
});
