// The cluster as the agent sees it, through kube/'s informers. Invariant: what was seen last stays known while
// the API server is away; and the agent writes two things only, its NodeContent (once) and that one's status.
import type { V1EndpointSlice, V1Node, V1PersistentVolume, V1Pod, V1Service } from '@kubernetes/client-node';
import {
  API_VERSION,
  APP_NAME,
  CONTENT_REVISION,
  Component,
  type ContentRevision,
  GROUP,
  Label,
  NODE_CONTENT,
  type NodeContent,
  persistentVolumeName,
} from '../api/index.ts';
import type { Logger } from '../base/index.ts';
import {
  CUSTOM_RESOURCE_DEFINITIONS,
  ENDPOINT_SLICES,
  Informer,
  isAlreadyExists,
  isNotFound,
  type KubeClient,
  NODES,
  PERSISTENT_VOLUMES,
  PODS,
  reviewToken,
  SERVICES,
} from '../kube/index.ts';
import type { AgentCluster, AgentSettings, ClaimedContent, Seen } from './agent.ts';
import type { Confirmation } from './deletion/removal.ts';

/** Who hears of changes. */
export interface ClusterListener {
  changed(): void;
  revisionGone(object: ContentRevision, byList: boolean): void;
  nodeContentReplaced(): void;
}

const CRD_NAME = `${CONTENT_REVISION.plural}.${GROUP}`;
/** Label of an EndpointSlice: the Service that it is of. */
const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';
const CREATE_RETRY_MILLISECONDS = 2000;

/** The agent's watches. */
export class KubeCluster implements AgentCluster {
  readonly #client: KubeClient;
  readonly #nodeName: string;
  readonly #logger: Logger;
  readonly #revisions: Informer<ContentRevision>;
  readonly #nodes: Informer<V1Node>;
  readonly #nodeContents: Informer<NodeContent>;
  readonly #pods: Informer<V1Pod>;
  readonly #volumes: Informer<V1PersistentVolume>;
  readonly #services: Informer<V1Service>;
  readonly #endpoints: Informer<V1EndpointSlice>;
  #creating = false;
  #retry: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(client: KubeClient, settings: AgentSettings, logger: Logger) {
    const { nodeName, namespace } = settings;
    this.#client = client;
    this.#nodeName = nodeName;
    this.#logger = logger;
    const ownName = `metadata.name=${nodeName}`;
    this.#revisions = new Informer<ContentRevision>({
      resource: client.resource<ContentRevision>(CONTENT_REVISION),
      logger,
    });
    this.#nodes = new Informer<V1Node>({
      resource: client.resource<V1Node>(NODES),
      fieldSelector: ownName,
      logger,
    });
    this.#nodeContents = new Informer<NodeContent>({
      resource: client.resource<NodeContent>(NODE_CONTENT),
      fieldSelector: ownName,
      logger,
    });
    this.#pods = new Informer<V1Pod>({
      resource: client.resource<V1Pod>(PODS),
      fieldSelector: `spec.nodeName=${nodeName}`,
      logger,
    });
    this.#volumes = new Informer<V1PersistentVolume>({
      resource: client.resource<V1PersistentVolume>(PERSISTENT_VOLUMES),
      labelSelector: Label.DistributionUid,
      logger,
    });
    const ofTrackers = `${Label.Name}=${APP_NAME},${Label.Component}=${Component.Tracker}`;
    this.#services = new Informer<V1Service>({
      resource: client.resource<V1Service>(SERVICES),
      namespace,
      labelSelector: ofTrackers,
      logger,
    });
    // They have the labels of their Services.
    this.#endpoints = new Informer<V1EndpointSlice>({
      resource: client.resource<V1EndpointSlice>(ENDPOINT_SLICES),
      namespace,
      labelSelector: ofTrackers,
      logger,
    });
  }

  /** Begins to watch, and makes the NodeContent if there is none. */
  start(listener: ClusterListener): void {
    const changed = () => listener.changed();
    const all = { onAdd: changed, onUpdate: changed, onDelete: changed };
    this.#revisions.addHandler({
      ...all,
      onDelete: (object, { finalStateUnknown }) => {
        listener.revisionGone(object, finalStateUnknown);
        changed();
      },
    });
    this.#nodes.addHandler({
      onAdd: () => {
        this.#ensureNodeContent();
        changed();
      },
      // A Node's status changes every few seconds; its labels do not.
      onUpdate: (object, before) => {
        if (JSON.stringify(object.metadata?.labels) !== JSON.stringify(before.metadata?.labels)) changed();
      },
      onDelete: changed,
    });
    this.#nodeContents.addHandler({
      onAdd: () => {
        listener.nodeContentReplaced();
        changed();
      },
      onUpdate: (object, before) => {
        // Our own writes of the status come back here.
        const { annotations } = object.metadata;
        const isSame =
          object.metadata.generation === before.metadata.generation &&
          JSON.stringify(annotations) === JSON.stringify(before.metadata.annotations) &&
          JSON.stringify(object.spec) === JSON.stringify(before.spec);
        if (!isSame) changed();
      },
      onDelete: () => {
        this.#ensureNodeContent();
        changed();
      },
    });
    for (const informer of [this.#pods, this.#volumes, this.#services, this.#endpoints])
      informer.addHandler(all);
    for (const informer of this.#informers) {
      informer.start();
      informer.synced().then(
        () => {
          this.#ensureNodeContent();
          changed();
        },
        (error: unknown) => {
          if (!this.#isStopped) this.#logger.error({ err: error }, 'a watch has ended before its first list');
        },
      );
    }
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#retry);
    for (const informer of this.#informers) informer.stop();
  }

  revisions(): Seen<ContentRevision> {
    return seen(this.#revisions);
  }

  node(): V1Node | undefined {
    return this.#nodes.list()[0];
  }

  nodeContent(): Seen<NodeContent> {
    return seen(this.#nodeContents);
  }

  pods(): Seen<V1Pod> {
    return seen(this.#pods);
  }

  claims(): Seen<ClaimedContent> {
    const { objects, hasSynced } = seen(this.#volumes);
    const claimed = objects.flatMap(({ metadata, spec }) => {
      const uid = metadata?.labels?.[Label.DistributionUid];
      const { namespace, name: claim } = spec?.claimRef ?? {};
      if (uid === undefined || namespace === undefined || claim === undefined) return [];
      return metadata?.name === persistentVolumeName(uid) ? [{ namespace, claim, uid }] : [];
    });
    return { objects: claimed, hasSynced };
  }

  trackers(): Seen<string> {
    const { objects, hasSynced } = seen(this.#services);
    return { objects: objects.flatMap(({ metadata }) => metadata?.name ?? []), hasSynced };
  }

  trackerPods(): ReadonlyMap<string, string> {
    const pods = new Map<string, string>();
    for (const { metadata, endpoints } of this.#endpoints.list()) {
      const name = metadata?.labels?.[SERVICE_NAME_LABEL];
      if (name === undefined) continue;
      const ready = endpoints?.find(({ conditions }) => conditions?.ready !== false);
      // A Service of two address families has two slices, of the same Pod.
      pods.set(name, ready?.targetRef?.uid ?? pods.get(name) ?? '');
    }
    return pods;
  }

  reviewToken(token: string, audiences: string[]) {
    return reviewToken(this.#client, token, audiences);
  }

  /** Asks whether the kind is still there, and whether a list of the namespace lacks the objects. */
  async confirmGone(namespace: string, uid: string, revision: string | undefined): Promise<Confirmation> {
    try {
      const definition = await this.#client
        .resource<{ metadata?: { deletionTimestamp?: unknown } }>(CUSTOM_RESOURCE_DEFINITIONS)
        .get(CRD_NAME);
      if (definition.metadata?.deletionTimestamp !== undefined) return 'kindGone';
      const { items } = await this.#client.resource<ContentRevision>(CONTENT_REVISION).list({ namespace });
      const isThere = items.some(
        ({ spec }) => spec?.distributionUID === uid && (revision === undefined || spec.revision === revision),
      );
      return isThere ? 'there' : 'gone';
    } catch (error) {
      if (isNotFound(error)) return 'kindGone';
      this.#logger.warn({ err: error }, 'whether content was deleted cannot be asked just now');
      return 'unavailable';
    }
  }

  async writeStatus(status: NonNullable<NodeContent['status']>): Promise<void> {
    await this.#client
      .resource<NodeContent>(NODE_CONTENT)
      .mergePatchStatus({ name: this.#nodeName }, { status });
  }

  get #informers() {
    return [
      ...[this.#revisions, this.#nodes, this.#nodeContents, this.#pods],
      ...[this.#volumes, this.#services, this.#endpoints],
    ];
  }

  /** Makes the NodeContent, owned by the Node, as soon as both are known; never with a spec. */
  #ensureNodeContent(): void {
    const node = this.node();
    const uid = node?.metadata?.uid;
    const { objects, hasSynced } = this.nodeContent();
    if (uid === undefined || !hasSynced || objects.length > 0 || this.#creating || this.#isStopped) return;
    this.#creating = true;
    const owner = { apiVersion: 'v1', kind: 'Node', name: this.#nodeName, uid };
    this.#client
      .resource<NodeContent>(NODE_CONTENT)
      .create({
        apiVersion: API_VERSION,
        kind: NODE_CONTENT.kind,
        metadata: { name: this.#nodeName, ownerReferences: [owner] },
        spec: {},
      })
      .then(
        () => this.#logger.info({ name: this.#nodeName }, 'NodeContent made'),
        (error: unknown) => {
          if (!isAlreadyExists(error))
            this.#logger.warn({ err: error }, 'the NodeContent cannot be made; trying again');
        },
      )
      .finally(() => {
        this.#creating = false;
        clearTimeout(this.#retry);
        // The watch may be behind; if it is there by then, nothing is done.
        this.#retry = setTimeout(() => this.#ensureNodeContent(), CREATE_RETRY_MILLISECONDS);
        this.#retry.unref();
      });
  }
}

function seen<T extends { metadata?: object }>(informer: Informer<T>): Seen<T> {
  return { objects: informer.list(), hasSynced: informer.hasSynced };
}
