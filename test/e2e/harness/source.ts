/** A real HTTP source in a Pod of the cluster, and content that anyone can make again. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PATIENCE } from '../../patience.ts';
import { randomContentSha256 } from '../../source/content.ts';
import { api, apply, kubectl } from './environment.ts';
import { image, NODE_PROGRAM, restrictedContainer, restrictedPod } from './pods.ts';
import { until } from './until.ts';

const SERVER = join(import.meta.dirname, '..', '..', 'source', 'server.mjs');
const PORT = 8080;

/** How the source misbehaves with one path; see test/source/server.mjs. */
export interface Behaviour {
  status?: number;
  endAfter?: number;
  stallAfter?: number;
  /** Bytes a second. */
  rate?: number;
  requireHeader?: string;
}

/** A file of the source. */
export interface SourceFile {
  /** Path within the distribution. */
  readonly path: string;
  readonly url: string;
  readonly sizeBytes: number;
  /** Lower-case hex; made when it is asked for. */
  readonly sha256: string;
  /** Path within the source. */
  readonly sourcePath: string;
}

export class Source {
  readonly #namespace: string;

  constructor(namespace: string) {
    this.#namespace = namespace;
  }

  /** A file of so many bytes that follow from the seed. */
  file(path: string, seed: string, sizeBytes: number): SourceFile {
    const name = path.slice(path.lastIndexOf('/') + 1);
    const sourcePath = `/random/${seed}/${sizeBytes}/${name}`;
    const url = `http://source.${this.#namespace}.svc:${PORT}${sourcePath}`;
    let known: string | undefined;
    return {
      ...{ path, url, sizeBytes, sourcePath },
      get sha256() {
        known ??= randomContentSha256(seed, sizeBytes);
        return known;
      },
    };
  }

  #proxied(path: string): string {
    return `/api/v1/namespaces/${this.#namespace}/services/source:${PORT}/proxy${path}`;
  }

  async #answers(): Promise<boolean> {
    await api.json({ method: 'GET', path: this.#proxied('/stats') });
    return true;
  }

  /** Tells the source how to answer a path from now on. */
  async behave({ sourcePath }: SourceFile, behaviour: Behaviour): Promise<void> {
    await api.json({ method: 'PUT', path: this.#proxied(`/behaviour${sourcePath}`), body: behaviour });
  }

  /** Bodies sent for a file. */
  async sent({ sourcePath }: SourceFile): Promise<{ requests: number; bytes: number }> {
    const stats = (await api.json({ method: 'GET', path: this.#proxied('/stats') })) as {
      [path: string]: { requests: number; bytes: number };
    };
    return stats[sourcePath] ?? { requests: 0, bytes: 0 };
  }

  /** Ends the source for good. */
  async stop(): Promise<void> {
    await kubectl([...this.#inNamespace, 'delete', 'pod/source', 'service/source', '--grace-period=1']);
  }

  get #inNamespace() {
    return ['--namespace', this.#namespace];
  }

  /** Starts a source; it answers when this resolves. */
  static async start(namespace: string): Promise<Source> {
    const labels = { app: 'source' };
    await apply(
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'source', namespace },
        data: { 'server.mjs': await readFile(SERVER, 'utf8') },
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
          ...restrictedPod,
          containers: [
            {
              ...restrictedContainer,
              name: 'source',
              image: await image(),
              command: [NODE_PROGRAM, '/source/server.mjs'],
              env: [{ name: 'PORT', value: String(PORT) }],
              readinessProbe: { httpGet: { path: '/healthz', port: PORT }, periodSeconds: 1 },
              volumeMounts: [{ name: 'source', mountPath: '/source' }],
            },
          ],
          volumes: [{ name: 'source', configMap: { name: 'source' } }],
        },
      },
    );
    const ready = ['wait', '--for=condition=Ready', 'pod/source', `--timeout=${PATIENCE * 60}s`];
    await kubectl(['--namespace', namespace, ...ready]);
    const source = new Source(namespace);
    // The Service is told of the Pod a moment after the Pod is ready.
    await until('the source answers through its Service', () => source.#answers());
    return source;
  }
}
