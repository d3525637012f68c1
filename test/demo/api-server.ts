/**
 * The demo's connection to the API server. What is looked at several times a second goes this way: a kubectl
 * for each look would take a core away from what it looks at.
 */
import {
  CONTENT_DISTRIBUTION,
  type ContentDistribution,
  NODE_CONTENT,
  type NodeContent,
} from '../../api/index.ts';
import { loadKubeConfig } from '../../kube/access.ts';
import { createClient, type KubeClient, type KubeObject } from '../../kube/client.ts';
import { PODS } from '../../kube/resource-types.ts';
import { Transport } from '../../kube/transport.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const PROXY_TIMEOUT_MILLISECONDS = 10_000;

/** As much of a Pod as the demo looks at. */
interface Pod extends KubeObject {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly nodeName?: string };
}

export class ApiServer {
  readonly #client: KubeClient;
  readonly #transport: Transport;

  constructor(kubeconfig: string) {
    const access = loadKubeConfig({ kubeconfig });
    const options = { userAgent: 'enxame-demo', logger: silent };
    this.#client = createClient(access, options);
    this.#transport = new Transport(access, options);
  }

  /** @throws KubeError */
  distribution(namespace: string, name: string): Promise<ContentDistribution> {
    return this.#client.resource<ContentDistribution>(CONTENT_DISTRIBUTION).get(name, { namespace });
  }

  /** In the order of their names. @throws KubeError */
  async nodeContents(): Promise<NodeContent[]> {
    return (await this.#client.resource<NodeContent>(NODE_CONTENT).list()).items;
  }

  /** Those of a component of the chart. @throws KubeError */
  async pods(namespace: string, component: string): Promise<Pod[]> {
    const labelSelector = `app.kubernetes.io/component=${component}`;
    return (await this.#client.resource<Pod>(PODS).list({ namespace, labelSelector })).items;
  }

  /**
   * What a Pod or a Service answers, through the API server.
   *
   * @param target such as `pods/NAME:9100` or `services/NAME:8080`
   * @throws KubeError
   */
  async proxied(namespace: string, target: string, path: string): Promise<string> {
    const request = {
      method: 'GET',
      path: `/api/v1/namespaces/${namespace}/${target}/proxy${path}`,
    } as const;
    const signal = AbortSignal.timeout(PROXY_TIMEOUT_MILLISECONDS);
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.#transport.stream({ ...request, signal }, PROXY_TIMEOUT_MILLISECONDS))
      chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    await Promise.all([this.#client.close(), this.#transport.close()]);
  }
}
