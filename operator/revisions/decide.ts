// Which ContentRevisions a distribution has, and what they say: made from what a node published, brought up to
// date with the distribution, and deleted beyond what is to be kept.
//
// Invariant: epochs only rise; what is desired or shown to Pods is never deleted.
import { isDeepStrictEqual } from 'node:util';
import {
  API_VERSION,
  APP_NAME,
  CONTENT_DISTRIBUTION,
  CONTENT_REVISION,
  type ContentDistribution,
  type ContentRevision,
  type ContentRevisionSpec,
  contentRevisionName,
  distributionSettings,
  Label,
  type Publication,
  revisionFromDigest,
} from '../../api/index.ts';
import { type NodeState, revisionOn } from '../nodes/node-state.ts';
import { byEpoch, desiredRevision } from './desired.ts';

/** What is decided from. */
export interface RevisionsInput {
  readonly distribution: ContentDistribution;
  readonly sourceState: string;
  /** Those of this distribution's UID. */
  readonly revisions: readonly ContentRevision[];
  readonly nodes: readonly NodeState[];
  /** What a node received of the present source. */
  readonly published: Publication | undefined;
  readonly nowMilliseconds: number;
}

/** How long the word of a node that went away protects what it showed to Pods: it may be rebooting. */
const AWAY_GRACE_MILLISECONDS = 900_000;

/** One write. */
export type RevisionAction =
  | { readonly kind: 'create'; readonly revision: ContentRevision }
  | {
      readonly kind: 'update';
      readonly revision: ContentRevision;
      readonly why: string;
      /** It is activated anew: that it was Ready before says nothing of how many nodes show it now. */
      readonly reactivated: boolean;
    }
  | { readonly kind: 'delete'; readonly revision: ContentRevision };

/** The parts of a revision that follow the distribution's spec. */
function followed({ spec }: ContentDistribution): Partial<ContentRevisionSpec> {
  const settings = distributionSettings(spec);
  return {
    placement: spec.placement,
    swarm: { policy: settings.swarmPolicy },
    limits: spec.limits,
    onDelete: settings.onDelete,
    paused: settings.suspend,
  };
}

/** Without the fields that are undefined, as JSON has it. */
function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as T;
}

/** The revision that a publication gives, complete but for what the API server adds; undefined if it lacks a part. */
export function revisionFrom(
  distribution: ContentDistribution,
  publication: Publication,
  sourceState: string,
  order: { readonly sequence: number; readonly epoch: number },
): ContentRevision | undefined {
  const { digest, infoHash, sizeBytes, metainfoBytes, files, pieceLength } = publication;
  if (digest === undefined || infoHash === undefined || sizeBytes === undefined) return undefined;
  if (metainfoBytes === undefined || files === undefined || pieceLength === undefined) return undefined;
  const { name, namespace, uid = '' } = distribution.metadata;
  const revision = revisionFromDigest(digest);
  return {
    apiVersion: API_VERSION,
    kind: CONTENT_REVISION.kind,
    metadata: {
      name: contentRevisionName(name, revision),
      namespace,
      labels: {
        [Label.Name]: APP_NAME,
        [Label.ManagedBy]: APP_NAME,
        [Label.Distribution]: name,
        [Label.DistributionUid]: uid,
        [Label.Revision]: revision,
      },
      ownerReferences: [
        { apiVersion: API_VERSION, kind: CONTENT_DISTRIBUTION.kind, name, uid, controller: true },
      ],
    },
    spec: withoutUndefined({
      distributionUID: uid,
      distribution: name,
      sourceState,
      sequence: order.sequence,
      revision,
      digest,
      infoHash,
      sizeBytes,
      metainfoBytes,
      files,
      pieceLength,
      ...followed(distribution),
      activation: { epoch: order.epoch },
    }),
  };
}

/** Decides. */
export function decideRevisions(input: RevisionsInput): RevisionAction[] {
  const { distribution, sourceState, published } = input;
  if (distribution.metadata.deletionTimestamp !== undefined) return [];
  const actions: RevisionAction[] = [];
  const highest = Math.max(0, ...input.revisions.map(({ spec }) => spec.activation.epoch));
  const { suspend } = distributionSettings(distribution.spec);

  const known = input.revisions.find(({ spec }) => spec.digest === published?.digest);
  let revisions = [...input.revisions];
  let desired =
    published !== undefined && known !== undefined ? known : desiredRevision(sourceState, revisions);
  if (published !== undefined && known === undefined && !suspend) {
    const sequence = Math.max(0, ...revisions.map(({ spec }) => spec.sequence)) + 1;
    const made = revisionFrom(distribution, published, sourceState, { sequence, epoch: highest + 1 });
    if (made !== undefined) {
      actions.push({ kind: 'create', revision: made });
      revisions = [made, ...revisions];
      desired = made;
    }
  }

  const kept = keptRevisions(input, revisions, desired);
  for (const revision of input.revisions) {
    if (!kept.has(revision)) {
      actions.push({ kind: 'delete', revision });
      continue;
    }
    const isDesired = revision === desired && !suspend;
    const isHighest =
      revision.spec.activation.epoch === highest &&
      highest > 0 &&
      input.revisions.filter(({ spec }) => spec.activation.epoch === highest).length === 1;
    const spec = withoutUndefined({
      ...revision.spec,
      ...followed(distribution),
      ...(isDesired ? { sourceState } : {}),
      ...(isDesired && !isHighest ? { activation: { ...revision.spec.activation, epoch: highest + 1 } } : {}),
    });
    if (isDeepStrictEqual(spec, revision.spec)) continue;
    actions.push({
      kind: 'update',
      revision: { ...revision, spec },
      why: changes(revision.spec, spec),
      reactivated: spec.activation.epoch !== revision.spec.activation.epoch,
    });
  }
  return actions;
}

function changes(before: ContentRevisionSpec, after: ContentRevisionSpec): string {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]) as Set<keyof ContentRevisionSpec>;
  return [...keys].filter((key) => !isDeepStrictEqual(before[key], after[key])).join(', ');
}

/**
 * What stays: the desired revision, what any node shows to Pods, and then the newest, up to the number
 * that the distribution asks for. While nothing is desired yet, everything that would be kept anyway.
 */
function keptRevisions(
  { distribution, nodes, nowMilliseconds }: RevisionsInput,
  revisions: readonly ContentRevision[],
  desired: ContentRevision | undefined,
): Set<ContentRevision> {
  const uid = distribution.metadata.uid ?? '';
  const isShown = ({ spec }: ContentRevision) =>
    nodes.some(
      (node) =>
        node.exists &&
        nowMilliseconds - (node.notLiveSince ?? nowMilliseconds) < AWAY_GRACE_MILLISECONDS &&
        revisionOn(node, uid, spec.revision)?.active === true,
    );
  const isProtected = (revision: ContentRevision) => revision === desired || isShown(revision);
  const inOrder = [...revisions].sort(
    (a, b) => Number(isProtected(b)) - Number(isProtected(a)) || byEpoch(a, b),
  );
  const limit = distributionSettings(distribution.spec).keptRevisions;
  return new Set(inOrder.filter((revision, place) => place < limit || isProtected(revision)));
}
