// Which changes of nodes matter, and to whom: nodes report every few seconds, and most of it concerns nobody.
import { isDeepStrictEqual } from 'node:util';
import type { V1Node, V1Pod } from '@kubernetes/client-node';
import type { NodeContent } from '../api/index.ts';

/** What of a NodeContent concerns one distribution. */
function entriesByUid(content: NodeContent | undefined): Map<string, unknown[]> {
  const entries = new Map<string, unknown[]>();
  const all = [
    ...(content?.spec?.publishing ?? []),
    ...(content?.status?.publishing ?? []),
    ...(content?.status?.revisions ?? []),
  ];
  for (const entry of all) {
    const known = entries.get(entry.uid);
    if (known === undefined) entries.set(entry.uid, [entry]);
    else known.push(entry);
  }
  return entries;
}

/** UIDs of the distributions that a change of a NodeContent concerns; or all, when it is about the node. */
export function concernOfContent(
  before: NodeContent | undefined,
  now: NodeContent | undefined,
): ReadonlySet<string> | 'everything' {
  if (before === undefined || now === undefined) return 'everything';
  const isNewAgent = before.status?.agent?.podUID !== now.status?.agent?.podUID;
  if (isNewAgent || before.spec?.paused !== now.spec?.paused) return 'everything';
  const [old, present] = [entriesByUid(before), entriesByUid(now)];
  const uids = new Set<string>();
  for (const uid of new Set([...old.keys(), ...present.keys()]))
    if (!isDeepStrictEqual(old.get(uid), present.get(uid))) uids.add(uid);
  return uids;
}

const readiness = (object: V1Node | V1Pod | undefined) =>
  object?.status?.conditions?.find(({ type }) => type === 'Ready')?.status;

/** Whether a change of a Node can change which distributions are meant for it, or whether it counts. */
export function isNodeChange(before: V1Node | undefined, now: V1Node): boolean {
  return (
    readiness(before) !== readiness(now) ||
    before?.metadata?.deletionTimestamp !== now.metadata?.deletionTimestamp ||
    !isDeepStrictEqual(before?.metadata?.labels, now.metadata?.labels)
  );
}

/** Whether a change of an agent's Pod matters. */
export function isPodChange(before: V1Pod | undefined, now: V1Pod): boolean {
  return (
    readiness(before) !== readiness(now) ||
    before?.status?.podIP !== now.status?.podIP ||
    before?.spec?.nodeName !== now.spec?.nodeName ||
    before?.metadata?.uid !== now.metadata?.uid ||
    before?.metadata?.deletionTimestamp !== now.metadata?.deletionTimestamp
  );
}
