// Reads what a claim is decided from, decides, and writes.
import type { V1PersistentVolume, V1PersistentVolumeClaim } from '@kubernetes/client-node';
import { type ContentDistribution, persistentVolumeName } from '../../api/index.ts';
import type { Logger } from '../../base/index.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../../kube/index.ts';
import type { ClusterView } from '../cluster-view.ts';
import { keyOf, type ObjectClient } from '../ports.ts';
import { type ClaimAction, decideClaim } from './decide.ts';

/** Where claims are read and written. */
export interface ClaimWriter {
  readonly volumes: ObjectClient<V1PersistentVolume>;
  readonly claims: ObjectClient<V1PersistentVolumeClaim>;
  readonly view: ClusterView;
  readonly contentRoot: string;
  readonly logger: Logger;
}

const MESSAGES: Record<ClaimAction['kind'], string> = {
  createVolume: 'making the PersistentVolume of a claim',
  updateVolume: 'freeing a PersistentVolume of a claim that is gone',
  deleteVolume: 'deleting a PersistentVolume that is no longer asked for',
  createClaim: 'making a PersistentVolumeClaim',
  deleteClaim: 'deleting a PersistentVolumeClaim that is no longer asked for',
};

async function orUndefined<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/**
 * Makes the claim of a distribution be as its spec says.
 *
 * @returns why that cannot be, as a sentence; undefined if it is, or nothing is asked for
 */
export async function reconcileClaim(
  distribution: ContentDistribution,
  writer: ClaimWriter,
): Promise<string | undefined> {
  const { view, contentRoot, logger } = writer;
  const name = distribution.spec.claim?.name;
  const { namespace = '' } = distribution.metadata;
  const labelled = view.claimsOf(distribution);
  let volume = view.volumeOf(distribution);
  if (name === undefined && labelled.length === 0 && volume === undefined) return undefined;

  // A claim of somebody else carries no label of ours, so it is in no cache.
  let named: V1PersistentVolumeClaim | undefined;
  if (name !== undefined) {
    named = labelled.find(({ metadata }) => metadata?.name === name);
    named ??= await orUndefined(writer.claims.get(name, { namespace }));
    volume ??= await orUndefined(writer.volumes.get(persistentVolumeName(distribution.metadata.uid ?? '')));
  }
  const { actions, conflict } = decideClaim({ distribution, named, labelled, volume, contentRoot });
  for (const action of actions) {
    const object = 'claim' in action ? action.claim : action.volume;
    logger.info(
      { distribution: `${namespace}/${distribution.metadata.name}`, object: keyOf(object) },
      MESSAGES[action.kind],
    );
    await carryOut(action, writer);
  }
  return conflict;
}

async function carryOut(action: ClaimAction, { volumes, claims, view }: ClaimWriter): Promise<void> {
  try {
    switch (action.kind) {
      case 'createVolume':
        view.volumes.wrote(await volumes.create(action.volume));
        break;
      case 'updateVolume':
        view.volumes.wrote(await volumes.update(action.volume));
        break;
      case 'createClaim':
        view.claims.wrote(await claims.create(action.claim));
        break;
      case 'deleteVolume': {
        const { name = '', uid } = action.volume.metadata ?? {};
        await volumes.delete({ name }, { ...(uid === undefined ? {} : { uid }) });
        break;
      }
      case 'deleteClaim': {
        const { name = '', namespace, uid } = action.claim.metadata ?? {};
        await claims.delete(
          { name, ...(namespace === undefined ? {} : { namespace }) },
          { ...(uid === undefined ? {} : { uid }) },
        );
        break;
      }
    }
  } catch (error) {
    // Somebody was faster; the watch tells, and the next look decides anew.
    const isDelete = action.kind === 'deleteVolume' || action.kind === 'deleteClaim';
    if (isDelete ? isNotFound(error) || isConflict(error) : isAlreadyExists(error)) return;
    throw error;
  }
}
