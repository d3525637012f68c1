/** The web server of the demo, in a Pod of the cluster. It counts what it sends. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cluster } from '../cluster/cluster.ts';
import type { ApiServer } from './api-server.ts';

const SERVER = join(import.meta.dirname, '..', 'source', 'server.mjs');
export const DEMO_NAMESPACE = 'demo';
const PORT = 8080;

function objects(image: string, folder: string, script: string): object[] {
  const namespace = DEMO_NAMESPACE;
  const labels = { app: 'source' };
  return [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'source', namespace },
      data: { 'server.mjs': script },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'source', namespace },
      spec: { selector: labels, ports: [{ port: PORT }] },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'source', namespace, labels },
      spec: {
        terminationGracePeriodSeconds: 1,
        automountServiceAccountToken: false,
        containers: [
          {
            name: 'source',
            image,
            imagePullPolicy: 'IfNotPresent',
            command: ['/usr/local/bin/node', '/source/server.mjs'],
            env: [
              { name: 'PORT', value: String(PORT) },
              { name: 'FILES', value: '/files' },
            ],
            readinessProbe: { httpGet: { path: '/healthz', port: PORT }, periodSeconds: 1 },
            volumeMounts: [
              { name: 'source', mountPath: '/source', readOnly: true },
              { name: 'files', mountPath: '/files', readOnly: true },
            ],
          },
        ],
        volumes: [
          { name: 'source', configMap: { name: 'source' } },
          { name: 'files', hostPath: { path: folder, type: 'Directory' } },
        ],
      },
    },
  ];
}

/** Starts the source anew, with its counters at nothing. @param folder on every node, of the files it serves */
export async function startSource(cluster: Cluster, image: string, folder: string): Promise<void> {
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: DEMO_NAMESPACE } };
  const apply = (items: object[]) =>
    cluster.kubectl(['apply', '--filename', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  await apply([namespace]);
  const inNamespace = ['--namespace', DEMO_NAMESPACE];
  // No Pod is let in before a controller has made the namespace's account.
  await cluster.kubectl([...inNamespace, 'wait', '--for=create', 'serviceaccount/default', '--timeout=60s']);
  const earlier = ['delete', 'pod', 'source', '--ignore-not-found', '--grace-period=1'];
  await cluster.kubectl([...inNamespace, ...earlier]);
  await apply(objects(image, folder, await readFile(SERVER, 'utf8')));
  await cluster.kubectl([...inNamespace, 'wait', '--for=condition=Ready', 'pod/source', '--timeout=60s']);
}

/** Bytes of bodies that the source has sent since it was started. @throws KubeError */
export async function bytesServed(api: ApiServer): Promise<number> {
  const text = await api.proxied(DEMO_NAMESPACE, `services/source:${PORT}`, '/stats');
  const stats = JSON.parse(text) as { [path: string]: { bytes: number } };
  return Object.values(stats).reduce((sum, { bytes }) => sum + bytes, 0);
}
