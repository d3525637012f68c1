// What this node says of its revisions in NodeContent.status.revisions. A pure function of what is there.
import { apiTime, type ContentRevision, type NodeRevision, Reason } from '../../api/index.ts';
import type { ContentRoot } from '../content-root/content-root.ts';
import type { Decision } from './decide.ts';
import type { SeenRevisions } from './objects.ts';
import { keyOf } from './target.ts';
import type { TransferState } from './transfer.ts';

/** What it is told from. */
export interface RevisionStatusInput {
  root: Pick<ContentRoot, 'isHeld' | 'revisionRecord' | 'current' | 'held' | 'record'>;
  seen: SeenRevisions;
  decision: Decision;
  /** The state of a transfer; undefined where there is none. */
  stateOf(uid: string, revision: string): TransferState | undefined;
  /** Which held revision cannot be shown as it should, and why, by UID. */
  activationFailures: ReadonlyMap<string, { revision: string; message: string }>;
}

function entryOf(
  { root, stateOf, activationFailures }: RevisionStatusInput,
  {
    namespace,
    distribution,
    uid,
    revision,
  }: Pick<NodeRevision, 'namespace' | 'distribution' | 'uid' | 'revision'>,
): NodeRevision {
  const state = stateOf(uid, revision) ?? { phase: root.isHeld(uid, revision) ? 'Held' : 'Pending' };
  const heldAt = root.revisionRecord(uid, revision)?.heldAt;
  const isActive = root.current(uid) === revision;
  const failure = activationFailures.get(uid);
  const trouble = state.phase === 'Held' && failure?.revision === revision ? failure.message : undefined;
  return {
    namespace,
    distribution,
    uid,
    revision,
    ...(trouble === undefined ? state : { ...state, reason: Reason.DiskError, message: trouble }),
    active: isActive,
    ...(heldAt === undefined || state.phase !== 'Held' ? {} : { heldAt: apiTime(heldAt) }),
  };
}

const identityOf = ({ metadata, spec }: ContentRevision) => ({
  namespace: metadata.namespace ?? '',
  distribution: spec.distribution,
  uid: spec.distributionUID,
  revision: spec.revision,
});

/** An entry for each revision that is wanted or here; the wanted ones first. */
export function revisionStatus(input: RevisionStatusInput): NodeRevision[] {
  const { root, seen, decision, stateOf } = input;
  const entries = new Map<string, NodeRevision>();
  const add = (entry: NodeRevision) => {
    const key = keyOf(entry.uid, entry.revision);
    if (!entries.has(key)) entries.set(key, entry);
  };
  for (const revision of decision.wanted) add(entryOf(input, identityOf(revision)));
  for (const { revision, features } of decision.unsupported) {
    const message = `this agent does not know: ${features.join(', ')}; update the agents`;
    const reason = Reason.UnsupportedFeature;
    add({ ...entryOf(input, identityOf(revision)), phase: 'Unsupported', reason, message });
  }
  for (const { message, ...identity } of seen.invalid)
    add({ ...entryOf(input, identity), phase: 'Failed', reason: Reason.InvalidRevision, message });
  for (const object of decision.kept) {
    const { uid, revision, ...names } = identityOf(object);
    if (root.isHeld(uid, revision) || stateOf(uid, revision) !== undefined)
      add(entryOf(input, { uid, revision, ...names }));
  }
  for (const { uid, revision } of root.held()) {
    const { namespace = '', name = '' } = root.record(uid) ?? {};
    if (namespace !== '' && name !== '')
      add(entryOf(input, { namespace, distribution: name, uid, revision }));
  }
  return [...entries.values()];
}
