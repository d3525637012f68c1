// The policies by name.
import { classicPolicy } from './classic.ts';
import { clusterPolicy } from './cluster.ts';
import type { Policy, PolicyName } from './policy.ts';

/** Every policy there is. */
export const POLICIES: Readonly<Record<PolicyName, Policy>> = {
  classic: classicPolicy,
  cluster: clusterPolicy,
};
