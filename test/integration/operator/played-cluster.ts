// Nodes, kubelets, a scheduler and agents, played on a real API server: Pods run where they are told to, agents
// tell what reservations and revisions ask of them, each with a token of its own Pod. Tests say what a source
// gives, and when.
import { isDeepStrictEqual } from 'node:util';
import type { V1Node, V1Pod } from '@kubernetes/client-node';
import {
  API_VERSION,
  CONTENT_REVISION,
  Component,
  type ContentRevision,
  Label,
  NODE_CONTENT,
  type NodeContent,
  type Reservation,
} from '../../../api/index.ts';
import { isConflict, isNotFound, type KubeClient, NODES, PODS } from '../../../kube/index.ts';
import { isSeed, nextPublications, nextRevisions, type Received } from '../../operator/played-agent.ts';
import type { TestApi } from './api.ts';

const BINDINGS = { group: '', version: 'v1', kind: 'Binding', plural: 'bindings', namespaced: true };
const STEP_MILLISECONDS = 100;
/** Well below the 40 s after which a silent node is not ready. */
const HEARTBEAT_MILLISECONDS = 8_000;
const GIB = 1024 ** 3;

interface Binding {
  apiVersion: 'v1';
  kind: 'Binding';
  metadata: { name: string; namespace: string };
  target: { apiVersion: 'v1'; kind: 'Node'; name: string };
}

/** What of the cluster is looked at in one step. */
interface Scene {
  readonly pods: readonly V1Pod[];
  readonly nodes: readonly V1Node[];
  readonly contents: readonly NodeContent[];
  readonly revisions: readonly ContentRevision[];
}

const componentOf = ({ metadata }: V1Pod) => metadata?.labels?.[Label.Component];
const nameOf = ({ metadata }: V1Pod) => ({
  name: metadata?.name ?? '',
  namespace: metadata?.namespace ?? '',
});
const isReady = ({ status }: V1Pod) =>
  status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true;

export class PlayedCluster {
  /** What a publication gives that is being received: nothing yet, unless a test says otherwise. */
  receive: (reservation: Reservation, node: string) => Received = () => 'more';
  /** Nodes whose agents do nothing. */
  readonly silent = new Set<string>();
  /** What went wrong while playing; a test should find it empty. */
  readonly problems: unknown[] = [];
  readonly #api: TestApi;
  readonly #agents = new Map<string, Promise<KubeClient>>();
  readonly #addresses = new Map<string, string>();
  readonly #removed = new Set<string>();
  #beatAt = 0;
  #isStopped = false;
  #running: Promise<void> | undefined;

  constructor(api: TestApi) {
    this.#api = api;
  }

  async addNode(name: string, labels: Record<string, string> = {}): Promise<void> {
    const nodes = this.#api.admin.resource<V1Node>(NODES);
    const own = { 'kubernetes.io/os': 'linux', 'kubernetes.io/hostname': name };
    await nodes.create({ apiVersion: 'v1', kind: 'Node', metadata: { name, labels: { ...own, ...labels } } });
    await this.#beat([name]);
  }

  /** Takes a node away, with its Pods and all that was on it. */
  async removeNode(name: string): Promise<void> {
    await this.#api.admin.resource<V1Node>(NODES).delete({ name });
    const pods = await this.#pods();
    for (const pod of pods) if (pod.spec?.nodeName === name) await this.#end(pod);
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      try {
        await this.#step();
      } catch (error) {
        // Objects come and go while they are played with.
        if (!isNotFound(error) && !isConflict(error)) this.problems.push(error);
      }
      await new Promise((resolve) => setTimeout(resolve, STEP_MILLISECONDS));
    }
  }

  async #pods(): Promise<V1Pod[]> {
    const { items } = await this.#api.admin
      .resource<V1Pod>(PODS)
      .list({ labelSelector: `${Label.Name}=enxame` });
    return items.filter(({ metadata }) => !this.#removed.has(metadata?.uid ?? ''));
  }

  async #step(): Promise<void> {
    const { admin } = this.#api;
    const [pods, nodes, contents, revisions] = await Promise.all([
      this.#pods(),
      admin.resource<V1Node>(NODES).list(),
      admin.resource<NodeContent>(NODE_CONTENT).list(),
      admin.resource<ContentRevision>(CONTENT_REVISION).list(),
    ]);
    const scene = { pods, nodes: nodes.items, contents: contents.items, revisions: revisions.items };
    if (Date.now() - this.#beatAt > HEARTBEAT_MILLISECONDS)
      await this.#beat(scene.nodes.map(({ metadata }) => metadata?.name ?? ''));
    for (const pod of pods) await this.#playPod(pod, scene);
    for (const pod of pods)
      if (componentOf(pod) === Component.Agent && isReady(pod)) await this.#playAgent(pod, scene);
  }

  async #beat(names: readonly string[]): Promise<void> {
    this.#beatAt = Date.now();
    const now = new Date().toISOString();
    const condition = { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'played' };
    const status = { conditions: [{ ...condition, lastHeartbeatTime: now, lastTransitionTime: now }] };
    for (const name of names)
      await this.#api.admin.resource<V1Node>(NODES).mergePatchStatus({ name }, { status });
  }

  /** The kubelet's last word on a Pod. */
  async #end(pod: V1Pod): Promise<void> {
    const { name, namespace } = nameOf(pod);
    this.#removed.add(pod.metadata?.uid ?? '');
    await this.#api.kubectl(
      ...['delete', 'pod', name, '--namespace', namespace],
      ...['--force', '--grace-period=0', '--ignore-not-found', '--wait=false'],
    );
  }

  async #playPod(pod: V1Pod, { nodes }: Scene): Promise<void> {
    const component = componentOf(pod);
    if (component === Component.Operator) return; // Tests run it themselves.
    if (pod.metadata?.deletionTimestamp !== undefined) return this.#end(pod);
    if (pod.spec?.nodeName === undefined) return this.#bind(pod, nodes);
    if (pod.status?.phase !== 'Pending') return;
    const now = new Date().toISOString();
    const podIP = this.#addressOf(pod);
    const ready = { type: 'Ready', status: 'True', lastTransitionTime: now };
    await this.#setStatus(pod, {
      ...{ phase: 'Running', startTime: now, podIP, podIPs: [{ ip: podIP }] },
      ...(component === Component.Publisher ? {} : { conditions: [ready] }),
    });
  }

  #addressOf({ metadata }: V1Pod): string {
    const uid = metadata?.uid ?? '';
    const known = this.#addresses.get(uid);
    if (known !== undefined) return known;
    const place = this.#addresses.size;
    const address = `10.244.${Math.floor(place / 250)}.${1 + (place % 250)}`;
    this.#addresses.set(uid, address);
    return address;
  }

  async #setStatus(pod: V1Pod, status: object): Promise<void> {
    await this.#api.admin.resource<V1Pod>(PODS).mergePatchStatus(nameOf(pod), { status });
  }

  async #bind(pod: V1Pod, nodes: readonly V1Node[]): Promise<void> {
    const terms =
      pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
    // Pods of a DaemonSet name their node so.
    const name = terms?.[0]?.matchFields?.[0]?.values?.[0] ?? nodes[0]?.metadata?.name;
    if (name === undefined) return;
    await this.#api.admin.resource<Binding>(BINDINGS).create({
      ...{ apiVersion: 'v1', kind: 'Binding', metadata: nameOf(pod) },
      target: { apiVersion: 'v1', kind: 'Node', name },
    });
  }

  /** A client with the token of an agent's Pod. */
  #clientOf({ metadata }: V1Pod): Promise<KubeClient> {
    const { name = '', uid = '' } = metadata ?? {};
    const known = this.#agents.get(uid);
    if (known !== undefined) return known;
    const client = this.#api
      .kubeconfigOf('enxame-agent', { name, uid })
      .then((file) => this.#api.connect(file));
    this.#agents.set(uid, client);
    return client;
  }

  async #playAgent(pod: V1Pod, scene: Scene): Promise<void> {
    const name = pod.spec?.nodeName ?? '';
    const node = scene.nodes.find(({ metadata }) => metadata?.name === name);
    if (node === undefined || this.silent.has(name)) return;
    const contents = (await this.#clientOf(pod)).resource<NodeContent>(NODE_CONTENT);
    const content = scene.contents.find(({ metadata }) => metadata.name === name);
    if (content === undefined) {
      const owner = { apiVersion: 'v1', kind: 'Node', name, uid: node.metadata?.uid ?? '' };
      await contents.create({
        ...{ apiVersion: API_VERSION, kind: NODE_CONTENT.kind },
        ...{ metadata: { name, ownerReferences: [owner] }, spec: {} },
      });
      return;
    }
    const sight = {
      node: { name, labels: node.metadata?.labels ?? {} },
      content,
      revisions: scene.revisions,
      isStreaming: (reservation: Reservation) =>
        JSON.stringify(publisherOf(reservation, scene)?.spec ?? {}).includes(
          `http://${pod.status?.podIP}:9100`,
        ),
      receive: (reservation: Reservation) => this.receive(reservation, name),
      hasSeed: (uid: string, revision: string) => scene.contents.some((one) => isSeed(one, uid, revision)),
    };
    const publishing = nextPublications(sight);
    const status = {
      agent: { version: '0.1.0', podUID: pod.metadata?.uid ?? '' },
      storage: {
        ...{ capacityBytes: 100 * GIB, usedBytes: 0, reservedBytes: 0, availableBytes: 90 * GIB },
      },
      publishing,
      revisions: nextRevisions(sight, publishing),
    };
    for (const reservation of content.spec?.publishing ?? [])
      await this.#endPublisher(reservation, content, scene);
    if (!isDeepStrictEqual(status, content.status)) await contents.mergePatchStatus({ name }, { status });
  }

  /** A publisher ends once the agent has told how its publication ended. */
  async #endPublisher(reservation: Reservation, { status }: NodeContent, scene: Scene): Promise<void> {
    const told = status?.publishing?.find(
      ({ uid, attempt }) => uid === reservation.uid && attempt === reservation.attempt,
    );
    const pod = publisherOf(reservation, scene);
    if (pod === undefined || (told?.phase !== 'Published' && told?.phase !== 'Failed')) return;
    const hasFailed = told.phase === 'Failed';
    const now = new Date().toISOString();
    const terminated = {
      ...{ exitCode: hasFailed ? 1 : 0, reason: hasFailed ? 'Error' : 'Completed', startedAt: now },
      finishedAt: now,
      message: hasFailed ? JSON.stringify({ reason: told.reason, message: told.message }) : '',
    };
    const container = {
      ...{ name: 'publisher', image: 'enxame', imageID: '', ready: false, restartCount: 0 },
      state: { terminated },
    };
    await this.#setStatus(pod, {
      phase: hasFailed ? 'Failed' : 'Succeeded',
      containerStatuses: [container],
    });
  }
}

/** The running Pod that a reservation names. */
function publisherOf({ podNamespace, podName, podUID }: Reservation, { pods }: Scene): V1Pod | undefined {
  return pods.find(
    ({ metadata, status }) =>
      metadata?.namespace === podNamespace &&
      metadata.name === podName &&
      metadata.uid === podUID &&
      status?.phase === 'Running',
  );
}
