// Three trackers that come and go under load: restarted one by one, killed, scaled to one and back.
import { afterAll, expect } from '@jest/globals';
import type { V1Deployment } from '@kubernetes/client-node';
import { CONTENT_REVISION, type ContentRevision } from '../../api/index.ts';
import { DEPLOYMENTS } from '../../kube/resource-types.ts';
import { rankReplicas } from '../../torrent/index.ts';
import { PATIENCE } from '../patience.ts';
import { CHART, installChart, RELEASE, SYSTEM_NAMESPACE } from './harness/chart.ts';
import { downloadingNode, fromFiles } from './harness/distribution.ts';
import { disconnect, helm, kubectl, resource } from './harness/environment.ts';
import { agentMetrics, asOnNode, filesOn, nodeNames } from './harness/nodes.ts';
import { faultScenario } from './harness/scenario.ts';
import { until } from './harness/until.ts';

const MEBIBYTE = 1024 * 1024;
const LOOK_MILLISECONDS = 1_000;
/** Announces of leechers are 10 s apart: a swarm that needed its tracker would stand still for longer. */
const LONGEST_STILL_MILLISECONDS = 10_000;

afterAll(disconnect);

const names = (replicas: number) => Array.from({ length: replicas }, (_, index) => `enxame-tracker-${index}`);
const inSystem = ['--namespace', SYSTEM_NAMESPACE];

async function rolledOut(name: string): Promise<void> {
  await kubectl(['rollout', 'status', `deployment/${name}`, ...inSystem, `--timeout=${PATIENCE * 60}s`]);
}

/** Scales as a user does, by the chart, and waits until there are so many and all of them answer. */
async function scaleTo(replicas: number): Promise<void> {
  const values = ['--reuse-values', '--set', `tracker.replicas=${replicas}`];
  await helm(['upgrade', RELEASE, CHART, ...inSystem, ...values]);
  const labelSelector = 'app.kubernetes.io/component=tracker';
  await until(
    `there are ${replicas} trackers`,
    async () => {
      const { items } = await resource<V1Deployment>(DEPLOYMENTS).list({
        namespace: SYSTEM_NAMESPACE,
        labelSelector,
      });
      return items.map(({ metadata, status }) => [metadata?.name, status?.availableReplicas ?? 0]);
    },
    (found) => JSON.stringify(found) === JSON.stringify(names(replicas).map((name) => [name, 1])),
  );
}

/** How many peers each replica knows, by info hash. */
async function peersAt(name: string): Promise<Map<string, number>> {
  const path = `/api/v1/namespaces/${SYSTEM_NAMESPACE}/services/${name}:http/proxy/swarms`;
  const { swarms } = JSON.parse(await kubectl(['get', '--raw', path])) as {
    swarms: { infoHash: string; peers: number }[];
  };
  return new Map(swarms.map(({ infoHash, peers }) => [infoHash, peers]));
}

/** Waits until every agent is in every swarm at its owner: the others may remember for whom they stood in. */
async function allMeet(replicas: number, nodes: number): Promise<void> {
  await until(
    `all swarms meet at their owners among ${replicas} trackers`,
    async () => {
      const { items } = await resource<ContentRevision>(CONTENT_REVISION).list();
      const known = new Map(
        await Promise.all(names(replicas).map(async (name) => [name, await peersAt(name)] as const)),
      );
      return items.flatMap(({ spec: { infoHash, distribution } }) => {
        const owner = rankReplicas(infoHash, names(replicas))[0]!;
        const peers = known.get(owner)?.get(infoHash) ?? 0;
        return peers === nodes ? [] : [`${distribution} at ${owner}: ${peers}`];
      });
    },
    (others) => others.length === 0,
    40,
  );
}

/** Looks at how much all agents have downloaded until it is ended; then tells the longest time without a byte. */
function watchBytes(nodes: readonly string[]): () => Promise<number> {
  let isEnded = false;
  const watch = async () => {
    let [last, movedAt, longest] = [0, Date.now(), 0];
    while (!isEnded) {
      const counts = await Promise.all(nodes.map(agentMetrics));
      const bytes = counts.reduce((sum, { downloadedBytes }) => sum + downloadedBytes, 0);
      const now = Date.now();
      longest = Math.max(longest, now - movedAt);
      if (bytes > last) [last, movedAt] = [bytes, now];
      await new Promise((resolve) => setTimeout(resolve, LOOK_MILLISECONDS));
    }
    return longest;
  };
  const watching = watch();
  // Its failure is that of the test, at its end.
  watching.catch(() => undefined);
  return () => {
    isEnded = true;
    return watching;
  };
}

faultScenario(
  'no swarm stalls or splits while three trackers are restarted, killed, and scaled to one and back',
  async (world, cluster) => {
    const nodes = await nodeNames();
    world.finally(() => installChart(cluster, CHART));
    await scaleTo(3);
    const source = await world.startSource();
    const files = [source.file('content.bin', 'trackers', 96 * MEBIBYTE)];
    const distribution = world.distribution('trackers');
    await distribution.apply(fromFiles(files, { limits: { download: '1Mi' } }));
    await downloadingNode(distribution);
    const endOfWatch = watchBytes(nodes);
    world.finally(async () => void (await endOfWatch().catch(() => undefined)));

    for (const name of names(3)) {
      await kubectl(['rollout', 'restart', `deployment/${name}`, ...inSystem]);
      await rolledOut(name);
    }
    await allMeet(3, nodes.length);

    const { infoHash } = (await distribution.revisions())[0]!.spec;
    const owner = rankReplicas(infoHash, names(3))[0]!;
    const pod = `--selector=enxame.dev/replica=${owner.replace('enxame-tracker-', '')}`;
    await kubectl(['delete', 'pods', pod, ...inSystem, '--grace-period=0', '--force']);
    await rolledOut(owner);
    await allMeet(3, nodes.length);

    await scaleTo(1);
    await allMeet(1, nodes.length);
    await scaleTo(3);
    await allMeet(3, nodes.length);

    const stillMilliseconds = await endOfWatch();
    const isUnderLoad = (await distribution.condition('Ready'))?.status !== 'True';
    process.stdout.write(
      `trackers restarted, killed and scaled; the longest time without a byte was ${stillMilliseconds} ms\n`,
    );
    expect(isUnderLoad).toBe(true);
    expect(stillMilliseconds).toBeLessThan(LONGEST_STILL_MILLISECONDS);
    await distribution.waitReady(120);
    for (const node of nodes)
      expect(await filesOn(node, world.namespace, 'trackers')).toEqual(asOnNode(files));
  },
  { timeoutSeconds: 300 },
);
