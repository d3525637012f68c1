// What is to be done so that a distribution has the claim it asks for, and none that it does not.
//
// Invariant: a PersistentVolumeClaim that is not of this distribution is never adopted, changed or deleted.
import type { V1PersistentVolume, V1PersistentVolumeClaim } from '@kubernetes/client-node';
import { type ContentDistribution, Label } from '../../api/index.ts';
import { isSamePlace, persistentVolume, persistentVolumeClaim } from './volume.ts';

/** What is decided from. */
export interface ClaimInput {
  readonly distribution: ContentDistribution;
  /** The claim of the name that spec.claim gives, whoever made it. */
  readonly named: V1PersistentVolumeClaim | undefined;
  /** Claims that carry this distribution's UID. */
  readonly labelled: readonly V1PersistentVolumeClaim[];
  /** The PersistentVolume of this distribution's name for it, whoever made it. */
  readonly volume: V1PersistentVolume | undefined;
  readonly contentRoot: string;
}

/** One write. */
export type ClaimAction =
  | { readonly kind: 'createVolume'; readonly volume: V1PersistentVolume }
  /** The volume without its bond to a claim that is gone, so that the new claim can have it. */
  | { readonly kind: 'updateVolume'; readonly volume: V1PersistentVolume }
  | { readonly kind: 'deleteVolume'; readonly volume: V1PersistentVolume }
  | { readonly kind: 'createClaim'; readonly claim: V1PersistentVolumeClaim }
  | { readonly kind: 'deleteClaim'; readonly claim: V1PersistentVolumeClaim };

/** What is decided; `conflict` is a sentence for people. */
export interface ClaimDecision {
  readonly actions: readonly ClaimAction[];
  readonly conflict: string | undefined;
}

function isOwned({ metadata }: V1PersistentVolumeClaim, uid: string): boolean {
  return metadata?.ownerReferences?.some((owner) => owner.uid === uid && owner.controller === true) ?? false;
}

function isBeingDeleted({ metadata }: V1PersistentVolumeClaim | V1PersistentVolume): boolean {
  return metadata?.deletionTimestamp !== undefined;
}

/** Decides. */
export function decideClaim(input: ClaimInput): ClaimDecision {
  const { distribution, named, labelled, volume } = input;
  const uid = distribution.metadata.uid ?? '';
  const name =
    distribution.metadata.deletionTimestamp === undefined ? distribution.spec.claim?.name : undefined;
  const actions: ClaimAction[] = [];
  const others = labelled.filter((claim) => claim.metadata?.name !== name && isOwned(claim, uid));
  for (const claim of others) if (!isBeingDeleted(claim)) actions.push({ kind: 'deleteClaim', claim });

  const isOurs = volume?.metadata?.labels?.[Label.DistributionUid] === uid;
  if (name === undefined) {
    // The volume goes last, so that the claim never shows as Lost.
    if (others.length === 0 && volume !== undefined && isOurs && !isBeingDeleted(volume))
      actions.push({ kind: 'deleteVolume', volume });
    return { actions, conflict: undefined };
  }
  const conflict = claimConflict(named, name, uid) ?? volumeConflict(volume, isOurs);
  if (conflict !== undefined) return { actions, conflict };

  const made = persistentVolume(distribution, name, input.contentRoot);
  if (volume !== undefined && !isSamePlace(volume, made)) {
    // Made for another placement or content root, before the claim was asked for anew. Both go, the volume last.
    if (named !== undefined) actions.push({ kind: 'deleteClaim', claim: named });
    else actions.push({ kind: 'deleteVolume', volume });
    return { actions, conflict: undefined };
  }
  if (volume === undefined) {
    // A claim that lost its volume finds it again by its UID.
    if (named?.metadata?.uid !== undefined && made.spec?.claimRef !== undefined)
      made.spec.claimRef.uid = named.metadata.uid;
    actions.push({ kind: 'createVolume', volume: made });
  } else {
    const released = withoutOldBond(volume, name, distribution.metadata.namespace, named);
    if (released !== undefined) actions.push({ kind: 'updateVolume', volume: released });
  }
  if (named === undefined)
    actions.push({ kind: 'createClaim', claim: persistentVolumeClaim(distribution, name) });
  return { actions, conflict: undefined };
}

function claimConflict(
  named: V1PersistentVolumeClaim | undefined,
  name: string,
  uid: string,
): string | undefined {
  if (named === undefined) return undefined;
  if (!isOwned(named, uid))
    return `PersistentVolumeClaim ${name} exists and is not of this distribution: delete it, or choose another claim.name`;
  if (isBeingDeleted(named))
    return `PersistentVolumeClaim ${name} is being deleted; it is made anew once the Pods that use it are gone`;
  return undefined;
}

function volumeConflict(volume: V1PersistentVolume | undefined, isOurs: boolean): string | undefined {
  if (volume === undefined) return undefined;
  const name = volume.metadata?.name;
  if (!isOurs) return `PersistentVolume ${name} exists and is not of this distribution: delete it`;
  if (isBeingDeleted(volume))
    return `PersistentVolume ${name} is being deleted; it is made anew once it is gone`;
  return undefined;
}

/** The volume, free for the claim of this name; undefined when it is. */
function withoutOldBond(
  volume: V1PersistentVolume,
  name: string,
  namespace: string | undefined,
  named: V1PersistentVolumeClaim | undefined,
): V1PersistentVolume | undefined {
  const bond = volume.spec?.claimRef;
  const isOld = bond?.uid !== undefined && bond.uid !== named?.metadata?.uid;
  const isOfOtherName = bond?.name !== name || bond.namespace !== namespace;
  if (!isOld && !isOfOtherName) return undefined;
  const claimRef = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    namespace,
    name,
  };
  return { ...volume, spec: { ...volume.spec, claimRef } };
}
