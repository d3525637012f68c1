/**
 * How the distribution of the demo goes, node by node. What objects say comes from the API server, bytes from
 * the agents' metrics: trackers hear from a node every ten seconds only.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { NodeContent } from '../../api/index.ts';
import { SYSTEM_NAMESPACE } from '../e2e/harness/chart.ts';
import type { ApiServer } from './api-server.ts';
import { bytesServed } from './source.ts';
import { bar, LiveLines, megabytes, percent } from './terminal.ts';

const POLL_MILLISECONDS = 300;
const AGENT_PORT = 9100;

/** One line of the picture. */
interface Row {
  readonly name: string;
  /** From 0 to 1. */
  readonly part: number;
  readonly words: string;
}

/** What is looked at beside the objects; undefined where nobody answers, as while a Pod starts anew. */
interface Figures {
  readonly servedBytes: number | undefined;
  /** Bytes that a node still lacks, by its name. */
  readonly leftBytes: ReadonlyMap<string, number>;
}

async function leftBytes(api: ApiServer): Promise<Map<string, number>> {
  const left = new Map<string, number>();
  const ask = async (pod: string, node: string) => {
    const metrics = await api.proxied(SYSTEM_NAMESPACE, `pods/${pod}:${AGENT_PORT}`, '/metrics');
    const bytes = /^enxame_agent_left_bytes (\d+)/m.exec(metrics)?.[1];
    if (bytes !== undefined) left.set(node, Number(bytes));
  };
  const agents = await api.pods(SYSTEM_NAMESPACE, 'agent');
  await Promise.allSettled(agents.map(({ metadata, spec }) => ask(metadata.name, spec.nodeName ?? '')));
  return left;
}

async function figures(api: ApiServer): Promise<Figures> {
  const [served, left] = await Promise.all([bytesServed(api).catch(() => undefined), leftBytes(api)]);
  return { servedBytes: served, leftBytes: left };
}

/** Where a node is with the distribution of a UID. */
function rowOf(
  node: NodeContent,
  uid: string | undefined,
  totalBytes: number,
  { servedBytes, leftBytes }: Figures,
): Row {
  const { name } = node.metadata;
  const publication = node.status?.publishing?.find((each) => each.uid === uid);
  const revision = node.status?.revisions?.find((each) => each.uid === uid);
  const because = revision?.message ?? publication?.message;
  switch (revision?.phase) {
    case 'Held':
      return { name, part: 1, words: revision.active ? 'holds it, active' : 'holds it' };
    case 'Downloading': {
      const left = leftBytes.get(name) ?? totalBytes;
      return { name, part: 1 - left / totalBytes, words: `downloads, ${megabytes(left)} left` };
    }
    case 'Failed':
    case 'Unsupported':
      return { name, part: 0, words: `${revision.phase}: ${because ?? 'nobody says why'}` };
  }
  switch (publication?.phase) {
    case 'Receiving':
      return { name, part: (servedBytes ?? 0) / totalBytes, words: 'receives the source, for all' };
    case 'Hashing':
    case 'Published':
      return { name, part: 1, words: 'makes the torrent' };
    case 'Failed':
      return { name, part: 0, words: `Failed: ${because ?? 'nobody says why'}` };
    default:
      return { name, part: 0, words: 'waits' };
  }
}

/**
 * Shows how a distribution goes until it is Ready.
 *
 * @throws if it is not within the time; KubeError
 */
export async function follow(
  api: ApiServer,
  namespace: string,
  name: string,
  { totalBytes, seconds }: { totalBytes: number; seconds: number },
): Promise<void> {
  const live = new LiveLines();
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const [distribution, nodes, found] = await Promise.all([
      api.distribution(namespace, name),
      api.nodeContents(),
      figures(api),
    ]);
    const ready = distribution.status?.conditions?.find(({ type }) => type === 'Ready');
    const isReady = ready?.status === 'True' && ready.observedGeneration === distribution.metadata.generation;
    const served = found.servedBytes ?? 0;
    const rows: Row[] = [
      { name: 'source', part: served / totalBytes, words: `${megabytes(served)} read` },
      ...nodes.map((node) => rowOf(node, distribution.metadata.uid, totalBytes, found)),
    ];
    const message = ready?.message ?? 'waiting for the operator';
    live.show(
      [...rows.map((row) => `  ${row.name}  ${bar(row.part)}  ${row.words}`), `  ${message}`],
      `  ${rows.map((row) => `${row.name} ${percent(row.part)}`).join('  ')}  ${message}`,
      isReady,
    );
    if (isReady) return;
    if (Date.now() > end) throw new Error(`not Ready within ${seconds} s: ${message}`);
    await delay(POLL_MILLISECONDS);
  }
}
