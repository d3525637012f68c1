// What this node does about the revisions that it sees: a pure function, so that every case is a test.
//
// Invariant: an object that this version cannot obey in full is not obeyed at all; and nothing here deletes:
// what is no longer wanted but still exists is kept (deletion/ has the rules for what is gone).
import { type ContentRevision, matchesPlacement, type PlacementNode } from '../../api/index.ts';

/** Features of ContentRevision.spec.requires that this version honours. */
const KNOWN_FEATURES: ReadonlySet<string> = new Set();

/** What is decided from. */
export interface DecideInput {
  /** This node; undefined while it was never seen, and then nothing new is wanted. */
  node: PlacementNode | undefined;
  revisions: readonly ContentRevision[];
  isHeld(uid: string, revision: string): boolean;
  knownFeatures?: ReadonlySet<string>;
}

/** What is decided. */
export interface Decision {
  /** To be fetched unless they are held. */
  wanted: ContentRevision[];
  /** To be left as they are, there or not. */
  kept: ContentRevision[];
  /** Not to be touched, because they ask for something unknown; with what that is. */
  unsupported: { revision: ContentRevision; features: string[] }[];
  /** By UID: the revision, held here, that Pods shall see. A UID that is not here stays as it is. */
  activate: Map<string, ContentRevision>;
}

/** The later of two revisions: by epoch, and where that is equal by sequence. */
function later(a: ContentRevision, b: ContentRevision): number {
  return b.spec.activation.epoch - a.spec.activation.epoch || b.spec.sequence - a.spec.sequence;
}

function groupByUid(revisions: readonly ContentRevision[]): Map<string, ContentRevision[]> {
  const groups = new Map<string, ContentRevision[]>();
  for (const revision of revisions) {
    const group = groups.get(revision.spec.distributionUID);
    if (group === undefined) groups.set(revision.spec.distributionUID, [revision]);
    else group.push(revision);
  }
  return groups;
}

/** Decides. */
export function decide(input: DecideInput): Decision {
  const { node, isHeld, knownFeatures = KNOWN_FEATURES } = input;
  const decision: Decision = { wanted: [], kept: [], unsupported: [], activate: new Map() };
  for (const [uid, group] of groupByUid(input.revisions)) {
    const supported: ContentRevision[] = [];
    for (const revision of group) {
      const features = (revision.spec.requires ?? []).filter((feature) => !knownFeatures.has(feature));
      if (features.length > 0) decision.unsupported.push({ revision, features });
      else supported.push(revision);
    }
    supported.sort(later);

    const covers = ({ metadata, spec }: ContentRevision) =>
      node !== undefined &&
      metadata.deletionTimestamp === undefined &&
      matchesPlacement(spec.placement, node);
    const newest = supported.find((revision) => revision.spec.activation.epoch > 0 && covers(revision));
    for (const revision of supported) {
      const isWanted = covers(revision) && (revision === newest || revision.spec.activation.epoch === 0);
      (isWanted ? decision.wanted : decision.kept).push(revision);
    }

    const active = supported.find(({ spec }) => spec.activation.epoch > 0 && isHeld(uid, spec.revision));
    // Suspended: Pods go on seeing what they see.
    if (active !== undefined && active.spec.paused !== true) decision.activate.set(uid, active);
  }
  return decision;
}
