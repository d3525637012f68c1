// Why an attempt to publish failed, from what its Pod and its agent left behind.
import type { V1ContainerStatus, V1Pod } from '@kubernetes/client-node';
import { millisecondsOf, type Publication, parseTermination, Reason, SourceReason } from '../../api/index.ts';
import { attemptOf } from './publisher-pod.ts';

/** A failed attempt. */
export interface Failure {
  readonly attempt: number;
  readonly reason: string;
  /** A sentence for people. */
  readonly message: string;
  /** When, in milliseconds since 1970; undefined where nothing says so. */
  readonly at: number | undefined;
}

/** Reasons that no retry mends by itself: somebody must change the source, the spec, or make room. */
const FOR_A_PERSON: ReadonlySet<string> = new Set([
  SourceReason.NotFound,
  SourceReason.Unauthorized,
  SourceReason.BadResponse,
  SourceReason.ChecksumMismatch,
  SourceReason.TooLarge,
  SourceReason.SizeUnknown,
  SourceReason.ForbiddenAddress,
  SourceReason.InvalidHeaders,
  SourceReason.Invalid,
  Reason.TooManyFiles,
  Reason.InsufficientStorage,
  Reason.DiskError,
  Reason.PublisherRejected,
  Reason.InvalidSpec,
]);

/** Whether a person must do something before a retry can succeed. */
export function needsPerson(reason: string): boolean {
  return FOR_A_PERSON.has(reason);
}

/** Reasons that lie with the node that was to receive: another one may do better. */
const OF_THE_NODE: ReadonlySet<string> = new Set([Reason.InsufficientStorage, Reason.DiskError]);

/** Whether the failure is the receiving node's, and not the source's. */
export function isOfNode(reason: string | undefined): boolean {
  return reason !== undefined && OF_THE_NODE.has(reason);
}

function publisherContainer(pod: V1Pod): V1ContainerStatus | undefined {
  return pod.status?.containerStatuses?.find(({ name }) => name === 'publisher');
}

/** Whether the Pod has ended, in whatever way. */
export function hasEnded(pod: V1Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

/** When the Pod ended, in milliseconds since 1970. */
export function endedAt(pod: V1Pod): number | undefined {
  const finished = millisecondsOf(publisherContainer(pod)?.state?.terminated?.finishedAt);
  if (finished !== undefined) return finished;
  const times = (pod.status?.conditions ?? []).flatMap(
    ({ lastTransitionTime }) => millisecondsOf(lastTransitionTime) ?? [],
  );
  return times.length > 0 ? Math.max(...times) : millisecondsOf(pod.metadata?.creationTimestamp);
}

/** What a failed Pod says; undefined for one that has not failed. */
export function podFailure(pod: V1Pod): Failure | undefined {
  if (pod.status?.phase !== 'Failed') return undefined;
  const attempt = attemptOf(pod);
  const at = endedAt(pod);
  const name = `Pod ${pod.metadata?.name ?? ''}`;
  const terminated = publisherContainer(pod)?.state?.terminated;
  const left = parseTermination(terminated?.message);
  if (left !== undefined) return { attempt, at, reason: left.reason, message: left.message };
  if (pod.status.reason === 'DeadlineExceeded') {
    const seconds = pod.spec?.activeDeadlineSeconds;
    const message = `${name} did not finish within ${seconds} s, the chart's publisher.deadlineSeconds; the next one goes on where it stopped`;
    return { attempt, at, reason: Reason.PublisherDeadlineExceeded, message };
  }
  const why = terminated?.reason ?? pod.status.reason ?? 'no reason given';
  const code = terminated === undefined ? '' : `, exit code ${terminated.exitCode}`;
  const message = `${name} failed (${why}${code}); see its log`;
  return { attempt, at, reason: SourceReason.PublisherFailed, message };
}

/** What the agent says of a failed publication; undefined for one that has not failed. */
export function publicationFailure(publication: Publication | undefined): Failure | undefined {
  if (publication?.phase !== 'Failed') return undefined;
  return {
    attempt: publication.attempt,
    reason: publication.reason || SourceReason.PublisherFailed,
    message: publication.message ?? '',
    at: undefined,
  };
}

/** Why a Pod that has not ended is not running either, as a sentence; undefined for one that is on its way. */
export function waitingMessage(pod: V1Pod): string | undefined {
  const name = `Pod ${pod.metadata?.name ?? ''}`;
  const scheduled = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
  if (scheduled?.status === 'False')
    return `${name} cannot be scheduled: ${scheduled.message ?? 'no reason given'}`;
  const waiting = publisherContainer(pod)?.state?.waiting;
  if (waiting?.reason === undefined || waiting.reason === 'ContainerCreating') return undefined;
  return `${name} waits: ${waiting.reason}${waiting.message === undefined ? '' : `: ${waiting.message}`}`;
}
