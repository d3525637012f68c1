// Objects for the operator's tests: complete enough for what the operator reads of them.
import type { V1Node, V1Pod } from '@kubernetes/client-node';
import {
  API_VERSION,
  type ContentDistribution,
  type ContentDistributionSpec,
  type ContentRevision,
  type ContentRevisionSpec,
  contentRevisionName,
  type NodeContent,
  type NodeRevision,
  type Publication,
  type Reservation,
  revisionFromDigest,
  sourceState,
} from '../../api/index.ts';
import { type NodeState, nodeState } from '../../operator/nodes/node-state.ts';
import type { PublisherSettings } from '../../operator/publishing/publisher-pod.ts';

/** The moment that tests take place at. */
export const NOW = Date.parse('2026-11-01T12:00:00Z');
export const UID = '11111111-1111-4111-8111-111111111111';
export const GIB = 1024 ** 3;

export const at = (offsetSeconds: number) => new Date(NOW + offsetSeconds * 1000).toISOString();

/** A digest whose revision begins with the seed. */
export const digest = (seed: string) => `sha256:${seed.repeat(64).slice(0, 64)}`;
export const infoHash = (seed: string) => seed.repeat(40).slice(0, 40);

export function distribution(
  spec: Partial<ContentDistributionSpec> = {},
  metadata: Partial<ContentDistribution['metadata']> = {},
): ContentDistribution {
  return {
    apiVersion: API_VERSION,
    kind: 'ContentDistribution',
    metadata: {
      name: 'model',
      namespace: 'ml',
      uid: UID,
      generation: 1,
      resourceVersion: '1',
      creationTimestamp: at(-60),
      ...metadata,
    },
    spec: { source: { http: { files: [{ path: 'a.bin', url: 'https://example.com/a.bin' }] } }, ...spec },
  };
}

export const STATE = sourceState(distribution().spec.source);

export function revision(
  seed: string,
  spec: Partial<ContentRevisionSpec> = {},
  metadata: Partial<ContentRevision['metadata']> = {},
): ContentRevision {
  const name = revisionFromDigest(digest(seed));
  return {
    apiVersion: API_VERSION,
    kind: 'ContentRevision',
    metadata: {
      name: contentRevisionName('model', name),
      namespace: 'ml',
      uid: `rev-${seed}`,
      resourceVersion: '5',
      creationTimestamp: at(-30),
      ...metadata,
    },
    spec: {
      distributionUID: UID,
      distribution: 'model',
      sourceState: STATE,
      sequence: 1,
      revision: name,
      digest: digest(seed),
      infoHash: infoHash(seed),
      sizeBytes: 10 * GIB,
      metainfoBytes: 1000,
      files: 1,
      pieceLength: 4 * 1024 ** 2,
      swarm: { policy: 'Cluster' },
      onDelete: 'Delete',
      paused: false,
      activation: { epoch: 1 },
      ...spec,
    },
  };
}

/** What a node says of the revision of a seed. */
export function entry(
  seed: string,
  phase: NodeRevision['phase'],
  rest: Partial<NodeRevision> = {},
): NodeRevision {
  return {
    namespace: 'ml',
    distribution: 'model',
    uid: UID,
    revision: revisionFromDigest(digest(seed)),
    phase,
    ...rest,
  };
}

export function publication(seed: string, rest: Partial<Publication> = {}): Publication {
  return {
    uid: UID,
    attempt: 1,
    sourceState: STATE,
    phase: 'Published',
    digest: digest(seed),
    infoHash: infoHash(seed),
    sizeBytes: 10 * GIB,
    metainfoBytes: 1000,
    files: 1,
    pieceLength: 4 * 1024 ** 2,
    ...rest,
  };
}

/** Settings of a test node; everything is in order unless it says otherwise. */
export interface TestNode {
  name: string;
  labels?: Record<string, string>;
  nodeReady?: boolean;
  nodeReadySince?: string;
  agentReady?: boolean;
  agentAddress?: string;
  withoutNode?: boolean;
  withoutAgent?: boolean;
  withoutContent?: boolean;
  availableBytes?: number;
  reservations?: Reservation[];
  publications?: Publication[];
  revisions?: NodeRevision[];
}

const ready = (isReady: boolean, since: string) => [
  { type: 'Ready', status: isReady ? 'True' : 'False', lastTransitionTime: new Date(since) },
];

export function coreNode({ name, labels, nodeReady = true, nodeReadySince = at(-3600) }: TestNode): V1Node {
  return {
    metadata: { name, labels: { 'kubernetes.io/os': 'linux', 'kubernetes.io/hostname': name, ...labels } },
    status: { conditions: ready(nodeReady, nodeReadySince) },
  };
}

export function agentPod({ name, agentReady = true, agentAddress = '10.0.0.1' }: TestNode): V1Pod {
  return {
    metadata: { name: `enxame-agent-${name}`, namespace: 'enxame-system', uid: `agent-${name}` },
    spec: { nodeName: name, containers: [] },
    status: { podIP: agentAddress, conditions: ready(agentReady, at(-300)) },
  };
}

export function nodeContent(node: TestNode): NodeContent {
  return {
    apiVersion: API_VERSION,
    kind: 'NodeContent',
    metadata: { name: node.name, uid: `content-${node.name}`, resourceVersion: '3' },
    spec: { paused: false, ...(node.reservations === undefined ? {} : { publishing: node.reservations }) },
    status: {
      agent: { version: '0.1.0', podUID: `agent-${node.name}` },
      storage: {
        capacityBytes: 100 * GIB,
        usedBytes: 0,
        reservedBytes: 0,
        availableBytes: node.availableBytes ?? 50 * GIB,
      },
      ...(node.publications === undefined ? {} : { publishing: node.publications }),
      ...(node.revisions === undefined ? {} : { revisions: node.revisions }),
    },
  };
}

export function node(test: TestNode): NodeState {
  return nodeState({
    name: test.name,
    node: test.withoutNode ? undefined : coreNode(test),
    agentPods: test.withoutAgent ? [] : [agentPod(test)],
    content: test.withoutContent ? undefined : nodeContent(test),
    firstSeenNotLive: () => NOW - 5_000,
  });
}

export const publisherSettings: PublisherSettings = {
  image: 'enxame/enxame:0.1.0',
  imagePullPolicy: 'IfNotPresent',
  imagePullSecrets: [],
  logLevel: 'info',
  resources: { requests: { cpu: '100m', memory: '96Mi' }, limits: { memory: '256Mi' } },
  deadlineSeconds: 3600,
  stallSeconds: 30,
  deniedCidrs: ['10.96.0.0/12'],
  allowedCidrs: [],
  environment: {},
  authorities: undefined,
};
