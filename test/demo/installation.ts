/**
 * Image and chart on a cluster that may be new, used, or left by an interrupted run. Afterwards every Pod of
 * the chart runs the image that was built last.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuiltImage } from '../../image/build.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { CHART, everythingReady, installChart, RELEASE, SYSTEM_NAMESPACE } from '../e2e/harness/chart.ts';

const inSystem = ['--namespace', SYSTEM_NAMESPACE];

/** A release that helm lists. */
interface Release {
  readonly name: string;
  readonly revision: string;
}

/** The digest of the image that the Pods run: gone with the cluster. */
const digestFile = (cluster: Cluster) => join(cluster.layout.folder, 'demo-image');

/** Puts the image onto every node. @returns whether Pods may run another one of its name */
export async function loadImage(cluster: Cluster, { archive, digest }: BuiltImage): Promise<boolean> {
  const running = await readFile(digestFile(cluster), 'utf8').catch(() => undefined);
  await cluster.load(archive);
  if (running === undefined) await writeFile(digestFile(cluster), digest);
  return running !== undefined && running !== digest;
}

/** A helm that was killed leaves a release that no other helm touches. What it made is taken over. */
async function forgetInterrupted(cluster: Cluster): Promise<void> {
  const pending = JSON.parse(
    await cluster.helm(['list', '--pending', '--output', 'json', ...inSystem]),
  ) as Release[];
  for (const { name, revision } of pending.filter((release) => release.name === RELEASE))
    await cluster.kubectl(['delete', 'secret', `sh.helm.release.v1.${name}.v${revision}`, ...inSystem]);
}

/** Installs or upgrades the chart, and returns when all of it is ready. */
export async function install(
  cluster: Cluster,
  { digest }: BuiltImage,
  hasOlderPods: boolean,
): Promise<void> {
  await forgetInterrupted(cluster);
  await installChart(cluster, CHART);
  if (!hasOlderPods) return;
  await cluster.kubectl(['rollout', 'restart', 'daemonsets,deployments', ...inSystem]);
  await everythingReady({ kubectl: cluster.kubectl.bind(cluster) });
  await writeFile(digestFile(cluster), digest);
}
