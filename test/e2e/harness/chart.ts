/** Installing the chart as its documentation says, and waiting for all of it. */
import { join } from 'node:path';
import { IMAGE_REPOSITORY } from '../../../image/build.ts';
import type { Cluster } from '../../cluster/cluster.ts';
import { PATIENCE } from '../../patience.ts';

export const CHART = join(import.meta.dirname, '..', '..', '..', 'charts', 'enxame');
export const RELEASE = 'enxame';
export const SYSTEM_NAMESPACE = 'enxame-system';

const READY_TIMEOUT = `${PATIENCE * 180}s`;

/** As much of a cluster as this needs. */
export type ChartTarget = Pick<Cluster, 'kubectl' | 'helm'>;

/** Makes the namespace with the labels that the agents' host path needs. */
export async function makeSystemNamespace({ kubectl }: ChartTarget): Promise<void> {
  const labels = Object.fromEntries(
    ['enforce', 'warn', 'audit'].map((mode) => [`pod-security.kubernetes.io/${mode}`, 'privileged']),
  );
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: SYSTEM_NAMESPACE, labels } };
  await kubectl(['apply', '--filename', '-'], JSON.stringify(namespace));
}

/** Installs or upgrades the release with the image that was loaded, and returns when everything of it is ready. */
export async function installChart(
  cluster: ChartTarget,
  chart: string,
  values: readonly string[] = [],
): Promise<void> {
  const target = { kubectl: cluster.kubectl.bind(cluster), helm: cluster.helm.bind(cluster) };
  await makeSystemNamespace(target);
  const sets = [`image.repository=${IMAGE_REPOSITORY}`, ...values].flatMap((value) => ['--set', value]);
  await target.helm(['upgrade', '--install', RELEASE, chart, '--namespace', SYSTEM_NAMESPACE, ...sets]);
  await everythingReady(target);
}

/** Waits until operator, agents and trackers are as their templates say. */
export async function everythingReady({ kubectl }: Pick<ChartTarget, 'kubectl'>): Promise<void> {
  const inSystem = ['--namespace', SYSTEM_NAMESPACE, `--timeout=${READY_TIMEOUT}`];
  await kubectl(['rollout', 'status', 'daemonset/enxame-agent', ...inSystem]);
  await kubectl(['rollout', 'status', 'deployment/enxame-operator', ...inSystem]);
  // The operator makes the trackers; there may be none yet.
  for (const tracker of ['enxame-tracker-0', 'enxame-tracker-1']) {
    await kubectl(['wait', '--for=create', `deployment/${tracker}`, ...inSystem]);
    await kubectl(['rollout', 'status', `deployment/${tracker}`, ...inSystem]);
  }
}
