// What an agent tells of its node, one step at a time: for tests in which nodes are played. It knows nothing of
// files and sockets; the source and the swarm are handed in.
import {
  type ContentRevision,
  matchesPlacement,
  type NodeContent,
  type NodeRevision,
  type Publication,
  type Reservation,
} from '../../api/index.ts';

/** What becomes of a publication that is being received: nothing yet, its content's digest, or a failure. */
export type Received =
  | 'more'
  | { readonly digest: string; readonly sizeBytes: number }
  | { readonly reason: string; readonly message: string };

/** What the agent of one node sees. */
export interface Sight {
  readonly node: { readonly name: string; readonly labels: { readonly [key: string]: string } };
  readonly content: NodeContent;
  readonly revisions: readonly ContentRevision[];
  /** Whether the Pod of a reservation runs, is the one that the reservation names, and talks to this agent. */
  isStreaming(reservation: Reservation): boolean;
  receive(reservation: Reservation): Received;
  /** Whether any node has the revision whole. */
  hasSeed(uid: string, revision: string): boolean;
}

/** The publications that the agent tells of next. */
export function nextPublications({ content, isStreaming, receive }: Sight): Publication[] {
  return (content.spec?.publishing ?? []).map((reservation): Publication => {
    const { uid, attempt, sourceState } = reservation;
    const known = content.status?.publishing?.find(
      (one) => one.uid === uid && one.attempt === attempt && one.sourceState === sourceState,
    );
    if (known?.phase === 'Published' || known?.phase === 'Failed') return known;
    const base = { uid, attempt, sourceState };
    if (!isStreaming(reservation)) return known ?? { ...base, phase: 'Reserved' };
    if (known?.phase !== 'Receiving') return { ...base, phase: 'Receiving' };
    const received = receive(reservation);
    if (received === 'more') return known;
    if ('reason' in received) return { ...base, phase: 'Failed', ...received };
    const { digest, sizeBytes } = received;
    const sizes = { sizeBytes, metainfoBytes: 100, files: 1, pieceLength: 65_536 };
    return { ...base, phase: 'Published', digest, infoHash: digest.slice(7, 47), ...sizes };
  });
}

/** The revisions that the agent tells of next, given what it tells of publications. */
export function nextRevisions(sight: Sight, publications: readonly Publication[]): NodeRevision[] {
  const { node, content, revisions, hasSeed } = sight;
  const wanted = revisions.filter(({ spec }) =>
    matchesPlacement(spec.placement, { metadata: { name: node.name, labels: { ...node.labels } } }),
  );
  const known = content.status?.revisions ?? [];
  const next = wanted.flatMap(({ metadata, spec }): NodeRevision[] => {
    const { distributionUID: uid, revision } = spec;
    const epochs = wanted
      .filter((other) => other.spec.distributionUID === uid)
      .map((other) => other.spec.activation.epoch);
    const before = known.find((one) => one.uid === uid && one.revision === revision);
    const isPublished = publications.some((one) => one.uid === uid && one.digest === spec.digest);
    const base = { namespace: metadata.namespace ?? '', distribution: spec.distribution, uid, revision };
    if (before?.phase === 'Held' || isPublished) return [{ ...base, phase: 'Held' }];
    if (spec.activation.epoch < Math.max(...epochs)) return before === undefined ? [] : [before];
    if (before === undefined || spec.paused) return [{ ...base, phase: 'Pending' }];
    if (before.phase === 'Pending') return [{ ...base, phase: 'Downloading' }];
    return [{ ...base, phase: hasSeed(uid, revision) ? 'Held' : 'Downloading' }];
  });
  return next.map((one) => {
    const epochOf = (revision: string) =>
      revisions.find(({ spec }) => spec.distributionUID === one.uid && spec.revision === revision)?.spec
        .activation.epoch ?? 0;
    const held = next.filter(({ uid, phase }) => uid === one.uid && phase === 'Held');
    const highest = Math.max(0, ...held.map(({ revision }) => epochOf(revision)));
    const isActive = one.phase === 'Held' && highest > 0 && epochOf(one.revision) === highest;
    const { active: _, ...rest } = one;
    return isActive ? { ...rest, active: true } : rest;
  });
}

/** Whether a NodeContent tells that its node has a revision whole. */
export function isSeed({ status }: NodeContent, uid: string, revision: string): boolean {
  return (
    (status?.revisions ?? []).some(
      (one) => one.uid === uid && one.revision === revision && one.phase === 'Held',
    ) ||
    (status?.publishing ?? []).some(
      (one) =>
        one.uid === uid && one.phase === 'Published' && one.digest?.startsWith(`sha256:${revision}`) === true,
    )
  );
}
