// What the operator watches, and which distributions a change concerns.
import type {
  V1Deployment,
  V1Node,
  V1PersistentVolume,
  V1PersistentVolumeClaim,
  V1Pod,
  V1Service,
} from '@kubernetes/client-node';
import {
  Annotation,
  APP_NAME,
  CONTENT_DISTRIBUTION,
  CONTENT_REVISION,
  Component,
  type ContentDistribution,
  type ContentRevision,
  Label,
  NODE_CONTENT,
  type NodeContent,
} from '../api/index.ts';
import type { Logger } from '../base/index.ts';
import {
  DEPLOYMENTS,
  Informer,
  type KubeClient,
  NODES,
  PERSISTENT_VOLUME_CLAIMS,
  PERSISTENT_VOLUMES,
  PODS,
  type ResourceType,
  SERVICES,
} from '../kube/index.ts';
import { concernOfContent, isNodeChange, isPodChange } from './concern.ts';
import { keyOf } from './ports.ts';
import { trackerLabels } from './trackers/tracker-objects.ts';

/** Who hears of changes. */
export interface WatchListener {
  /** One distribution may have to be reconciled; `uid` where the key is not known. */
  distribution(key: string): void;
  distributionOf(uid: string): void;
  /** Every distribution may have to be. */
  everything(): void;
  trackers(): void;
  /** A distribution is gone: something of it may be left. */
  sweep(): void;
}

function selector(labels: { readonly [key: string]: string }): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

const component = (name: string) => selector({ [Label.Name]: APP_NAME, [Label.Component]: name });

/** The informers of the operator. */
export class Watches {
  readonly distributions: Informer<ContentDistribution>;
  readonly revisions: Informer<ContentRevision>;
  readonly contents: Informer<NodeContent>;
  readonly nodes: Informer<V1Node>;
  readonly agentPods: Informer<V1Pod>;
  readonly publisherPods: Informer<V1Pod>;
  readonly volumes: Informer<V1PersistentVolume>;
  readonly claims: Informer<V1PersistentVolumeClaim>;
  readonly trackerDeployments: Informer<V1Deployment>;
  readonly trackerServices: Informer<V1Service>;

  constructor(
    client: KubeClient,
    options: { readonly namespace: string; readonly instance: string; readonly logger: Logger },
  ) {
    const { namespace, instance, logger } = options;
    const watch = <T extends { metadata?: object }>(
      type: ResourceType,
      scope: { namespace?: string; labelSelector?: string } = {},
    ) => new Informer<T>({ resource: client.resource<T>(type), logger, ...scope });
    const trackers = { namespace, labelSelector: selector(trackerLabels(instance)) };
    this.distributions = watch(CONTENT_DISTRIBUTION);
    this.revisions = watch(CONTENT_REVISION);
    this.contents = watch(NODE_CONTENT);
    this.nodes = watch(NODES);
    this.agentPods = watch(PODS, { namespace, labelSelector: component(Component.Agent) });
    this.publisherPods = watch(PODS, { labelSelector: component(Component.Publisher) });
    this.volumes = watch(PERSISTENT_VOLUMES, { labelSelector: Label.DistributionUid });
    this.claims = watch(PERSISTENT_VOLUME_CLAIMS, { labelSelector: Label.DistributionUid });
    this.trackerDeployments = watch(DEPLOYMENTS, trackers);
    this.trackerServices = watch(SERVICES, trackers);
  }

  get #all() {
    return [
      this.distributions,
      this.revisions,
      this.contents,
      this.nodes,
      this.agentPods,
      this.publisherPods,
      this.volumes,
      this.claims,
      this.trackerDeployments,
      this.trackerServices,
    ];
  }

  /** Whether everything was listed at least once. */
  get hasSynced(): boolean {
    return this.#all.every((informer) => informer.hasSynced);
  }

  /** Resolves once everything was listed. */
  async synced(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#all.map((informer) => informer.synced(signal)));
  }

  /** Starts watching, and tells the listener which distributions a change concerns. */
  start(listener: WatchListener): void {
    this.#listen(listener);
    for (const informer of this.#all) informer.start();
  }

  stop(): void {
    for (const informer of this.#all) informer.stop();
  }

  #listen(listener: WatchListener): void {
    this.distributions.addHandler({
      onAdd: (object) => listener.distribution(keyOf(object)),
      onUpdate: (object) => listener.distribution(keyOf(object)),
      onDelete: (object) => {
        listener.distribution(keyOf(object));
        listener.sweep();
      },
    });
    const ofRevision = ({ metadata, spec }: ContentRevision) =>
      listener.distribution(`${metadata.namespace ?? ''}/${spec.distribution}`);
    this.revisions.addHandler({ onAdd: ofRevision, onUpdate: ofRevision, onDelete: ofRevision });
    this.#listenToNodes(listener);

    const ofPod = ({ metadata }: V1Pod | V1PersistentVolumeClaim) => {
      const name = metadata?.labels?.[Label.Distribution];
      if (name !== undefined) listener.distribution(`${metadata?.namespace ?? ''}/${name}`);
    };
    this.publisherPods.addHandler({ onAdd: ofPod, onUpdate: ofPod, onDelete: ofPod });
    this.claims.addHandler({ onAdd: ofPod, onUpdate: ofPod, onDelete: ofPod });
    const ofVolume = ({ metadata }: V1PersistentVolume) => {
      const name = metadata?.labels?.[Label.Distribution];
      const namespace = metadata?.annotations?.[Annotation.DistributionNamespace];
      if (name !== undefined && namespace !== undefined) listener.distribution(`${namespace}/${name}`);
    };
    this.volumes.addHandler({ onAdd: ofVolume, onUpdate: ofVolume, onDelete: ofVolume });
    const ofTrackers = () => listener.trackers();
    for (const informer of [this.trackerDeployments, this.trackerServices])
      informer.addHandler({ onAdd: ofTrackers, onUpdate: ofTrackers, onDelete: ofTrackers });
  }

  #listenToNodes(listener: WatchListener): void {
    const ofContent = (now: NodeContent | undefined, before: NodeContent | undefined) => {
      const concern = concernOfContent(before, now);
      if (concern === 'everything') listener.everything();
      else for (const uid of concern) listener.distributionOf(uid);
    };
    this.contents.addHandler({
      onAdd: (content) => ofContent(content, undefined),
      onUpdate: (content, before) => ofContent(content, before),
      onDelete: (content) => ofContent(undefined, content),
    });
    const everything = () => listener.everything();
    this.nodes.addHandler({
      onAdd: everything,
      onUpdate: (node, before) => {
        if (isNodeChange(before, node)) listener.everything();
      },
      onDelete: everything,
    });
    this.agentPods.addHandler({
      onAdd: everything,
      onUpdate: (pod, before) => {
        if (isPodChange(before, pod)) listener.everything();
      },
      onDelete: everything,
    });
  }
}
