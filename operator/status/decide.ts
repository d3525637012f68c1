// The status of a distribution, made anew from what is there each time. Of the status before only the times of
// transition are kept: a status is never an input.
import {
  apiTime,
  type ContentDistribution,
  type ContentDistributionStatus,
  type ContentRevision,
  distributionSettings,
  distributionSummary,
  requiredCount,
} from '../../api/index.ts';
import type { NodeState } from '../nodes/node-state.ts';
import type { SwarmProgress } from '../progress/swarm-progress.ts';
import type { PublishingDecision } from '../publishing/decision.ts';
import { conditionsFrom, judge } from './conditions.ts';
import { activeRevision, countNodes, holderCount, type NodeCount } from './count-nodes.ts';
import { measureProgress, type Progress } from './progress.ts';

const MAX_SLOWEST = 10;
const MAX_FAILED = 20;
const MAX_HISTORY = 16;

/** What the status is made from. */
export interface StatusInput {
  readonly distribution: ContentDistribution;
  readonly desired: ContentRevision | undefined;
  /** Newest first. */
  readonly revisions: readonly ContentRevision[];
  readonly nodes: readonly NodeState[];
  readonly publishing: PublishingDecision;
  readonly refused: string | undefined;
  readonly claimConflict: string | undefined;
  readonly swarm: SwarmProgress | undefined;
  readonly nowMilliseconds: number;
}

/** The status, and what else follows from it. */
export interface StatusDecision {
  readonly status: ContentDistributionStatus;
  /** Whether the desired revision is Ready for the first time, which is to be remembered. */
  readonly becameReady: boolean;
  /** Whether a transfer is under way, so that trackers are to be asked. */
  readonly isMoving: boolean;
}

/** Decides. */
export function decideStatus(input: StatusInput): StatusDecision {
  const { distribution, desired, nodes, publishing, swarm, nowMilliseconds } = input;
  const settings = distributionSettings(distribution.spec);
  const uid = distribution.metadata.uid ?? '';
  const generation = distribution.metadata.generation ?? 0;
  const count = countNodes(nodes, distribution.spec.placement, uid, desired?.spec.revision);
  const required = requiredCount(settings.minAvailable, count.eligible);
  // Of one that waits for its activation nodes show what they showed before.
  const wasReady = desired?.status?.readyAt !== undefined && isActivated(desired, input.revisions);
  const judgements = judge({
    suspended: settings.suspend,
    publishing: publishing.state,
    failure: publishing.failure,
    noHolder: publishing.noHolder,
    refused: input.refused,
    desired: desired?.spec,
    wasReady,
    count,
    required,
    claimConflict: input.claimConflict,
    stillForMilliseconds: swarm === undefined ? undefined : nowMilliseconds - swarm.stillSince,
  });
  const status = statusFrom(input, count);
  return {
    status: {
      observedGeneration: generation,
      conditions: conditionsFrom(
        judgements,
        distribution.status?.conditions ?? [],
        generation,
        apiTime(nowMilliseconds),
      ),
      ...status,
      summary: distributionSummary(status, nowMilliseconds),
    },
    becameReady:
      desired !== undefined &&
      desired.status?.readyAt === undefined &&
      count.eligible > 0 &&
      count.active >= required,
    isMoving: desired !== undefined && !settings.suspend && count.downloading + count.pending > 0,
  };
}

/** Whether it is the one that nodes are to show: none has a higher epoch. */
function isActivated(desired: ContentRevision, revisions: readonly ContentRevision[]): boolean {
  return revisions.every(({ spec }) => spec.activation.epoch <= desired.spec.activation.epoch);
}

function statusFrom(
  { distribution, desired, revisions, nodes, swarm, nowMilliseconds }: StatusInput,
  count: NodeCount,
): ContentDistributionStatus {
  const uid = distribution.metadata.uid ?? '';
  const active = activeRevision(nodes, uid);
  const { selected, held, downloading, pending, failed, unavailable } = count;
  const history = revisions.slice(0, MAX_HISTORY).map(({ spec, metadata }) => ({
    revision: spec.revision,
    sequence: spec.sequence,
    digest: spec.digest,
    ...(metadata.creationTimestamp === undefined ? {} : { publishedAt: metadata.creationTimestamp }),
    held: holderCount(nodes, uid, spec.revision),
  }));
  return {
    revision: {
      ...(desired === undefined ? {} : { desired: desired.spec.revision }),
      ...(active === undefined ? {} : { active }),
    },
    nodes: { selected, held, downloading, pending, failed, unavailable, active: count.active },
    ...(desired === undefined ? {} : revisionParts(desired, count, swarm, nowMilliseconds)),
    failedNodes: count.failedNodes.slice(0, MAX_FAILED).map((node) => ({ ...node })),
    history,
  };
}

function revisionParts(
  { spec }: ContentRevision,
  count: NodeCount,
  swarm: SwarmProgress | undefined,
  nowMilliseconds: number,
): ContentDistributionStatus {
  const { digest, infoHash, sizeBytes, files, pieceLength } = spec;
  const progress = measureProgress(count, sizeBytes, swarm);
  return {
    content: {
      digest,
      infoHash,
      sizeBytes,
      files,
      pieces: Math.ceil(sizeBytes / pieceLength),
      pieceLength,
    },
    progress: progressFrom(progress, nowMilliseconds),
    slowestNodes: slowestNodes(count, sizeBytes, swarm?.slowest ?? []),
  };
}

/**
 * The nodes that lack most. Whatever peers call themselves, only nodes that say that they download are listed;
 * of an agent that was started anew trackers know two peers for a while, and the later one has more.
 */
function slowestNodes(
  { downloaders }: NodeCount,
  sizeBytes: number,
  told: readonly { readonly node: string; readonly bytesLeft: number }[],
): { name: string; percent: number }[] {
  const left = new Map<string, number>();
  for (const { node, bytesLeft } of told)
    if (bytesLeft > 0 && downloaders.has(node))
      left.set(node, Math.min(bytesLeft, left.get(node) ?? sizeBytes));
  return [...left]
    .sort((a, b) => b[1] - a[1])
    .slice(0, MAX_SLOWEST)
    .map(([name, bytesLeft]) => ({
      name,
      percent: sizeBytes === 0 ? 0 : Math.floor((1 - bytesLeft / sizeBytes) * 100),
    }));
}

function progressFrom(
  { percent, bytesPerSecond, secondsLeft, peerBytes }: Progress,
  nowMilliseconds: number,
): NonNullable<ContentDistributionStatus['progress']> {
  return {
    percent,
    ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
    ...(secondsLeft === undefined
      ? {}
      : { estimatedCompletionTime: apiTime(nowMilliseconds + secondsLeft * 1000) }),
    peerBytes,
  };
}

/** Whether a change of status is one that people and programs wait for, and not only progress. */
export function isTransition(
  before: ContentDistributionStatus | undefined,
  after: ContentDistributionStatus,
): boolean {
  const key = (status: ContentDistributionStatus | undefined) =>
    JSON.stringify([
      status?.observedGeneration,
      status?.revision?.desired,
      (status?.conditions ?? [])
        .map(({ type, status: value, reason }) => `${type} ${value} ${reason}`)
        .sort(),
    ]);
  return key(before) !== key(after);
}
