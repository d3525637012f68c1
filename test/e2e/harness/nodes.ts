/** What really lies on the nodes' disks, as their agents' Pods see it. */
import type { V1Node, V1Pod } from '@kubernetes/client-node';
import { NODES, PODS } from '../../../kube/resource-types.ts';
import { SYSTEM_NAMESPACE } from './chart.ts';
import { kubectl, resource } from './environment.ts';
import { agentOn, NODE_PROGRAM } from './pods.ts';
import type { SourceFile } from './source.ts';

const CONTENT_ROOT = '/var/lib/enxame';

/** Names of all nodes. */
export async function nodeNames(): Promise<string[]> {
  const { items } = await resource<V1Node>(NODES).list();
  return items.map(({ metadata }) => metadata!.name!).sort();
}

/** Runs a script of Node in the agent's container of a node, and returns what it prints. */
async function runOn(node: string, script: string, ...args: string[]): Promise<string> {
  const pod = (await agentOn(node)).metadata!.name!;
  const command = [NODE_PROGRAM, '--input-type=module', '--eval', script, '--', ...args];
  return kubectl(['-n', SYSTEM_NAMESPACE, 'exec', pod, '--', ...command]);
}

const HASH_TREE = `
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync, statSync } from 'node:fs';
const root = process.argv[1];
const found = {};
if (existsSync(root))
  for (const path of readdirSync(root, { recursive: true }).sort()) {
    if (!statSync(root + '/' + path).isFile()) continue;
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(root + '/' + path)) hash.update(chunk);
    found[path] = hash.digest('hex');
  }
process.stdout.write(JSON.stringify(found));
`;

/** SHA-256 by path of the files that a node shows for a distribution; none if it shows nothing. */
export async function filesOn(
  node: string,
  namespace: string,
  name: string,
): Promise<Record<string, string>> {
  const path = `${CONTENT_ROOT}/by-name/${namespace}/${name}/current`;
  return JSON.parse(await runOn(node, HASH_TREE, path)) as Record<string, string>;
}

/** What filesOn says of a node that has all of it, and nothing else. */
export function asOnNode(files: readonly SourceFile[]): Record<string, string> {
  return Object.fromEntries(files.map(({ path, sha256 }) => [path, sha256]));
}

const LIST = `
import { existsSync, readdirSync } from 'node:fs';
const root = process.argv[1];
process.stdout.write(JSON.stringify(existsSync(root) ? readdirSync(root).sort() : []));
`;

/** Names in a folder of a node's content root; none if it is not there. */
export async function listOn(node: string, folder: string): Promise<string[]> {
  return JSON.parse(await runOn(node, LIST, `${CONTENT_ROOT}/${folder}`)) as string[];
}

/** The node that a Pod runs on. */
export async function nodeOf(namespace: string, pod: string): Promise<string | undefined> {
  return (await resource<V1Pod>(PODS).get(pod, { namespace })).spec?.nodeName;
}

/** What the agent of a node counts, since its process began. */
export async function agentMetrics(
  node: string,
): Promise<{ downloadedBytes: number; residentBytes: number }> {
  const pod = (await agentOn(node)).metadata!.name!;
  const path = `/api/v1/namespaces/${SYSTEM_NAMESPACE}/pods/${pod}:9100/proxy/metrics`;
  const text = await kubectl(['get', '--raw', path]);
  const value = (name: string) => Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
  return {
    downloadedBytes: value('enxame_agent_downloaded_bytes_total'),
    residentBytes: value('enxame_agent_resident_memory_bytes'),
  };
}
