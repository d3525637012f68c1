// The node daemon put together: content root, engine, ingest, pins, status, HTTP. It knows the cluster through
// AgentCluster only, so that the same agent runs in a test without an API server.
//
// Invariant: it starts, and seeds what is held, without the API server; what it needs from there comes later.
import type { V1Node, V1Pod } from '@kubernetes/client-node';
import type { FastifyInstance } from 'fastify';
import {
  Annotation,
  type ContentRevision,
  type NodeContent,
  type NodeContentStatus,
  parseNodeContent,
} from '../api/index.ts';
import { type Clock, type Logger, Mutex, systemClock, systemCode } from '../base/index.ts';
import { processMemory, trackerDiscovery } from '../torrent/index.ts';
import { Session } from '../torrent/session/index.ts';
import { announceHeaders } from './announce-token.ts';
import { ContentRoot } from './content-root/content-root.ts';
import { replaceFile } from './content-root/disk.ts';
import { DELETION_SETTINGS, DeletionLedger, type DeletionSettings } from './deletion/ledger.ts';
import type { GoneConfirmer } from './deletion/removal.ts';
import { agentMetrics } from './http/metrics.ts';
import { agentServer } from './http/server.ts';
import { Authenticator, type TokenReviewer } from './ingest/authenticate.ts';
import { Ingest, readBootId } from './ingest/ingest.ts';
import { nodeContentStatus } from './node-content/status.ts';
import { StatusWriter } from './node-content/writer.ts';
import { nextPins, type PinRecord, parsePins, pinnedBy } from './pins/pins.ts';
import { type ContentNames, podUse } from './pins/pod-use.ts';
import { RevisionEngine } from './revisions/engine.ts';
import { fetchMetainfo } from './revisions/fetch-metainfo.ts';
import { Trackers } from './revisions/trackers.ts';
import { fileSystemSpace, Space } from './space/space.ts';

/** Label of a node's zone. */
const ZONE_LABEL = 'topology.kubernetes.io/zone';

/** The zone as an announce states it: trackers tell a node of those of its zone first. */
function zoneOf(node: { metadata?: { labels?: Record<string, string> } } | undefined): { zone?: string } {
  const zone = node?.metadata?.labels?.[ZONE_LABEL];
  return zone ? { zone } : {};
}

/** Objects as they were last seen, and whether they have been listed since the start. */
export interface Seen<T> {
  readonly objects: readonly T[];
  readonly hasSynced: boolean;
}

/** A claim of ours: which content it shows. */
export interface ClaimedContent {
  namespace: string;
  claim: string;
  uid: string;
}

/** What the agent sees of the cluster and does there. */
export interface AgentCluster {
  revisions(): Seen<ContentRevision>;
  node(): V1Node | undefined;
  /** This node's NodeContent as it came, and whether it has been looked for since the start. */
  nodeContent(): Seen<NodeContent>;
  /** Pods of this node. */
  pods(): Seen<V1Pod>;
  claims(): Seen<ClaimedContent>;
  /** Names of the tracker replicas. */
  trackers(): Seen<string>;
  /** UIDs of the Pods that answer for the replicas now, by name; '' for a replica of which none does. */
  trackerPods(): ReadonlyMap<string, string>;
  reviewToken: TokenReviewer;
  confirmGone: GoneConfirmer;
  writeStatus(status: NodeContentStatus): Promise<void>;
}

/** Settings of an agent. */
export interface AgentSettings {
  nodeName: string;
  podUID: string | undefined;
  /** Address of the Pod. */
  address: string | undefined;
  /** Namespace of the agents and trackers. */
  namespace: string;
  contentRoot: string;
  /** The content root as the node and its Pods see it. */
  hostContentRoot: string;
  version: string;
  peerPort: number;
  httpPort: number;
  /** File of the token that is shown to trackers. */
  announceToken?: string | undefined;
  /** Where the HTTP server and the engine listen; all addresses by default. */
  listenHost?: string;
  deletion?: Partial<DeletionSettings>;
  pinLimitMilliseconds?: number;
  lockPatienceMilliseconds?: number;
}

/** An agent that runs. */
export interface RunningAgent {
  readonly httpPort: number;
  readonly peerPort: number;
  readonly engine: RevisionEngine;
  readonly ingest: Ingest;
  readonly root: ContentRoot;
  /** Something in the cluster changed: everything is looked at, soon. */
  clusterChanged(): void;
  /** A revision's object is gone. */
  revisionGone(object: ContentRevision, byList: boolean): void;
  /** The NodeContent is another one than the status was written to. */
  nodeContentReplaced(): void;
  /** Leaves the swarms, saves resume data, closes. */
  close(): Promise<void>;
}

const FOLLOW_AGAIN_MILLISECONDS = 5000;

/** All addresses of both families, or of IPv4 where the node has no IPv6. */
async function listenOnAll(server: FastifyInstance, port: number): Promise<void> {
  try {
    await server.listen({ host: '::', port });
  } catch (error) {
    if (!['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL'].includes(systemCode(error))) throw error;
    await server.listen({ host: '0.0.0.0', port });
  }
}

/** Starts an agent on a content root. @throws AgentError RootInUse, UnknownFormat; the system's for ports. */
export async function startAgent(
  settings: AgentSettings,
  cluster: AgentCluster,
  {
    logger,
    clock = systemClock,
    random = Math.random,
    signal,
  }: { logger: Logger; clock?: Clock; random?: () => number; signal?: AbortSignal },
): Promise<RunningAgent> {
  const { contentRoot: path, nodeName, listenHost } = settings;
  const root = await ContentRoot.open({
    path,
    clock,
    logger,
    ...(settings.lockPatienceMilliseconds === undefined
      ? {}
      : { lockPatienceMilliseconds: settings.lockPatienceMilliseconds }),
    ...(signal === undefined ? {} : { signal }),
  });
  const { layout, disk } = root;

  const trackers = new Trackers(settings.namespace);
  await trackers.restore(disk, layout.trackers);
  let pins: PinRecord = parsePins(await disk.readFile(layout.pins));
  let savedPins = JSON.stringify(pins);

  const session = new Session({
    listen: { ...(listenHost === undefined ? {} : { host: listenHost }), port: settings.peerPort },
    logger,
  });
  try {
    await session.start();
  } catch (error) {
    await root.close();
    throw error;
  }

  const space = new Space({
    usedBytes: () => engine.usedBytes + ingest.writtenBytes,
    fileSystem: () => fileSystemSpace(path),
  });

  const nodeContent = (): NodeContent | undefined => cluster.nodeContent().objects[0];
  const checkedNodeContent = (): NodeContent | undefined => {
    const object = nodeContent();
    if (object === undefined) return lastGoodNodeContent;
    try {
      lastGoodNodeContent = parseNodeContent(object);
    } catch (error) {
      logger.error({ err: error }, 'the NodeContent is not valid and is not followed');
    }
    return lastGoodNodeContent;
  };
  let lastGoodNodeContent: NodeContent | undefined;

  const names: ContentNames = {
    root: settings.hostContentRoot,
    byName: (namespace, name) =>
      root.uids().filter((uid) => {
        const record = root.record(uid);
        return record?.namespace === namespace && record.name === name;
      }),
    byClaim: (namespace, claim) =>
      cluster.claims().objects.find((entry) => entry.namespace === namespace && entry.claim === claim)?.uid,
  };
  const updatePins = () => {
    const { objects, hasSynced } = cluster.pods();
    if (!hasSynced || !cluster.claims().hasSynced) return;
    const uses = objects.flatMap((pod) => podUse(pod) ?? []);
    pins = nextPins(pins, uses, names, {
      activations: (uid) => root.record(uid)?.activations ?? [],
      current: (uid) => root.current(uid),
    });
  };
  const savePins = async () => {
    const text = JSON.stringify(pins);
    if (text === savedPins) return;
    await replaceFile(disk, layout.pins, `${text}\n`);
    savedPins = text;
  };

  const writer = new StatusWriter({
    clock,
    random,
    logger,
    compose: async (written) =>
      nodeContentStatus({
        agent: {
          version: settings.version,
          ...(settings.podUID === undefined ? {} : { podUID: settings.podUID }),
          ...(settings.address === undefined ? {} : { address: settings.address }),
        },
        storage: await space.figures(),
        publishing: ingest.status(),
        revisions: engine.status(),
        deletionHold: engine.deletionHold,
        annotationName: Annotation.ConfirmDeletion,
        conditionsBefore: written?.conditions ?? nodeContent()?.status?.conditions ?? [],
        now: clock.now(),
      }),
    write: (status) => cluster.writeStatus(status),
  });

  /** There is nothing to write to before the NodeContent is there; when it is, everything is written. */
  const changed = (isUrgent: boolean) => {
    if (nodeContent() !== undefined) writer.changed(isUrgent);
  };

  const headers = announceHeaders(settings.announceToken, clock);
  const engine: RevisionEngine = new RevisionEngine({
    root,
    session,
    clock,
    random,
    logger,
    space,
    fetchMetainfo: (infoHash, abort) => fetchMetainfo(trackers.webServers(infoHash), infoHash, abort),
    discovery: (infoHash) => {
      const discovery = trackerDiscovery({
        tiers: trackers.tiers(infoHash),
        ownTrackers: true,
        headers,
        parameters: { node: nodeName, ...zoneOf(cluster.node()) },
      });
      const subscriptions = [
        trackers.onChange(() => discovery.setTiers(trackers.tiers(infoHash))),
        trackers.onAnew((url) => discovery.beganAnew(url)),
      ];
      return {
        namesOwn: true,
        start: (swarm, onPeers) => discovery.start(swarm, onPeers),
        announce: (event) => discovery.announce(event),
        needMore: () => discovery.needMore(),
        stop: () => {
          for (const unsubscribe of subscriptions) unsubscribe();
          return discovery.stop();
        },
      };
    },
    ledger: new DeletionLedger({ ...DELETION_SETTINGS, ...settings.deletion }),
    ...(settings.pinLimitMilliseconds === undefined
      ? {}
      : { pinLimitMilliseconds: settings.pinLimitMilliseconds }),
    annotationName: Annotation.ConfirmDeletion,
    view: {
      revisions: () => cluster.revisions(),
      node: () => {
        const node = cluster.node();
        if (node === undefined) return undefined;
        return {
          metadata: {
            name: nodeName,
            ...(node.metadata?.labels === undefined ? {} : { labels: node.metadata.labels }),
          },
        };
      },
      nodeContent: checkedNodeContent,
      pinnedBy: (uid, revision) => {
        updatePins();
        return pinnedBy(pins, uid, revision);
      },
      podsKnown: () => cluster.pods().hasSynced && cluster.claims().hasSynced,
      isReserved: (uid, revision) => ingest.isReserved(uid, revision),
      confirmGone: (namespace, uid, revision) => cluster.confirmGone(namespace, uid, revision),
    },
    changed,
  });

  const ingest: Ingest = new Ingest({
    root,
    clock,
    logger,
    bootId: await readBootId(),
    promiseRoom: (key, totalBytes, writtenBytes) => engine.promiseRoom(key, totalBytes, writtenBytes),
    releaseRoom: (key) => space.release(key),
    availableBytes: async () => (await space.figures()).availableBytes,
    adopt: (reservation, content, folder) => engine.adopt(reservation, content, folder),
    changed,
  });

  const server = agentServer({
    ingest,
    authenticator: new Authenticator((token, audiences) => cluster.reviewToken(token, audiences), clock),
    metainfo: (infoHash) => engine.metainfo(infoHash),
    metrics: agentMetrics(engine, space, processMemory),
    notReady: () =>
      nodeContent() === undefined ? 'the NodeContent of this node is not there yet' : undefined,
    logger,
  });

  let seenReservations = '';
  const follow = async () => {
    const { hasSynced } = cluster.nodeContent();
    const content = checkedNodeContent();
    if (hasSynced && content !== undefined) {
      const publishing = content.spec?.publishing ?? [];
      const text = JSON.stringify(publishing);
      if (text !== seenReservations) {
        if (await ingest.setReservations(publishing)) seenReservations = text;
        else clock.after(FOLLOW_AGAIN_MILLISECONDS, () => clusterChanged());
      }
    }
    const replicas = cluster.trackers();
    if (replicas.hasSynced && trackers.set(replicas.objects)) {
      engine.retryNow();
      await trackers.save(disk, layout.trackers);
    }
    trackers.setPods(cluster.trackerPods());
    updatePins();
    await savePins();
  };
  const following = new Mutex();
  let isFollowWanted = false;
  const clusterChanged = () => {
    if (isFollowWanted) return;
    isFollowWanted = true;
    void following.run(async () => {
      isFollowWanted = false;
      try {
        await follow();
      } catch (error) {
        logger.error({ err: error }, 'what changed in the cluster cannot be followed');
      }
      engine.lookSoon();
    });
  };

  try {
    await engine.start();
    if (listenHost === undefined) await listenOnAll(server, settings.httpPort);
    else await server.listen({ host: listenHost, port: settings.httpPort });
  } catch (error) {
    await engine.close();
    await session.close();
    await root.close();
    throw error;
  }
  clusterChanged();
  const address = server.server.address();
  logger.info(
    { nodeName, contentRoot: path, held: root.held().length, peerPort: session.port },
    'agent runs',
  );

  return {
    httpPort: typeof address === 'object' && address !== null ? address.port : settings.httpPort,
    peerPort: session.port,
    engine,
    ingest,
    root,
    clusterChanged,
    revisionGone: (object, byList) => engine.gone(object, byList),
    nodeContentReplaced: () => writer.forget(),
    async close() {
      await server.close();
      await following.idle();
      await ingest.close();
      await engine.close();
      await writer.close();
      await session.close();
      await root.close();
    },
  };
}
