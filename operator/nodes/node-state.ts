// What the operator knows of one node: the Node, the agent's Pod on it, and its NodeContent, as one value.
//
// Invariant: what a NodeContent says counts only while the node is live, because its agent alone knows what is
// on the disk.
import type { V1Node, V1Pod } from '@kubernetes/client-node';
import {
  matchesPlacement,
  millisecondsOf,
  type NodeContent,
  type NodeRevision,
  type Placement,
  type Publication,
  type Reservation,
} from '../../api/index.ts';

/** The agent's Pod on a node. */
export interface AgentPod {
  readonly podUID: string;
  readonly ready: boolean;
  /** Address of the Pod, once it has one. */
  readonly address: string | undefined;
}

/** One node. */
export interface NodeState {
  readonly name: string;
  readonly labels: { readonly [key: string]: string };
  /** Whether there is a Node object. */
  readonly exists: boolean;
  readonly nodeReady: boolean;
  readonly agent: AgentPod | undefined;
  readonly content: NodeContent | undefined;
  /** Node ready, agent Pod ready, and its NodeContent written by that Pod. */
  readonly live: boolean;
  /** Since when it is not live, in milliseconds since 1970; undefined for a live node. */
  readonly notLiveSince: number | undefined;
}

interface ReadyCondition {
  readonly ready: boolean;
  readonly since: number | undefined;
}

function readyCondition(
  conditions: readonly { type: string; status: string; lastTransitionTime?: unknown }[] | undefined,
): ReadyCondition {
  const condition = conditions?.find(({ type }) => type === 'Ready');
  return { ready: condition?.status === 'True', since: millisecondsOf(condition?.lastTransitionTime) };
}

/** The Pod that counts where a node has several for a moment: one that is not ending, ready, newest. */
export function chooseAgentPod(pods: readonly V1Pod[]): V1Pod | undefined {
  const rank = (pod: V1Pod) =>
    (pod.metadata?.deletionTimestamp === undefined ? 2 : 0) +
    (readyCondition(pod.status?.conditions).ready ? 1 : 0);
  return [...pods].sort(
    (a, b) =>
      rank(b) - rank(a) ||
      (millisecondsOf(b.metadata?.creationTimestamp) ?? 0) -
        (millisecondsOf(a.metadata?.creationTimestamp) ?? 0) ||
      ((a.metadata?.uid ?? '') < (b.metadata?.uid ?? '') ? -1 : 1),
  )[0];
}

/** What is there of one node. */
export interface NodeParts {
  readonly name: string;
  readonly node: V1Node | undefined;
  readonly agentPods: readonly V1Pod[];
  readonly content: NodeContent | undefined;
  /** When it was first seen not to be live, for what has no time in the API. */
  readonly firstSeenNotLive: () => number;
}

/** Puts the parts of a node together. */
export function nodeState({ name, node, agentPods, content, firstSeenNotLive }: NodeParts): NodeState {
  const nodeCondition = readyCondition(node?.status?.conditions);
  const pod = chooseAgentPod(agentPods);
  const podCondition = readyCondition(pod?.status?.conditions);
  const podUID = pod?.metadata?.uid;
  const agent =
    pod === undefined || podUID === undefined
      ? undefined
      : {
          podUID,
          ready: podCondition.ready && pod.metadata?.deletionTimestamp === undefined,
          address: pod.status?.podIP,
        };
  const writtenBy = content?.status?.agent?.podUID;
  const exists = node !== undefined && node.metadata?.deletionTimestamp === undefined;
  const live =
    exists &&
    nodeCondition.ready &&
    agent?.ready === true &&
    content !== undefined &&
    (writtenBy === undefined || writtenBy === agent.podUID);
  return {
    name,
    labels: node?.metadata?.labels ?? {},
    exists,
    nodeReady: nodeCondition.ready,
    agent,
    content,
    live,
    notLiveSince: live
      ? undefined
      : (notLiveSince(exists, nodeCondition, pod, podCondition) ?? firstSeenNotLive()),
  };
}

function notLiveSince(
  exists: boolean,
  node: ReadyCondition,
  pod: V1Pod | undefined,
  podCondition: ReadyCondition,
): number | undefined {
  if (exists && !node.ready) return node.since;
  if (pod !== undefined && !podCondition.ready) return podCondition.since;
  return undefined;
}

/** Whether a distribution of this placement is meant for the node. */
export function isSelected(placement: Placement | undefined, node: NodeState): boolean {
  if (!node.exists || (node.labels['kubernetes.io/os'] ?? 'linux') !== 'linux') return false;
  // Without a placement: every node that runs an agent, or ran one that left its NodeContent.
  if (placement === undefined) return node.agent !== undefined || node.content !== undefined;
  return matchesPlacement(placement, { metadata: { name: node.name, labels: node.labels } });
}

/** What a NodeContent says of one distribution. */
interface Entries {
  readonly reservations: Reservation[];
  readonly publications: Publication[];
  readonly revisions: NodeRevision[];
}

const NO_ENTRIES: Entries = { reservations: [], publications: [], revisions: [] };

/**
 * Entries by UID of the distribution, sorted out once for each version of an object: every distribution asks
 * every node, and a node may hold hundreds. Objects of the caches never change.
 */
const sorted = new WeakMap<NodeContent, ReadonlyMap<string, Entries>>();

function entriesOf({ content }: NodeState, uid: string): Entries {
  if (content === undefined) return NO_ENTRIES;
  let byUid = sorted.get(content);
  if (byUid === undefined) {
    byUid = sortOut(content);
    sorted.set(content, byUid);
  }
  return byUid.get(uid) ?? NO_ENTRIES;
}

function sortOut({ spec, status }: NodeContent): ReadonlyMap<string, Entries> {
  const byUid = new Map<string, Entries>();
  const of = (uid: string): Entries => {
    const known = byUid.get(uid);
    if (known !== undefined) return known;
    const made: Entries = { reservations: [], publications: [], revisions: [] };
    byUid.set(uid, made);
    return made;
  };
  for (const reservation of spec?.publishing ?? []) of(reservation.uid).reservations.push(reservation);
  for (const publication of status?.publishing ?? []) of(publication.uid).publications.push(publication);
  for (const revision of status?.revisions ?? []) of(revision.uid).revisions.push(revision);
  return byUid;
}

/** The distribution's reservations on the node. */
export function reservationsOn(node: NodeState, uid: string): readonly Reservation[] {
  return entriesOf(node, uid).reservations;
}

/** What the node says of the revisions of a distribution. */
export function revisionsOn(node: NodeState, uid: string): readonly NodeRevision[] {
  return entriesOf(node, uid).revisions;
}

/** What the node says of one of them. */
export function revisionOn(node: NodeState, uid: string, revision: string): NodeRevision | undefined {
  return revisionsOn(node, uid).find((entry) => entry.revision === revision);
}

/** What the node says of a publication. */
export function publicationOn(node: NodeState, uid: string): Publication | undefined {
  return entriesOf(node, uid).publications[0];
}

/** Whether the node is live and holds the revision. */
export function holds(node: NodeState, uid: string, revision: string): boolean {
  return node.live && revisionOn(node, uid, revision)?.phase === 'Held';
}
