// What is worth an event: transitions of conditions that a person wants to hear of.
import { type Condition, ConditionType } from '../../api/index.ts';

/** An event to tell. */
export interface StatusEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

/** For each condition: which status is told of, and how grave it is. */
const TOLD: readonly [ConditionType, Condition['status'], StatusEvent['type']][] = [
  [ConditionType.Published, 'True', 'Normal'],
  [ConditionType.Published, 'False', 'Warning'],
  [ConditionType.Distributed, 'True', 'Normal'],
  [ConditionType.Ready, 'True', 'Normal'],
  [ConditionType.Degraded, 'True', 'Warning'],
  [ConditionType.NoProgress, 'True', 'Warning'],
  [ConditionType.Stalled, 'True', 'Warning'],
];

/** Reasons that only say that nothing is wrong yet. */
const QUIET: ReadonlySet<string> = new Set(['Suspended', 'WaitingForNode']);

/** The events of a change of conditions. */
export function eventsOf(before: readonly Condition[], after: readonly Condition[]): StatusEvent[] {
  const events: StatusEvent[] = [];
  for (const [type, status, gravity] of TOLD) {
    const now = after.find((condition) => condition.type === type);
    const old = before.find((condition) => condition.type === type);
    if (now?.status !== status || QUIET.has(now.reason)) continue;
    // Another attempt that failed alike is told again: the message numbers it.
    const isNew =
      old?.status !== status ||
      (status === 'False' && (old.reason !== now.reason || old.message !== now.message)) ||
      (type === ConditionType.Stalled && old.reason !== now.reason);
    if (!isNew) continue;
    // Stalled for the reason that Published tells already: once is enough.
    if (type === ConditionType.Stalled && events.some(({ reason }) => reason === now.reason)) continue;
    const reason = gravity === 'Normal' ? type : now.reason;
    events.push({ type: gravity, reason, message: now.message });
  }
  return events;
}
