// What this node says of itself in NodeContent.status. A pure function of what is there.
import {
  apiTime,
  type Condition,
  MAX_NODE_REVISIONS,
  NodeConditionType,
  type NodeContentStatus,
  type NodeRevision,
  nodeContentSummary,
  type Publication,
  Reason,
} from '../../api/index.ts';
import type { DeletionHold } from '../deletion/ledger.ts';
import type { SpaceFigures } from '../space/space.ts';

/** What a status is made from. */
export interface StatusInput {
  agent: NonNullable<NodeContentStatus['agent']>;
  storage: SpaceFigures | undefined;
  publishing: readonly Publication[];
  revisions: readonly NodeRevision[];
  deletionHold: DeletionHold | undefined;
  /** The name of the annotation that confirms a deletion. */
  annotationName: string;
  /** The conditions that were written last, for the times of their transitions. */
  conditionsBefore: readonly Condition[];
  /** Milliseconds since 1970. */
  now: number;
}

/** Longest message of the API. */
const MAX_MESSAGE = 4096;

function condition(
  type: string,
  isTrue: boolean,
  reason: string,
  message: string,
  { conditionsBefore, now }: StatusInput,
): Condition {
  const status = isTrue ? 'True' : 'False';
  const before = conditionsBefore.find((entry) => entry.type === type);
  const lastTransitionTime = before?.status === status ? before.lastTransitionTime : apiTime(now);
  return { type, status, lastTransitionTime, reason, message: message.slice(0, MAX_MESSAGE) };
}

function conditions(input: StatusInput): Condition[] {
  const { revisions, publishing, deletionHold, annotationName } = input;
  const short = [
    ...revisions.filter(({ phase, reason }) => phase === 'Failed' && reason === Reason.StorageLow),
    ...publishing.filter(({ phase, reason }) => phase === 'Failed' && reason === Reason.InsufficientStorage),
  ];
  const first = short[0];
  return [
    condition(NodeConditionType.Ready, true, Reason.AgentRunning, 'the agent runs', input),
    first === undefined
      ? condition(NodeConditionType.StorageLow, false, Reason.RoomAvailable, 'there is room', input)
      : condition(
          NodeConditionType.StorageLow,
          true,
          Reason.StorageLow,
          `${short.length === 1 ? 'one content does' : `${short.length} contents do`} not fit: ${first.message ?? ''}`,
          input,
        ),
    deletionHold === undefined
      ? condition(NodeConditionType.DeletionHeld, false, Reason.NothingToFix, 'nothing waits', input)
      : condition(
          NodeConditionType.DeletionHeld,
          true,
          Reason.MassDeletion,
          `${deletionHold.message}: their files stay until the annotation ${annotationName} of this NodeContent is set to a new value, or 24 hours have passed`,
          input,
        ),
  ];
}

/** The status. */
export function nodeContentStatus(input: StatusInput): NodeContentStatus {
  const cut = <E extends { message?: string }>(entry: E): E =>
    (entry.message?.length ?? 0) > MAX_MESSAGE
      ? { ...entry, message: entry.message?.slice(0, MAX_MESSAGE) }
      : entry;
  const status: NodeContentStatus = {
    agent: input.agent,
    ...(input.storage === undefined ? {} : { storage: input.storage }),
    publishing: input.publishing.map(cut),
    revisions: input.revisions.slice(0, MAX_NODE_REVISIONS).map(cut),
    conditions: conditions(input),
  };
  return { ...status, summary: nodeContentSummary(status) };
}
