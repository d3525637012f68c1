// The conditions of a distribution: what is so, why, and what a person can do about it.
import { type Condition, ConditionType, formatBytes, Reason } from '../../api/index.ts';
import type { PublishingState } from '../publishing/decision.ts';
import { type Failure, needsPerson } from '../publishing/failure.ts';
import type { NodeCount } from './count-nodes.ts';

/** A condition without its times. */
export interface Judgement {
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}

/** What conditions are judged from. */
export interface ConditionsInput {
  readonly suspended: boolean;
  readonly publishing: PublishingState;
  readonly failure: Failure | undefined;
  /** True while the desired revision exists and no node has it. */
  readonly noHolder: boolean;
  /** Why a write that publishing needs was refused by the API server; undefined when none was. */
  readonly refused: string | undefined;
  readonly desired:
    | { readonly revision: string; readonly sizeBytes: number; readonly files: number }
    | undefined;
  /** Whether the desired revision was Ready before. */
  readonly wasReady: boolean;
  readonly count: NodeCount;
  /** How many eligible nodes must have the revision active. */
  readonly required: number;
  readonly claimConflict: string | undefined;
  /** Since how many milliseconds nothing has moved; undefined where no tracker says. */
  readonly stillForMilliseconds: number | undefined;
}

/** How long nothing may move before a swarm makes no progress. */
const NO_PROGRESS_MILLISECONDS = 60_000;
const MAX_MESSAGE = 2_000;

const yes = (reason: string, message: string): Judgement => ({ status: 'True', reason, message });
const no = (reason: string, message: string): Judgement => ({ status: 'False', reason, message });
const unknown = (reason: string, message: string): Judgement => ({ status: 'Unknown', reason, message });

const plural = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : 's'}`;

function published({ publishing, failure, refused, desired, noHolder }: ConditionsInput): Judgement {
  if (desired !== undefined && !noHolder) {
    const { revision, sizeBytes, files } = desired;
    return yes(
      Reason.Published,
      `revision ${revision} is published: ${plural(files, 'file')}, ${formatBytes(sizeBytes)}`,
    );
  }
  if (refused !== undefined) return no(Reason.PublisherRejected, refused);
  if (failure !== undefined) return no(failure.reason, `attempt ${failure.attempt}: ${failure.message}`);
  switch (publishing.phase) {
    case 'Suspended':
      return desired === undefined
        ? no(Reason.Suspended, 'nothing is published while spec.suspend is true')
        : yes(Reason.Published, `revision ${desired.revision} is published`);
    case 'WaitingForNode':
      return no(Reason.WaitingForNode, publishing.message);
    case 'Publishing':
      if (publishing.waiting !== undefined) return unknown(Reason.WaitingForPublisher, publishing.waiting);
      return unknown(
        Reason.Publishing,
        `the source is being read, for all nodes, to node ${publishing.node}`,
      );
    case 'Published':
      return unknown(Reason.Publishing, 'the source was read, its revision is being made');
  }
}

/** Words for why nodes are not there yet. */
function lacking(count: NodeCount): string {
  const parts = [
    count.downloading > 0 ? `${count.downloading} downloading` : '',
    count.pending > 0 ? `${count.pending} pending` : '',
    count.failed > 0 ? `${count.failed} failed` : '',
    count.unavailable > 0 ? `${count.unavailable} unavailable` : '',
  ].filter((part) => part !== '');
  const first = count.failedNodes[0];
  const failed = first === undefined ? '' : `; node ${first.name}: ${first.message || first.reason}`;
  return parts.length === 0 ? '' : ` (${parts.join(', ')}${failed})`;
}

function waitingFor(
  input: ConditionsInput,
  done: number,
  what: 'hold' | 'show',
  doneReason: string,
): Judgement {
  const { desired, count, noHolder, suspended } = input;
  if (count.selected === 0)
    return no(Reason.NoNodes, 'no node is selected: label nodes, or change spec.placement');
  if (desired === undefined) return unknown(Reason.Publishing, 'nothing is published yet');
  const verb = what === 'hold' ? (done === 1 ? 'holds' : 'hold') : done === 1 ? 'shows' : 'show';
  const message = `${done} of ${plural(count.eligible, 'eligible node')} ${verb} revision ${desired.revision}${lacking(count)}`;
  if (count.eligible > 0 && done >= count.eligible) return yes(doneReason, message);
  if (suspended) return no(Reason.Suspended, `${message}; spec.suspend is true`);
  if (noHolder)
    return no(
      Reason.NoHolderLeft,
      `no ready node holds revision ${desired.revision}; its source is read again`,
    );
  if (count.eligible === 0) return no(Reason.NodesUnavailable, message);
  if (count.failed > 0 && count.downloading + count.pending === 0) return no(Reason.NodesFailed, message);
  return no(what === 'hold' ? Reason.Downloading : Reason.Activating, message);
}

function ready(input: ConditionsInput): Judgement {
  const { desired, count, required, wasReady } = input;
  if (count.selected === 0)
    return no(Reason.NoNodes, 'no node is selected: label nodes, or change spec.placement');
  if (desired === undefined) {
    const { reason, message, status } = published(input);
    return status === 'Unknown' ? unknown(reason, message) : no(reason, message);
  }
  const message = `${count.active} of ${plural(count.eligible, 'eligible node')} ${count.active === 1 ? 'has' : 'have'} revision ${desired.revision} active, ${required} must${lacking(count)}`;
  if (wasReady || (count.eligible > 0 && count.active >= required)) return yes(Reason.Available, message);
  if (input.suspended) return no(Reason.Suspended, `${message}; spec.suspend is true`);
  if (count.eligible === 0) return no(Reason.NodesUnavailable, message);
  if (input.noHolder) return no(Reason.NoHolderLeft, message);
  return no(Reason.NotEnoughNodes, message);
}

function degraded({ wasReady, count, required, desired }: ConditionsInput): Judgement {
  if (!wasReady || desired === undefined || (count.active >= required && count.eligible > 0))
    return no(Reason.UpToDate, 'no node that had the content lacks it');
  const message = `${count.active} of ${plural(count.eligible, 'eligible node')} ${count.active === 1 ? 'has' : 'have'} revision ${desired.revision} active, ${required} must${lacking(count)}`;
  if (count.eligible === 0) return yes(Reason.NodesUnavailable, message);
  return yes(count.failed > 0 ? Reason.NodesFailed : Reason.NotEnoughNodes, message);
}

function reconciling(
  input: ConditionsInput,
  parts: { published: Judgement; activated: Judgement },
): Judgement {
  if (input.suspended) return no(Reason.Suspended, 'spec.suspend is true');
  if (input.desired === undefined || input.noHolder) return yes(Reason.Publishing, parts.published.message);
  const { count } = input;
  if (count.downloading + count.pending > 0) return yes(Reason.Downloading, parts.activated.message);
  if (count.held > count.active) return yes(Reason.Activating, parts.activated.message);
  if (count.failed > 0) return yes(Reason.NodesFailed, parts.activated.message);
  return no(Reason.UpToDate, 'nothing is left to do');
}

function noProgress({ count, stillForMilliseconds, suspended }: ConditionsInput): Judgement {
  if (count.downloading === 0 || suspended) return no(Reason.NothingToFix, 'no transfer is under way');
  if (stillForMilliseconds === undefined)
    return unknown(Reason.Initializing, 'no tracker has told of the swarm yet');
  if (stillForMilliseconds < NO_PROGRESS_MILLISECONDS) return no(Reason.Moving, 'bytes are moving');
  return yes(
    Reason.NoBytesMoved,
    `${plural(count.downloading, 'node')} download and no byte has moved for more than ${NO_PROGRESS_MILLISECONDS / 1000} s: look at the network between the nodes, and at slowestNodes`,
  );
}

function stalled(input: ConditionsInput, publishedJudgement: Judgement): Judgement {
  const { claimConflict, failure, refused, count, desired, noHolder, suspended } = input;
  if (claimConflict !== undefined) return yes(Reason.ClaimConflict, claimConflict);
  if (suspended) return no(Reason.Suspended, 'spec.suspend is true');
  if (desired === undefined || noHolder) {
    if (refused !== undefined) return yes(Reason.PublisherRejected, refused);
    if (failure !== undefined && needsPerson(failure.reason))
      return yes(failure.reason, publishedJudgement.message);
  }
  if (count.failed > 0) {
    const first = count.failedNodes[0]!;
    return yes(
      Reason.NodesFailed,
      `${plural(count.failed, 'node')} cannot get the content, see failedNodes; ${first.name}: ${first.message || first.reason}`,
    );
  }
  return no(Reason.NothingToFix, 'there is nothing for a person to fix');
}

/** Judges every condition. */
export function judge(input: ConditionsInput): ReadonlyMap<ConditionType, Judgement> {
  const publishedJudgement = published(input);
  const activated = waitingFor(input, input.count.active, 'show', Reason.Activated);
  return new Map<ConditionType, Judgement>([
    [ConditionType.Ready, ready(input)],
    [ConditionType.Reconciling, reconciling(input, { published: publishedJudgement, activated })],
    [ConditionType.Published, publishedJudgement],
    [ConditionType.Distributed, waitingFor(input, input.count.held, 'hold', Reason.Distributed)],
    [ConditionType.Activated, activated],
    [ConditionType.Degraded, degraded(input)],
    [ConditionType.NoProgress, noProgress(input)],
    [ConditionType.Stalled, stalled(input, publishedJudgement)],
  ]);
}

/** The conditions as the API has them; the time of transition stays where the status did not change. */
export function conditionsFrom(
  judgements: ReadonlyMap<ConditionType, Judgement>,
  before: readonly Condition[],
  observedGeneration: number,
  now: string,
): Condition[] {
  return [...judgements].map(([type, { status, reason, message }]) => {
    const old = before.find((condition) => condition.type === type);
    return {
      type,
      status,
      observedGeneration,
      lastTransitionTime: old?.status === status ? old.lastTransitionTime : now,
      reason,
      message: message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE - 1)}…` : message,
    };
  });
}
