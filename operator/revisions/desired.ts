// Which of a distribution's revisions is which.
import type { ContentDistribution, ContentRevision } from '../../api/index.ts';

/** Newest first: by activation, then by sequence. */
export function byEpoch(a: ContentRevision, b: ContentRevision): number {
  return b.spec.activation.epoch - a.spec.activation.epoch || b.spec.sequence - a.spec.sequence;
}

/** The revisions of a distribution: those that were made for its UID and are not being deleted. */
export function revisionsOf(
  { metadata }: ContentDistribution,
  revisions: readonly ContentRevision[],
): ContentRevision[] {
  return revisions
    .filter(
      (revision) =>
        revision.metadata.namespace === metadata.namespace &&
        revision.spec.distributionUID === metadata.uid &&
        revision.metadata.deletionTimestamp === undefined,
    )
    .sort(byEpoch);
}

/**
 * The desired revision: the one that the present source gave. A source that was read twice and had changed in
 * between gave two; the one activated last counts.
 */
export function desiredRevision(
  sourceState: string,
  revisions: readonly ContentRevision[],
): ContentRevision | undefined {
  return revisions.filter(({ spec }) => spec.sourceState === sourceState).sort(byEpoch)[0];
}
