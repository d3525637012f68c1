// What belongs to distributions that are gone, and is out of reach of the garbage collector because owners must
// live in the same namespace: reservations in NodeContents and PersistentVolumes; publisher Pods besides, should
// the garbage collector not run.
import type { V1PersistentVolume, V1Pod } from '@kubernetes/client-node';
import { Annotation, Label, type NodeContent } from '../../api/index.ts';

/** A distribution as something that belongs to it names it. */
export interface DistributionReference {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
}

/** What may be an orphan. */
export type Orphan =
  | { readonly kind: 'reservation'; readonly of: DistributionReference; readonly node: string }
  | {
      readonly kind: 'volume';
      readonly of: DistributionReference;
      readonly name: string;
      readonly uid: string;
    }
  | {
      readonly kind: 'pod';
      readonly of: DistributionReference;
      readonly namespace: string;
      readonly name: string;
      readonly uid: string;
    };

/** What is decided from. */
export interface SweepInput {
  /** UIDs of all distributions. */
  readonly uids: ReadonlySet<string>;
  readonly contents: readonly NodeContent[];
  readonly volumes: readonly V1PersistentVolume[];
  readonly pods: readonly V1Pod[];
}

/** What belongs to no distribution of the list. The caller makes sure of each, because lists may be old. */
export function findOrphans({ uids, contents, volumes, pods }: SweepInput): Orphan[] {
  const orphans: Orphan[] = [];
  for (const { metadata, spec } of contents) {
    for (const { uid, podNamespace, distributionName } of spec?.publishing ?? []) {
      if (uids.has(uid)) continue;
      orphans.push({
        kind: 'reservation',
        of: { uid, namespace: podNamespace, name: distributionName },
        node: metadata.name,
      });
    }
  }
  for (const { metadata } of volumes) {
    const of = {
      uid: metadata?.labels?.[Label.DistributionUid],
      namespace: metadata?.annotations?.[Annotation.DistributionNamespace] ?? '',
      name: metadata?.labels?.[Label.Distribution] ?? '',
    };
    if (!isGone(of, uids) || metadata?.deletionTimestamp !== undefined) continue;
    orphans.push({ kind: 'volume', of, name: metadata?.name ?? '', uid: metadata?.uid ?? '' });
  }
  for (const { metadata } of pods) {
    const namespace = metadata?.namespace ?? '';
    const of = {
      uid: metadata?.labels?.[Label.DistributionUid],
      namespace,
      name: metadata?.labels?.[Label.Distribution] ?? '',
    };
    if (!isGone(of, uids) || metadata?.deletionTimestamp !== undefined) continue;
    orphans.push({ kind: 'pod', of, namespace, name: metadata?.name ?? '', uid: metadata?.uid ?? '' });
  }
  return orphans;
}

function isGone(
  of: { uid: string | undefined; namespace: string; name: string },
  uids: ReadonlySet<string>,
): of is DistributionReference {
  return of.uid !== undefined && of.uid !== '' && of.namespace !== '' && of.name !== '' && !uids.has(of.uid);
}
