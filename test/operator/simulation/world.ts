// A cluster in memory: nodes with agents that do what reservations and revisions say, a kubelet, a source that
// may fail, and any number of operators. Every part moves one step when it is told to, so that a test decides
// in which order things happen.

import { createHash } from 'node:crypto';
import type { V1Node, V1PersistentVolume, V1PersistentVolumeClaim, V1Pod } from '@kubernetes/client-node';
import {
  type ContentDistribution,
  type ContentDistributionSpec,
  type ContentRevision,
  contentRevisionName,
  matchesPlacement,
  type NodeContent,
  type Reservation,
  revisionFromDigest,
  sourceState,
} from '../../../api/index.ts';
import { ClusterView } from '../../../operator/cluster-view.ts';
import { DistributionReconciler } from '../../../operator/distribution-reconciler.ts';
import { ReservationWriter } from '../../../operator/publishing/reservations.ts';
import type { StatusEvent } from '../../../operator/status/events.ts';
import { sweep } from '../../../operator/sweep/sweep.ts';
import { FakeClock } from '../../base/fake-clock.ts';
import { NOW, publisherSettings } from '../objects.ts';
import { isSeed, nextPublications, nextRevisions, type Received, type Sight } from '../played-agent.ts';
import { copy, LaggingCache, MemoryApi, type Stored } from './memory-api.ts';

const KEY = 'ml/model';
const MIB = 1024 * 1024;
/** So many rounds of 5 minutes without a change are longer than every grace and back-off. */
const QUIET_ROUNDS = 5;
const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** One operator: its own caches, and a memory of its own. */
export class SimulatedOperator {
  readonly caches;
  readonly view: ClusterView;
  readonly reconciler: DistributionReconciler;
  readonly #reservations: ReservationWriter;
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
    const { api } = world;
    const label =
      (key: string, value?: string) => (object: { metadata?: { labels?: { [key: string]: string } } }) =>
        value === undefined
          ? object.metadata?.labels?.[key] !== undefined
          : object.metadata?.labels?.[key] === value;
    this.caches = {
      distributions: new LaggingCache<ContentDistribution>(api, 'ContentDistribution'),
      revisions: new LaggingCache<ContentRevision>(api, 'ContentRevision'),
      contents: new LaggingCache<NodeContent>(api, 'NodeContent'),
      nodes: new LaggingCache<V1Node>(api, 'Node'),
      agentPods: new LaggingCache<V1Pod>(api, 'Pod', label('app.kubernetes.io/component', 'agent')),
      publisherPods: new LaggingCache<V1Pod>(api, 'Pod', label('app.kubernetes.io/component', 'publisher')),
      volumes: new LaggingCache<V1PersistentVolume>(
        api,
        'PersistentVolume',
        label('enxame.dev/distribution-uid'),
      ),
      claims: new LaggingCache<V1PersistentVolumeClaim>(
        api,
        'PersistentVolumeClaim',
        label('enxame.dev/distribution-uid'),
      ),
    };
    const { clock } = world;
    this.view = new ClusterView(this.caches, clock);
    this.#reservations = new ReservationWriter({
      client: api.client('NodeContent'),
      cached: (node) => this.view.contents.get(node),
      wrote: (content) => this.view.contents.wrote(content),
    });
    this.reconciler = new DistributionReconciler({
      view: this.view,
      clock,
      logger: silent,
      distributions: api.client('ContentDistribution'),
      revisions: api.client('ContentRevision'),
      publishing: {
        pods: api.client('Pod'),
        reservations: this.#reservations,
        settings: publisherSettings,
      },
      claim: {
        volumes: api.client('PersistentVolume'),
        claims: api.client('PersistentVolumeClaim'),
        contentRoot: '/var/lib/enxame',
      },
      swarms: { follow() {}, unfollow() {}, get: () => undefined },
      observer: { observed() {}, gone() {}, statusWritten() {} },
      tell: (_, event) => world.events.push(event),
    });
  }

  /** Lets the watches show some more. */
  catchUp(most?: number): void {
    for (const cache of Object.values(this.caches)) cache.catchUp(most);
  }

  /** Reconciles; what the API refuses is tried again later, as the queue does. */
  async reconcile(): Promise<void> {
    try {
      await this.reconciler.reconcile(KEY);
    } catch (error) {
      this.#world.noteError(error);
    }
  }

  async sweep(): Promise<void> {
    const { api } = this.#world;
    const { view } = this;
    try {
      await sweep({
        view,
        distributions: api.client('ContentDistribution'),
        volumes: api.client('PersistentVolume'),
        pods: api.client('Pod'),
        reservations: this.#reservations,
        logger: silent,
      });
    } catch (error) {
      this.#world.noteError(error);
    }
  }
}

/** What a source gives: its digest is made from its name and version. */
export const digestOf = (state: string, version = 0) =>
  `sha256:${createHash('sha256').update(`${state}/${version}`).digest('hex')}`;

export class World {
  readonly clock = new FakeClock(NOW);
  readonly api = new MemoryApi(() => new Date(this.clock.now()).toISOString());
  readonly events: StatusEvent[] = [];
  /** How often the source still fails. */
  sourceFailures = 0;
  /** Nodes that refuse every publication. */
  readonly full = new Set<string>();
  /** Nodes whose disk fails under every publication. */
  readonly broken = new Set<string>();
  /** Nodes that are ready, and that no publisher gets through to. */
  readonly unreachable = new Set<string>();
  operators: SimulatedOperator[] = [];
  readonly #agentStarts = new Map<string, number>();

  constructor(nodeCount: number) {
    for (let place = 0; place < nodeCount; place += 1) this.addNode(`node-${place}`);
  }

  /** Errors that the API server gives on purpose are part of the game; others are defects. */
  noteError(error: unknown): void {
    const { code } = error as { code?: unknown };
    if (![404, 409, 503, 504].includes(code as number)) throw error;
  }

  addNode(name: string): void {
    const labels = {
      'kubernetes.io/os': 'linux',
      'kubernetes.io/hostname': name,
      half: name.endsWith('0') ? 'a' : 'b',
    };
    this.api.make('Node', { metadata: { name, labels } });
    this.setReady(name, true);
    this.startAgent(name);
  }

  setReady(name: string, isReady: boolean): void {
    const conditions = [
      {
        type: 'Ready',
        status: isReady ? 'True' : 'False',
        lastTransitionTime: new Date(this.clock.now()).toISOString(),
      },
    ];
    this.api.patch('Node', name, { status: { conditions } }, 'status');
  }

  /** Starts the agent of a node anew: another Pod, another address; its disk stays. */
  startAgent(name: string): void {
    const starts = (this.#agentStarts.get(name) ?? 0) + 1;
    this.#agentStarts.set(name, starts);
    for (const { metadata } of this.api.list('Pod'))
      if (metadata.labels?.node === name) this.api.finalize('Pod', `${metadata.namespace}/${metadata.name}`);
    const pod = this.api.make('Pod', {
      metadata: {
        name: `agent-${name}-${starts}`,
        namespace: 'enxame-system',
        labels: { 'app.kubernetes.io/component': 'agent', node: name },
      },
      spec: { nodeName: name, containers: [] },
    });
    this.api.patch(
      'Pod',
      `enxame-system/${pod.metadata.name}`,
      {
        status: {
          podIP: `10.0.${name.slice(5)}.${starts}`,
          conditions: [
            { type: 'Ready', status: 'True', lastTransitionTime: new Date(this.clock.now()).toISOString() },
          ],
        },
      },
      'status',
    );
    if (this.api.read('NodeContent', name) === undefined)
      this.api.make('NodeContent', { metadata: { name } });
    const status = {
      agent: { version: '0.1.0', podUID: pod.metadata.uid },
      storage: { capacityBytes: 100 * MIB, usedBytes: 0, reservedBytes: 0, availableBytes: 90 * MIB },
    };
    this.api.patch('NodeContent', name, { status }, 'status');
  }

  /** A node that is gone for good, with all that was on it. */
  removeNode(name: string): void {
    if (this.api.read('Node', name) === undefined) return;
    this.api.erase('Node', name);
    for (const { metadata } of this.api.list('Pod'))
      if (metadata.labels?.node === name) this.api.finalize('Pod', `${metadata.namespace}/${metadata.name}`);
    this.api.erase('NodeContent', name);
  }

  // The user.

  apply(spec: ContentDistributionSpec): void {
    const present = this.api.read<Stored>('ContentDistribution', KEY);
    const object = { apiVersion: 'enxame.dev/v1alpha1', metadata: { name: 'model', namespace: 'ml' }, spec };
    if (present === undefined) this.api.make('ContentDistribution', object);
    else this.api.replace('ContentDistribution', { ...present, spec } as Stored);
  }

  deleteDistribution(): void {
    if (this.distribution !== undefined) this.api.erase('ContentDistribution', KEY);
  }

  get distribution(): ContentDistribution | undefined {
    return this.api.read<ContentDistribution>('ContentDistribution', KEY);
  }

  // The kubelet.

  stepPods(): void {
    for (const pod of this.api.list<Stored>('Pod')) {
      if (pod.metadata.labels?.['app.kubernetes.io/component'] !== 'publisher') continue;
      const key = `${pod.metadata.namespace}/${pod.metadata.name}`;
      if (pod.metadata.deletionTimestamp !== undefined) this.api.finalize('Pod', key);
      else if (pod.status?.phase === undefined)
        this.api.patch('Pod', key, { status: { phase: 'Running' } }, 'status');
      else if (pod.status.phase === 'Running' && this.unreachable.has(this.#receiverOf(pod) ?? ''))
        this.#endPod(pod, { reason: 'AgentUnreachable', message: 'no route' });
    }
  }

  /** The node that a publisher streams to. */
  #receiverOf(pod: Stored): string | undefined {
    return this.api
      .list<NodeContent>('NodeContent')
      .find(({ spec }) => spec?.publishing?.some(({ podName }) => podName === pod.metadata.name))?.metadata
      .name;
  }

  #endPod(pod: Stored, failure: { reason: string; message: string } | undefined): void {
    const terminated = {
      exitCode: failure === undefined ? 0 : 1,
      finishedAt: new Date(this.clock.now()).toISOString(),
      ...(failure === undefined ? {} : { message: JSON.stringify(failure) }),
    };
    const status = {
      phase: failure === undefined ? 'Succeeded' : 'Failed',
      containerStatuses: [{ name: 'publisher', state: { terminated } }],
    };
    this.api.patch('Pod', `${pod.metadata.namespace}/${pod.metadata.name}`, { status }, 'status');
  }

  // The agents.

  isUp(name: string): boolean {
    const node = this.api.read<Stored>('Node', name);
    const conditions = node?.status?.conditions as { status: string }[] | undefined;
    return (
      conditions?.[0]?.status === 'True' &&
      this.api.list('Pod').some(({ metadata }) => metadata.labels?.node === name)
    );
  }

  /** One step of a node's agent: publications, then revisions. */
  stepAgent(name: string): void {
    if (!this.isUp(name)) return;
    const content = this.api.read<NodeContent>('NodeContent', name);
    if (content === undefined) return;
    const sight: Sight = {
      node: { name, labels: this.api.read<V1Node>('Node', name)?.metadata?.labels ?? {} },
      content,
      revisions: this.api.list<ContentRevision>('ContentRevision'),
      isStreaming: (reservation) => this.#isStreaming(name, reservation),
      receive: (reservation) => this.#receive(name, reservation),
      hasSeed: (uid, revision) =>
        this.api
          .list<NodeContent>('NodeContent')
          .some((other) => this.isUp(other.metadata.name) && isSeed(other, uid, revision)),
    };
    const publishing = nextPublications(sight);
    const revisions = nextRevisions(sight, publishing);
    for (const reservation of content.spec?.publishing ?? []) this.#endPublisher(reservation, content);
    this.api.patch('NodeContent', name, { status: { publishing, revisions } }, 'status');
  }

  #publisherOf({ podNamespace, podName, podUID }: Reservation): Stored | undefined {
    const pod = this.api.read<Stored>('Pod', `${podNamespace}/${podName}`);
    return pod?.metadata.uid === podUID && pod?.status?.phase === 'Running' ? pod : undefined;
  }

  #isStreaming(name: string, reservation: Reservation): boolean {
    const agent = this.api.list('Pod').find(({ metadata }) => metadata.labels?.node === name);
    const pod = this.#publisherOf(reservation);
    if (this.unreachable.has(name)) return false;
    return (
      pod !== undefined && JSON.stringify(pod.spec).includes(`http://${String(agent?.status?.podIP)}:9100`)
    );
  }

  #receive(name: string, { sourceState: state }: Reservation): Received {
    if (this.full.has(name)) return { reason: 'InsufficientStorage', message: 'needs 1, has 0' };
    if (this.broken.has(name)) return { reason: 'DiskError', message: 'EIO' };
    if (this.sourceFailures > 0) {
      this.sourceFailures -= 1;
      return { reason: 'SourceServerError', message: '503' };
    }
    return { digest: digestOf(state), sizeBytes: MIB };
  }

  /** A publisher ends once the agent has told how its publication ended. */
  #endPublisher(reservation: Reservation, { status }: NodeContent): void {
    const told = status?.publishing?.find(
      ({ uid, attempt }) => uid === reservation.uid && attempt === reservation.attempt,
    );
    const pod = this.#publisherOf(reservation);
    if (pod === undefined) return;
    if (told?.phase === 'Published') this.#endPod(pod, undefined);
    if (told?.phase === 'Failed')
      this.#endPod(pod, { reason: told.reason ?? 'PublisherFailed', message: told.message ?? '' });
  }

  // Everybody, in turn, until nothing moves.

  startOperator(): SimulatedOperator {
    const operator = new SimulatedOperator(this);
    this.operators.push(operator);
    return operator;
  }

  async settle(rounds = 80): Promise<void> {
    let quiet = 0;
    for (let round = 0; round < rounds && quiet < QUIET_ROUNDS; round += 1) {
      const before = this.api.changes.length;
      for (const operator of this.operators) {
        operator.catchUp();
        await operator.reconcile();
        await operator.sweep();
      }
      this.stepPods();
      for (const { metadata } of this.api.list('Node')) this.stepAgent(metadata.name);
      this.api.collectGarbage();
      // Long enough for every grace and back-off, once nothing else happens.
      const isQuiet = this.api.changes.length === before;
      this.clock.skip(isQuiet ? 301_000 : 1_000);
      quiet = isQuiet ? quiet + 1 : 0;
    }
  }

  /** What must come out, whatever happened before; an error names what is not so. */
  check(): void {
    const { distribution, api } = this;
    const problems: string[] = [];
    const expect = (isSo: boolean, what: string) => {
      if (!isSo) problems.push(what);
    };
    const reservations = api.list<NodeContent>('NodeContent').flatMap(({ spec }) => spec?.publishing ?? []);
    const publishers = api
      .list('Pod')
      .filter(({ metadata }) => metadata.labels?.['app.kubernetes.io/component'] === 'publisher');
    const revisions = api.list<ContentRevision>('ContentRevision');
    const volumes = api.list('PersistentVolume');
    const claims = api.list('PersistentVolumeClaim');
    if (distribution === undefined) {
      expect(
        reservations.length + publishers.length + revisions.length + volumes.length + claims.length === 0,
        'something is left of a distribution that is gone',
      );
    } else {
      const { spec, metadata, status } = distribution;
      const uid = metadata.uid ?? '';
      const state = sourceState(spec.source);
      expect(reservations.length === 0, `reservations are left: ${JSON.stringify(reservations)}`);
      expect(publishers.length === 0, 'publisher Pods are left');
      expect(
        revisions.every((one) => one.spec.distributionUID === uid),
        'a revision is of another distribution',
      );
      const desired = revisions.find((one) => one.spec.digest === digestOf(state));
      expect(desired !== undefined, 'the revision of the present source is missing');
      expect(
        desired?.metadata.name === contentRevisionName('model', revisionFromDigest(digestOf(state))),
        'its name is wrong',
      );
      for (const other of revisions)
        if (other !== desired)
          expect(
            other.spec.activation.epoch < (desired?.spec.activation.epoch ?? 0),
            'another revision has its epoch or a higher one',
          );
      expect(revisions.length <= (spec.retention?.revisions ?? 2), `${revisions.length} revisions are kept`);
      expect(
        new Set(revisions.map((one) => one.spec.sequence)).size === revisions.length,
        'a sequence occurs twice',
      );
      expect(volumes.length === (spec.claim === undefined ? 0 : 1), 'volumes do not fit the claim');
      expect(claims.length === (spec.claim === undefined ? 0 : 1), 'claims do not fit the claim');
      for (const { metadata: node, status: told } of api.list<NodeContent>('NodeContent')) {
        if (
          !matchesPlacement(spec.placement, {
            metadata: {
              name: node.name,
              labels: api.read<V1Node>('Node', node.name)?.metadata?.labels ?? {},
            },
          })
        )
          continue;
        const shown = told?.revisions?.filter(({ active }) => active === true) ?? [];
        expect(
          shown.length === 1 && shown[0]?.revision === desired?.spec.revision && shown[0]?.uid === uid,
          `node ${node.name} shows ${JSON.stringify(shown)}`,
        );
      }
      const ready = status?.conditions?.find(({ type }) => type === 'Ready');
      expect(ready?.status === 'True', `Ready is ${JSON.stringify(ready)}`);
      expect(status?.observedGeneration === metadata.generation, 'observedGeneration is old');
      expect(status?.conditions?.find(({ type }) => type === 'Stalled')?.status === 'False', 'it is stalled');
      expect(status?.nodes?.held === status?.nodes?.selected, `nodes are ${JSON.stringify(status?.nodes)}`);
    }
    if (problems.length > 0)
      throw new Error(`${problems.join('; ')}\n${JSON.stringify(copy(distribution?.status ?? {}))}`);
  }
}
