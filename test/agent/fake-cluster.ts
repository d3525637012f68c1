// A cluster in memory, as far as an agent sees one.
import type { V1Node, V1Pod } from '@kubernetes/client-node';
import type { AgentCluster, ClaimedContent, Seen } from '../../agent/agent.ts';
import type { Confirmation } from '../../agent/deletion/removal.ts';
import type { ReviewedToken } from '../../agent/ingest/authenticate.ts';
import {
  API_VERSION,
  type ContentRevision,
  contentRevisionName,
  INGEST_AUDIENCE,
  type NodeContent,
  type NodeContentStatus,
  type Publication,
  type Reservation,
} from '../../api/index.ts';

export const UID = '7b1c5a52-6f4e-4f0c-9a53-0f2f8f4d9c11';
export const OTHER_UID = '0a1c5a52-6f4e-4f0c-9a53-0f2f8f4d9c22';
export const POD_UID = 'aaaaaaaa-6f4e-4f0c-9a53-0f2f8f4d9c11';
export const SOURCE_STATE = '0123456789abcdef';

export function reservationOf(changes: Partial<Reservation> = {}): Reservation {
  return {
    uid: UID,
    attempt: 1,
    sourceState: SOURCE_STATE,
    distributionName: 'model',
    podNamespace: 'ml',
    podName: 'enxame-publish-x',
    podUID: POD_UID,
    ...changes,
  };
}

/** A ContentRevision as the operator makes one from a publication. */
export function revisionOf(
  publication: Pick<
    Publication,
    'uid' | 'digest' | 'infoHash' | 'sizeBytes' | 'metainfoBytes' | 'files' | 'pieceLength'
  >,
  spec: Partial<ContentRevision['spec']> = {},
  metadata: Partial<ContentRevision['metadata']> = {},
): ContentRevision {
  const digest = publication.digest ?? '';
  const revision = digest.slice(7, 19);
  const distribution = spec.distribution ?? 'model';
  return {
    apiVersion: API_VERSION,
    kind: 'ContentRevision',
    metadata: {
      name: contentRevisionName(distribution, revision),
      namespace: 'ml',
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...metadata,
    },
    spec: {
      distributionUID: publication.uid,
      distribution,
      sourceState: SOURCE_STATE,
      sequence: 1,
      revision,
      digest,
      infoHash: publication.infoHash ?? '',
      sizeBytes: publication.sizeBytes ?? 0,
      metainfoBytes: publication.metainfoBytes ?? 1,
      files: publication.files ?? 1,
      pieceLength: publication.pieceLength ?? 65536,
      activation: { epoch: 1 },
      ...spec,
    },
  };
}

/** Everything is there from the start, unless a test takes it away; `changed` and the like are the test's to call. */
export class FakeCluster implements AgentCluster {
  readonly nodeName: string;
  revisionObjects: ContentRevision[] = [];
  revisionsSynced = true;
  /** How often the agent has looked at them. */
  looks = 0;
  labels: { [key: string]: string } = {};
  nodeIsKnown = true;
  content: NodeContent | undefined;
  podObjects: V1Pod[] = [];
  podsSynced = true;
  claimed: ClaimedContent[] = [];
  claimsSynced = true;
  trackerNames: string[] = [];
  podsOfTrackers = new Map<string, string>();
  confirmation: Confirmation = 'gone';
  confirmed = 0;
  /** Tokens that are good, by their text. */
  tokens = new Map<string, ReviewedToken>([['good', tokenOf('ml', POD_UID)]]);
  reviews = 0;
  reviewsFail = false;
  statuses: NodeContentStatus[] = [];

  constructor(nodeName: string) {
    this.nodeName = nodeName;
    this.content = { apiVersion: API_VERSION, kind: 'NodeContent', metadata: { name: nodeName }, spec: {} };
  }

  reserve(...publishing: Reservation[]): void {
    this.content = { ...this.content!, spec: { ...this.content?.spec, publishing } };
  }

  get status(): NodeContentStatus | undefined {
    return this.statuses.at(-1);
  }

  revisions(): Seen<ContentRevision> {
    this.looks += 1;
    return { objects: this.revisionObjects, hasSynced: this.revisionsSynced };
  }
  node(): V1Node | undefined {
    return this.nodeIsKnown ? { metadata: { name: this.nodeName, labels: this.labels } } : undefined;
  }
  nodeContent(): Seen<NodeContent> {
    return { objects: this.content === undefined ? [] : [this.content], hasSynced: true };
  }
  pods(): Seen<V1Pod> {
    return { objects: this.podObjects, hasSynced: this.podsSynced };
  }
  claims(): Seen<ClaimedContent> {
    return { objects: this.claimed, hasSynced: this.claimsSynced };
  }
  trackers(): Seen<string> {
    return { objects: this.trackerNames, hasSynced: true };
  }
  trackerPods(): ReadonlyMap<string, string> {
    return this.podsOfTrackers;
  }
  async reviewToken(token: string): Promise<ReviewedToken> {
    this.reviews += 1;
    if (this.reviewsFail) throw new Error('the API server is away');
    return this.tokens.get(token) ?? { authenticated: false };
  }
  async confirmGone(): Promise<Confirmation> {
    this.confirmed += 1;
    return this.confirmation;
  }
  async writeStatus(status: NodeContentStatus): Promise<void> {
    this.statuses.push(status);
  }
}

export function tokenOf(namespace: string, podUID: string): ReviewedToken {
  return {
    authenticated: true,
    username: `system:serviceaccount:${namespace}:default`,
    extra: { 'authentication.kubernetes.io/pod-uid': [podUID] },
    audiences: [INGEST_AUDIENCE],
  };
}
