// Removes what belongs to distributions that are gone.
//
// Invariant: nothing is removed before the API server itself, and not a cache, said that its distribution is
// gone or is another one of the same name.
import type { V1PersistentVolume, V1Pod } from '@kubernetes/client-node';
import type { ContentDistribution } from '../../api/index.ts';
import type { Logger } from '../../base/index.ts';
import { isConflict, isNotFound } from '../../kube/index.ts';
import type { ClusterView } from '../cluster-view.ts';
import type { ObjectClient } from '../ports.ts';
import { deletePod } from '../publishing/carry-out.ts';
import type { ReservationWriter } from '../publishing/reservations.ts';
import { type DistributionReference, findOrphans, type Orphan } from './decide.ts';

/** What the sweep reads and writes. */
export interface SweepParts {
  readonly view: ClusterView;
  readonly distributions: ObjectClient<ContentDistribution>;
  readonly volumes: ObjectClient<V1PersistentVolume>;
  readonly pods: ObjectClient<V1Pod>;
  readonly reservations: ReservationWriter;
  readonly logger: Logger;
}

/**
 * One sweep.
 *
 * @returns how many orphans were removed
 */
export async function sweep(parts: SweepParts): Promise<number> {
  const { view, logger } = parts;
  const uids = new Set(view.distributions.list().flatMap(({ metadata }) => metadata.uid ?? []));
  const orphans = findOrphans({
    uids,
    contents: view.contents.list(),
    volumes: view.volumes.list(),
    pods: view.publisherPods.list(),
  });
  const gone = new Map<string, boolean>();
  let removed = 0;
  for (const orphan of orphans) {
    const { uid } = orphan.of;
    if (!gone.has(uid)) gone.set(uid, await isGone(orphan.of, parts.distributions));
    if (gone.get(uid) !== true) continue;
    logger.info({ orphan }, 'removing what belongs to a distribution that is gone');
    await remove(orphan, parts);
    removed += 1;
  }
  return removed;
}

async function isGone(
  { uid, namespace, name }: DistributionReference,
  distributions: ObjectClient<ContentDistribution>,
): Promise<boolean> {
  try {
    return (await distributions.get(name, { namespace })).metadata.uid !== uid;
  } catch (error) {
    if (isNotFound(error)) return true;
    throw error;
  }
}

async function remove(orphan: Orphan, { volumes, pods, reservations }: SweepParts): Promise<void> {
  switch (orphan.kind) {
    case 'reservation':
      await reservations.release(orphan.node, orphan.of.uid);
      return;
    case 'pod':
      await deletePod(pods, { name: orphan.name, namespace: orphan.namespace }, orphan.uid);
      return;
    case 'volume':
      try {
        await volumes.delete({ name: orphan.name }, { uid: orphan.uid });
      } catch (error) {
        if (!isNotFound(error) && !isConflict(error)) throw error;
      }
  }
}
