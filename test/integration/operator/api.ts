// A real API server with the chart on it and its programs' own service accounts, and who may use it as whom.
// Invariant: the operator and the agents connect with tokens of theirs, so that roles and policies judge what
// they do.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { createClient, type KubeClient, loadKubeConfig } from '../../../kube/index.ts';
import { contentRevision } from '../../api/objects.ts';
import { until } from '../../base/until.ts';
import { type ControlPlane, startControlPlane } from '../../cluster/control-plane.ts';
import { PATIENCE } from '../../patience.ts';
import { NAMESPACE, render } from '../chart/render.ts';

interface Kubeconfig {
  clusters: unknown[];
  contexts: { name: string; context: { cluster: string; user: string } }[];
  users: { name: string; user: object }[];
  'current-context': string;
}

const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** The API of a test. */
export class TestApi {
  readonly plane: ControlPlane;
  /** As administrator. */
  readonly admin: KubeClient;
  readonly #clients: KubeClient[] = [];
  #tokens = 0;

  private constructor(plane: ControlPlane) {
    this.plane = plane;
    this.admin = this.connect(plane.kubeconfigPath);
  }

  /** Starts it; the chart is installed when this resolves, and its policies are in force. */
  static async start(): Promise<TestApi> {
    const plane = await startControlPlane({ controllerManager: true });
    const api = new TestApi(plane);
    try {
      await api.#install();
    } catch (error) {
      await api.close();
      throw error;
    }
    return api;
  }

  async #install(): Promise<void> {
    const objects = await render();
    const isDefinition = ({ kind }: { kind: string }) => kind === 'CustomResourceDefinition';
    await this.kubectl('create', 'namespace', NAMESPACE);
    await this.create(objects.filter(isDefinition));
    await this.kubectl('wait', '--for=condition=Established', `--timeout=${PATIENCE * 30}s`, 'crd', '--all');
    await this.create(objects.filter((object) => !isDefinition(object)));
    const { metadata, ...rest } = contentRevision();
    const forged = { ...rest, metadata: { ...metadata, namespace: 'default' } };
    await until('the admission policies are in force', async () => {
      const create = this.plane.kubectl(['create', '--dry-run=server', '-f', '-'], JSON.stringify(forged));
      return create.then(
        () => false,
        (error: { stderr?: string }) => error.stderr?.includes('only the operator may make') === true,
      );
    });
  }

  kubectl(...args: string[]): Promise<string> {
    return this.plane.kubectl(args);
  }

  /** Creates objects of any kind, as administrator. */
  async create(items: readonly object[]): Promise<void> {
    await this.plane.kubectl(
      ['create', '-f', '-'],
      JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
    );
  }

  /** A client that stays open until the end. */
  connect(kubeconfig: string): KubeClient {
    const client = createClient(loadKubeConfig({ kubeconfig }), { userAgent: 'enxame-test', logger: silent });
    this.#clients.push(client);
    return client;
  }

  /**
   * A kubeconfig with a token of a service account of the chart.
   *
   * @param pod the Pod that the token is bound to: as the kubelet asks for them
   */
  async kubeconfigOf(
    account: string,
    pod?: { readonly name: string; readonly uid: string },
  ): Promise<string> {
    const bound =
      pod === undefined
        ? []
        : ['--bound-object-kind=Pod', `--bound-object-name=${pod.name}`, `--bound-object-uid=${pod.uid}`];
    const token = await this.kubectl('create', 'token', account, '--namespace', NAMESPACE, ...bound);
    const config = parse(await readFile(this.plane.kubeconfigPath, 'utf8')) as Kubeconfig;
    const user = config.contexts[0]!.context.user;
    this.#tokens += 1;
    const file = join(this.plane.folder, `token-${this.#tokens}.kubeconfig`);
    const users = [{ name: user, user: { token: token.trim() } }];
    await writeFile(file, stringify({ ...config, users }), { mode: 0o600 });
    return file;
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    await this.plane.close();
  }
}
