/** How the distribution of the demo goes, node by node. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ContentDistribution, NodeContent } from '../../api/index.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { SYSTEM_NAMESPACE } from '../e2e/harness/chart.ts';
import { bytesServed } from './source.ts';
import { bar, LiveLines, megabytes } from './terminal.ts';

const POLL_MILLISECONDS = 400;

/** Bytes that each node's agent still lacks, as it counts them itself. */
async function bytesLeft(cluster: Cluster): Promise<Map<string, number>> {
  const selector = '--selector=app.kubernetes.io/component=agent';
  const columns = String.raw`jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName}{"\n"}{end}`;
  const pods = await cluster.kubectl(['-n', SYSTEM_NAMESPACE, 'get', 'pods', selector, '-o', columns]);
  const each = pods
    .trim()
    .split('\n')
    .map(async (line): Promise<[string, number]> => {
      const [pod = '', node = ''] = line.split(' ');
      const path = `/api/v1/namespaces/${SYSTEM_NAMESPACE}/pods/${pod}:9100/proxy/metrics`;
      const metrics = await cluster.kubectl(['get', '--raw', path]);
      return [node, Number(/^enxame_agent_left_bytes (\d+)/m.exec(metrics)?.[1] ?? 0)];
    });
  return new Map(await Promise.all(each));
}

async function read<T>(cluster: Cluster, ...what: string[]): Promise<T> {
  return JSON.parse(await cluster.kubectl(['get', ...what, '--output=json'])) as T;
}

/** A line for each node, and one for the source. */
async function look(
  cluster: Cluster,
  distribution: ContentDistribution,
  totalBytes: number,
): Promise<string[]> {
  const [contents, left, served] = await Promise.all([
    read<{ items: NodeContent[] }>(cluster, 'nodecontents'),
    bytesLeft(cluster),
    bytesServed(cluster),
  ]);
  const { uid } = distribution.metadata;
  const ready = distribution.status?.conditions?.find(({ type }) => type === 'Ready');
  const lines = [`  source  ${bar(served / totalBytes)}  ${megabytes(served)} read`];
  for (const { metadata, spec, status } of contents.items) {
    const revision = status?.revisions?.find((each) => each.uid === uid);
    const missing = left.get(metadata.name) ?? 0;
    const isReading = spec?.publishing?.some((reservation) => reservation.uid === uid);
    const [part, words] =
      revision?.phase === 'Held'
        ? [1, revision.active ? 'held and active' : 'held']
        : revision === undefined
          ? [0, isReading ? 'receives the source' : 'waits']
          : [(totalBytes - missing) / totalBytes, `${revision.phase}, ${megabytes(missing)} left`];
    lines.push(`  ${metadata.name}  ${bar(part)}  ${words}`);
  }
  lines.push(`  ${ready?.message ?? 'waiting for the operator'}`);
  return lines;
}

/**
 * Shows how a distribution goes until it is Ready.
 *
 * @throws if it is not within the time
 */
export async function follow(
  cluster: Cluster,
  namespace: string,
  name: string,
  { totalBytes, seconds }: { totalBytes: number; seconds: number },
): Promise<void> {
  const live = new LiveLines();
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const object = await read<ContentDistribution>(cluster, 'contentdistribution', name, '-n', namespace);
    const ready = object.status?.conditions?.find(({ type }) => type === 'Ready');
    const isReady = ready?.status === 'True' && ready.observedGeneration === object.metadata.generation;
    live.show(await look(cluster, object, totalBytes), isReady);
    if (isReady) return;
    if (Date.now() > end)
      throw new Error(`not Ready within ${seconds} s: ${ready?.message ?? 'nobody says why'}`);
    await delay(POLL_MILLISECONDS);
  }
}
