// Which tracker replicas are to be applied or deleted now. Replicas change one at a time: a swarm whose tracker
// is replaced announces to the other one meanwhile, so that other one must be there.
import type { V1Deployment, V1Service } from '@kubernetes/client-node';
import {
  APPLIED_ANNOTATION,
  REPLICA_LABEL,
  type TrackerSettings,
  trackerDeployment,
  trackerService,
} from './tracker-objects.ts';

/** What is decided from: the objects that carry the trackers' labels. */
export interface TrackersInput {
  readonly settings: TrackerSettings;
  readonly deployments: readonly V1Deployment[];
  readonly services: readonly V1Service[];
  /** Apply also what looks unchanged, so that what somebody edited is as it shall be. */
  readonly reapply: boolean;
}

/** What is decided. */
export interface TrackersDecision {
  readonly applyDeployments: readonly V1Deployment[];
  readonly applyServices: readonly V1Service[];
  readonly deleteDeployments: readonly V1Deployment[];
  readonly deleteServices: readonly V1Service[];
  /** Replicas that wait until another one is back. */
  readonly waiting: number;
}

function replicaOf({ metadata }: V1Deployment | V1Service): number {
  const index = Number(metadata?.labels?.[REPLICA_LABEL] ?? Number.NaN);
  return Number.isSafeInteger(index) ? index : -1;
}

function isAvailable({ metadata, status, spec }: V1Deployment): boolean {
  return (
    (status?.observedGeneration ?? 0) >= (metadata?.generation ?? 0) &&
    (status?.availableReplicas ?? 0) >= (spec?.replicas ?? 1) &&
    (status?.updatedReplicas ?? 0) >= (spec?.replicas ?? 1)
  );
}

/** Decides. */
export function decideTrackers({
  settings,
  deployments,
  services,
  reapply,
}: TrackersInput): TrackersDecision {
  const wanted = Array.from({ length: settings.replicas }, (_, index) => index);
  const applyDeployments: V1Deployment[] = [];
  const again: V1Deployment[] = [];
  let waiting = 0;
  for (const index of wanted) {
    const made = trackerDeployment(index, settings);
    const present = deployments.find(({ metadata }) => metadata?.name === made.metadata?.name);
    const isChange =
      present?.metadata?.annotations?.[APPLIED_ANNOTATION] !==
      made.metadata?.annotations?.[APPLIED_ANNOTATION];
    const othersAreThere = deployments.every(
      (other) => other === present || replicaOf(other) >= settings.replicas || isAvailable(other),
    );
    // Its own trouble is no reason to wait: the change may be what mends it.
    const mayChange =
      othersAreThere && applyDeployments.every((other) => !deployments.some((old) => isOf(old, other)));
    if (present === undefined || (isChange && (mayChange || !isAvailable(present))))
      applyDeployments.push(made);
    else if (isChange) waiting += 1;
    else if (reapply) again.push(made);
  }
  return {
    applyDeployments: [...applyDeployments, ...again],
    applyServices: wanted
      .map((index) => trackerService(index, settings))
      .filter((made) => reapply || !services.some(({ metadata }) => metadata?.name === made.metadata?.name)),
    deleteDeployments: deployments.filter((deployment) => replicaOf(deployment) >= settings.replicas),
    deleteServices: services.filter((service) => replicaOf(service) >= settings.replicas),
    waiting,
  };
}

function isOf(present: V1Deployment, made: V1Deployment): boolean {
  return present.metadata?.name === made.metadata?.name;
}
