// What a field means when it is left out. The API server fills these in too; objects that never went through
// it (tests, a cache of an older version) have none.
import type { ContentDistributionSpec } from './kinds/content-distribution.ts';

/** A distribution's settings with nothing left open. */
export interface DistributionSettings {
  activationPolicy: 'Immediate';
  /** A count of nodes or a percentage. */
  minAvailable: string | number;
  /** Revisions to keep, with the active one. */
  keptRevisions: number;
  onDelete: 'Delete' | 'Retain';
  swarmPolicy: 'Cluster' | 'Classic';
  suspend: boolean;
}

/** The settings that a spec asks for. */
export function distributionSettings(spec: ContentDistributionSpec): DistributionSettings {
  return {
    activationPolicy: spec.activation?.policy ?? 'Immediate',
    minAvailable: spec.availability?.minAvailable ?? '100%',
    keptRevisions: spec.retention?.revisions ?? 2,
    onDelete: spec.retention?.onDelete ?? 'Delete',
    swarmPolicy: spec.swarm?.policy ?? 'Cluster',
    suspend: spec.suspend ?? false,
  };
}
