// Which revisions Pods of this node use. A mount resolves `current` once, so a Pod sees for its whole life one
// of the revisions that were current between its creation and its first running container.
//
// Invariant: a revision that a Pod may see is pinned until that Pod is gone; where times are not exact, rather
// one revision too many.
import type { Activation } from '../content-root/record.ts';
import { type ContentNames, contentUses, type PodUse } from './pod-use.ts';

/** How far the clocks of API server and node may be apart, and what whole seconds hide. */
const CLOCK_SLACK_MILLISECONDS = 60_000;

/** What one Pod pins. */
interface PodPins {
  namespace: string;
  name: string;
  /** Its first container has run: what it sees cannot change any more. */
  settled: boolean;
  /** By UID of the content. */
  contents: { [uid: string]: string[] };
}

/** Pins by UID of the Pod, as they are kept in state/. */
export type PinRecord = { [podUID: string]: PodPins };

/**
 * The revisions that were current at some moment between two times, by the history of a content.
 * `until` undefined: up to now.
 */
export function currentBetween(
  activations: readonly Activation[],
  from: number,
  until: number | undefined,
): string[] {
  const begin = from - CLOCK_SLACK_MILLISECONDS;
  const end = until === undefined ? Number.POSITIVE_INFINITY : until + CLOCK_SLACK_MILLISECONDS;
  const revisions = new Set<string>();
  for (const [index, { revision, at }] of activations.entries()) {
    const replacedAt = activations[index + 1]?.at ?? Number.POSITIVE_INFINITY;
    if (revision !== '' && at <= end && replacedAt >= begin) revisions.add(revision);
  }
  return [...revisions];
}

/** What is known about the contents of this node. */
export interface ContentHistory {
  activations(uid: string): readonly Activation[];
  current(uid: string): string | undefined;
}

/** The pins of a Pod, from now and from before. */
function pinsOf(
  pod: PodUse,
  names: ContentNames,
  history: ContentHistory,
  before: PodPins | undefined,
): PodPins | undefined {
  if (before?.settled) return before;
  const contents = new Map<string, Set<string>>(
    Object.entries(before?.contents ?? {}).map(([uid, revisions]) => [uid, new Set(revisions)]),
  );
  for (const use of contentUses(pod, names)) {
    const pinned = contents.get(use.uid) ?? new Set<string>();
    contents.set(use.uid, pinned);
    if (use.revision !== undefined) {
      pinned.add(use.revision);
      continue;
    }
    const past = currentBetween(history.activations(use.uid), pod.createdAt, pod.startedAt);
    for (const revision of past) pinned.add(revision);
    const now = history.current(use.uid);
    // Not started, or started before anything that is remembered.
    if (now !== undefined && (pod.startedAt === undefined || past.length === 0)) pinned.add(now);
  }
  if (contents.size === 0) return undefined;
  return {
    namespace: pod.namespace,
    name: pod.name,
    settled: pod.startedAt !== undefined,
    contents: Object.fromEntries([...contents].map(([uid, revisions]) => [uid, [...revisions].sort()])),
  };
}

/** The pins after a look at the Pods of this node. */
export function nextPins(
  before: PinRecord,
  pods: readonly PodUse[],
  names: ContentNames,
  history: ContentHistory,
): PinRecord {
  const next: PinRecord = {};
  for (const pod of pods) {
    const pins = pinsOf(pod, names, history, before[pod.uid]);
    if (pins !== undefined) next[pod.uid] = pins;
  }
  return next;
}

/** Names of the Pods that pin a revision. */
export function pinnedBy(pins: PinRecord, uid: string, revision: string): string[] {
  return Object.values(pins)
    .filter(({ contents }) => contents[uid]?.includes(revision))
    .map(({ namespace, name }) => `${namespace}/${name}`);
}

/** Reads pins as they were kept; anything else counts as none. */
export function parsePins(bytes: Uint8Array | undefined): PinRecord {
  if (bytes === undefined) return {};
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return {};
  }
  const pins: PinRecord = {};
  for (const [podUID, entry] of Object.entries((value ?? {}) as object)) {
    const { namespace, name, settled, contents } = (entry ?? {}) as Partial<PodPins>;
    if (typeof namespace !== 'string' || typeof name !== 'string') continue;
    const parsed: PodPins = { namespace, name, settled: settled === true, contents: {} };
    for (const [uid, revisions] of Object.entries((contents ?? {}) as object)) {
      if (Array.isArray(revisions))
        parsed.contents[uid] = revisions.filter((revision) => typeof revision === 'string');
    }
    pins[podUID] = parsed;
  }
  return pins;
}
