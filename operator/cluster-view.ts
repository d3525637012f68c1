// The cluster as the operator last saw it, by what reconcilers ask for.
import type { V1Node, V1PersistentVolume, V1PersistentVolumeClaim, V1Pod } from '@kubernetes/client-node';
import {
  type ContentDistribution,
  type ContentRevision,
  Label,
  type NodeContent,
  persistentVolumeName,
} from '../api/index.ts';
import type { Clock } from '../base/index.ts';
import { type NodeState, nodeState } from './nodes/node-state.ts';
import { OwnWrites } from './own-writes.ts';
import { keyOf, type ObjectCache } from './ports.ts';

/** What is watched. */
export interface Caches {
  readonly distributions: ObjectCache<ContentDistribution>;
  readonly revisions: ObjectCache<ContentRevision>;
  readonly contents: ObjectCache<NodeContent>;
  readonly nodes: ObjectCache<V1Node>;
  /** Pods of agents, in the operator's namespace. */
  readonly agentPods: ObjectCache<V1Pod>;
  /** Pods of publishers, everywhere. */
  readonly publisherPods: ObjectCache<V1Pod>;
  /** Those that carry a distribution's UID. */
  readonly volumes: ObjectCache<V1PersistentVolume>;
  readonly claims: ObjectCache<V1PersistentVolumeClaim>;
}

interface RememberedNode {
  readonly node: V1Node | undefined;
  readonly agentPods: readonly V1Pod[];
  readonly content: NodeContent | undefined;
  readonly state: NodeState;
}

function isSame(a: readonly V1Pod[], b: readonly V1Pod[]): boolean {
  return a.length === b.length && a.every((pod, place) => pod === b[place]);
}

const uidLabel = ({ metadata }: { metadata?: { labels?: { [key: string]: string } } }) =>
  metadata?.labels?.[Label.DistributionUid];

/** Reads the caches, with our own writes on top. */
export class ClusterView {
  readonly distributions: ObjectCache<ContentDistribution>;
  readonly revisions: OwnWrites<ContentRevision>;
  readonly contents: OwnWrites<NodeContent>;
  readonly publisherPods: OwnWrites<V1Pod>;
  readonly volumes: OwnWrites<V1PersistentVolume>;
  readonly claims: OwnWrites<V1PersistentVolumeClaim>;
  readonly #nodes: ObjectCache<V1Node>;
  readonly #agentPods: ObjectCache<V1Pod>;
  readonly #clock: Clock;
  #remembered = new Map<string, RememberedNode>();

  constructor(caches: Caches, clock: Clock) {
    this.distributions = caches.distributions;
    this.revisions = new OwnWrites(caches.revisions, clock);
    this.contents = new OwnWrites(caches.contents, clock);
    this.publisherPods = new OwnWrites(caches.publisherPods, clock);
    this.volumes = new OwnWrites(caches.volumes, clock);
    this.claims = new OwnWrites(caches.claims, clock);
    this.#nodes = caches.nodes;
    this.#agentPods = caches.agentPods;
    this.#clock = clock;
  }

  /** Every node that has a Node, an agent's Pod or a NodeContent, by name. */
  nodeStates(): NodeState[] {
    const podsByNode = new Map<string, V1Pod[]>();
    for (const pod of this.#agentPods.list()) {
      const name = pod.spec?.nodeName;
      if (name === undefined) continue;
      const pods = podsByNode.get(name);
      if (pods === undefined) podsByNode.set(name, [pod]);
      else pods.push(pod);
    }
    const nodes = new Map(this.#nodes.list().map((node) => [keyOf(node), node]));
    const contents = new Map(this.contents.list().map((content) => [keyOf(content), content]));
    const names = new Set([...nodes.keys(), ...contents.keys(), ...podsByNode.keys()]);
    const remembered = new Map<string, RememberedNode>();
    for (const name of [...names].sort())
      remembered.set(
        name,
        this.#remember(name, nodes.get(name), podsByNode.get(name) ?? [], contents.get(name)),
      );
    this.#remembered = remembered;
    return [...remembered.values()].map(({ state }) => state);
  }

  /** The state of a node, kept as long as its parts are the same. */
  #remember(
    name: string,
    node: V1Node | undefined,
    agentPods: readonly V1Pod[],
    content: NodeContent | undefined,
  ): RememberedNode {
    const before = this.#remembered.get(name);
    if (before?.node === node && before?.content === content && before && isSame(before.agentPods, agentPods))
      return before;
    const firstSeenNotLive = () =>
      before !== undefined && !before.state.live
        ? (before.state.notLiveSince ?? this.#clock.now())
        : this.#clock.now();
    return {
      node,
      agentPods,
      content,
      state: nodeState({ name, node, agentPods, content, firstSeenNotLive }),
    };
  }

  /** Publisher Pods of a distribution. */
  publishersOf({ metadata }: ContentDistribution): V1Pod[] {
    return this.publisherPods
      .list()
      .filter((pod) => pod.metadata?.namespace === metadata.namespace && uidLabel(pod) === metadata.uid);
  }

  /** Claims that carry the UID of a distribution. */
  claimsOf({ metadata }: ContentDistribution): V1PersistentVolumeClaim[] {
    return this.claims
      .list()
      .filter(
        (claim) => claim.metadata?.namespace === metadata.namespace && uidLabel(claim) === metadata.uid,
      );
  }

  /** The volume of a distribution, if it is labelled as ours. */
  volumeOf({ metadata }: ContentDistribution): V1PersistentVolume | undefined {
    return this.volumes.get(persistentVolumeName(metadata.uid ?? ''));
  }
}
