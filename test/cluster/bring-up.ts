/** The start of a cluster: network, control plane and nodes, in the order that is ready soonest. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { apiGet } from './api-request.ts';
import type { Log } from './binaries.ts';
import { ControlPlaneHost } from './control-plane-host.ts';
import { makeNetwork } from './network.ts';
import type { ClusterNode, NodeParts } from './node.ts';
import { writePauseImage } from './pause-image.ts';
import { until } from './until.ts';

const READY_TIMEOUT_MILLISECONDS = 120_000;
const POLL_MILLISECONDS = 150;
/** What the API server must have besides itself before Pods can be made. */
const API_PATHS = ['/readyz', '/api/v1/namespaces/default'];
const NODE_LEASES = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
const SERVICE_ACCOUNT = '/api/v1/namespaces/default/serviceaccounts/default';

/** A cluster's parts, and the port of the machine's loopback that leads to its API server. */
export interface RunningParts extends NodeParts {
  readonly port: number;
}

/**
 * Starts everything of a cluster that has only its folder yet. Returns when all nodes are Ready, its DNS
 * answers and Pods can be made.
 *
 * @throws {ClusterError} NotReady with the end of the log of what failed
 */
export async function bringUp(parts: RunningParts, nodes: readonly ClusterNode[], log: Log): Promise<void> {
  const started = Date.now();
  const { layout, binaries, pauseImage, port } = parts;
  log(`Cluster ${layout.name}: starting a control plane and ${count(nodes)}`);
  await mkdir(join(layout.folder, 'log'), { recursive: true });
  await writePauseImage(join(binaries, 'pause'), pauseImage);
  const layouts = nodes.map((node) => node.layout);
  await makeNetwork(layout, layouts);
  const control = new ControlPlaneHost(parts);
  await control.start();
  await control.forward(port);
  // What runs containers starts while the API server does. Kubelets wait for it: one that finds nobody tries
  // again after seconds only.
  await Promise.all([waitForApiServer(parts), Promise.all(nodes.map((node) => node.startRuntime()))]);
  await Promise.all([control.startControllers(), ...nodes.map((node) => node.startKubelet())]);
  await waitUntilUsable(parts, control, nodes);
  const seconds = Math.round((Date.now() - started) / 1000);
  log(`Cluster ${layout.name}: ${count(nodes)} Ready after ${seconds} s`);
}

const count = (nodes: readonly ClusterNode[]) => `${nodes.length} node${nodes.length === 1 ? '' : 's'}`;

/** Asks the API server for a path, from outside of the cluster. @throws {Error} unless it has it */
async function get({ pki, port }: RunningParts, path: string): Promise<string> {
  const { status, body } = await apiGet({ ...pki, server: `https://127.0.0.1:${port}` }, path);
  if (status !== 200) throw new Error(`${path}: ${status} ${body}`);
  return body;
}

const atMost = { timeout: READY_TIMEOUT_MILLISECONDS, poll: POLL_MILLISECONDS };

/** Waits for the API server. @throws {ClusterError} NotReady, at once if it has ended */
export async function waitForApiServer(parts: RunningParts): Promise<void> {
  const control = new ControlPlaneHost(parts);
  await until(
    `the API server; see ${parts.layout.log('kube-apiserver')}`,
    async () => {
      await control.mustRun(['etcd', 'kube-apiserver', 'forwarder-inside', 'forwarder-outside']);
      for (const path of API_PATHS) await get(parts, path);
      return true;
    },
    atMost,
  );
}

interface NodeList {
  readonly items: readonly {
    readonly metadata: { readonly name: string };
    readonly status: { readonly conditions?: readonly { type: string; status: string }[] };
  }[];
}

/** Names of the nodes that the API server holds for Ready. @throws {Error} if it does not answer */
export async function readyNodes(parts: RunningParts): Promise<Set<string>> {
  const { items } = JSON.parse(await get(parts, '/api/v1/nodes')) as NodeList;
  const ready = items.filter(({ status }) =>
    status.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True'),
  );
  return new Set(ready.map(({ metadata }) => metadata.name));
}

async function waitUntilUsable(
  parts: RunningParts,
  control: ControlPlaneHost,
  nodes: readonly ClusterNode[],
): Promise<void> {
  const stillRuns = async () => {
    await control.mustRun();
    for (const node of nodes) await node.mustRun();
  };
  const logs = `see ${parts.layout.log('*')}`;
  await until(
    `all nodes; ${logs}`,
    async () => {
      await stillRuns();
      const ready = await readyNodes(parts);
      return nodes.every(({ layout }) => ready.has(layout.name));
    },
    atMost,
  );
  await until(
    `the service account of the namespace default; ${logs}`,
    async () => (await get(parts, SERVICE_ACCOUNT)) !== '',
    atMost,
  );
  await until(`the cluster's DNS; ${logs}`, () => control.askDns().then(() => true), atMost);
}

interface Lease {
  readonly spec: { readonly renewTime: string };
}

/** Waits until a node is Ready and its kubelet, started at a time, has shown that it lives. */
export async function waitForNode(parts: RunningParts, node: ClusterNode, startedAt: Date): Promise<void> {
  const { name } = node.layout;
  await until(
    `${name}; see ${parts.layout.log(`${name}-kubelet`)}`,
    async () => {
      await node.mustRun();
      const lease = JSON.parse(await get(parts, `${NODE_LEASES}/${name}`)) as Lease;
      return new Date(lease.spec.renewTime) > startedAt && (await readyNodes(parts)).has(name);
    },
    atMost,
  );
}
