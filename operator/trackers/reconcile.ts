// Keeps the trackers' Deployments and Services as they shall be.
import type { V1Deployment, V1Service } from '@kubernetes/client-node';
import type { Logger } from '../../base/index.ts';
import { isNotFound } from '../../kube/index.ts';
import type { ObjectCache, ObjectName } from '../ports.ts';
import { decideTrackers } from './decide.ts';
import type { TrackerSettings } from './tracker-objects.ts';

/** Name under which the operator applies. */
const FIELD_MANAGER = 'enxame-operator';

/** Writes of one kind. */
export interface Applier<T> {
  apply(object: T, options: { fieldManager: string; force: boolean }): Promise<T>;
  delete(object: ObjectName): Promise<unknown>;
}

/** What trackers are read from and written to. */
export interface TrackerParts {
  readonly settings: TrackerSettings;
  readonly deployments: Applier<V1Deployment>;
  readonly services: Applier<V1Service>;
  readonly seenDeployments: ObjectCache<V1Deployment>;
  readonly seenServices: ObjectCache<V1Service>;
  readonly logger: Logger;
}

/**
 * Reconciles all trackers.
 *
 * @returns whether some replica waits for another, and the trackers are to be looked at again soon
 */
export async function reconcileTrackers(parts: TrackerParts, reapply: boolean): Promise<boolean> {
  const { settings, deployments, services, seenDeployments, seenServices, logger } = parts;
  const decision = decideTrackers({
    settings,
    deployments: seenDeployments.list(),
    services: seenServices.list(),
    reapply,
  });
  const options = { fieldManager: FIELD_MANAGER, force: true };
  for (const service of decision.applyServices) {
    logger.info({ service: service.metadata?.name }, 'applying the Service of a tracker');
    await services.apply(service, options);
  }
  for (const deployment of decision.applyDeployments) {
    logger.info({ deployment: deployment.metadata?.name }, 'applying the Deployment of a tracker');
    await deployments.apply(deployment, options);
  }
  for (const { metadata } of decision.deleteDeployments) await remove(deployments, metadata ?? {}, logger);
  for (const { metadata } of decision.deleteServices) await remove(services, metadata ?? {}, logger);
  return decision.waiting > 0;
}

async function remove<T>(
  client: Applier<T>,
  { name, namespace, deletionTimestamp }: { name?: string; namespace?: string; deletionTimestamp?: unknown },
  logger: Logger,
): Promise<void> {
  if (name === undefined || deletionTimestamp !== undefined) return;
  logger.info({ name }, 'deleting a tracker that is one too many');
  try {
    await client.delete({ name, ...(namespace === undefined ? {} : { namespace }) });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
