/** The cluster as the tests see it: calls to its API, kubectl, and faults where it is a cluster of our own. */
import { join } from 'node:path';
import { loadKubeConfig } from '../../../kube/access.ts';
import { createClient, type KubeClient, type KubeObject } from '../../../kube/client.ts';
import type { ResourceType } from '../../../kube/resource-types.ts';
import { Transport } from '../../../kube/transport.ts';
import { Cluster } from '../../cluster/cluster.ts';
import { runCommand } from '../../cluster/command.ts';

const kubeconfig = process.env.ENXAME_E2E_KUBECONFIG;
if (kubeconfig === undefined)
  throw new Error('these tests need a cluster: run them by npm run test:e2e, which makes one');
export const KUBECONFIG = kubeconfig;

const clusterName = process.env.ENXAME_E2E_CLUSTER;

/** The cluster of our own; undefined on somebody else's, where no faults are made. */
export const ownCluster: Cluster | undefined =
  clusterName === undefined ? undefined : new Cluster(clusterName, () => {});

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const access = loadKubeConfig({ kubeconfig });
const options = { userAgent: 'enxame-e2e', logger: silent };
const client: KubeClient = createClient(access, options);

/** Requests that are no objects: through the proxies of the API server, for one. */
export const api = new Transport(access, options);

/** The objects of a kind. */
export const resource = <T extends KubeObject>(type: ResourceType) => client.resource<T>(type);

const kubectlPath = ownCluster === undefined ? 'kubectl' : join(ownCluster.binaries, 'kubectl');

/** Runs kubectl and returns what it prints. @throws with what it prints as error */
export async function kubectl(args: readonly string[], input?: string): Promise<string> {
  const env = { ...process.env, KUBECONFIG };
  return (await runCommand(kubectlPath, args, { env, ...(input === undefined ? {} : { input }) })).stdout;
}

export async function helm(args: readonly string[]): Promise<string> {
  const path = ownCluster === undefined ? 'helm' : join(ownCluster.binaries, 'helm');
  return (await runCommand(path, args, { env: { ...process.env, KUBECONFIG } })).stdout;
}

/** Makes or changes objects, under the test's name. */
export async function apply(...objects: readonly object[]): Promise<void> {
  const list = { apiVersion: 'v1', kind: 'List', items: objects };
  await kubectl(['apply', '--server-side', '--force-conflicts', '--filename', '-'], JSON.stringify(list));
}

/** Ends all connections. */
export async function disconnect(): Promise<void> {
  await Promise.all([client.close(), api.close()]);
}
