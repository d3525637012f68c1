// The operator's own Deployment, as an owner: what the operator makes in its namespace goes with it.
import type { V1Deployment, V1OwnerReference } from '@kubernetes/client-node';
import type { OperatorConfig } from '../config.ts';
import type { ObjectClient } from '../ports.ts';

/** Reads the owner; undefined where the operator runs outside of a Deployment. */
export async function ownerOf(
  deployments: Pick<ObjectClient<V1Deployment>, 'get'>,
  { deployment, namespace }: Pick<OperatorConfig, 'deployment' | 'namespace'>,
): Promise<V1OwnerReference | undefined> {
  if (deployment === undefined) return undefined;
  const { metadata } = await deployments.get(deployment, { namespace });
  return { apiVersion: 'apps/v1', kind: 'Deployment', name: deployment, uid: metadata?.uid ?? '' };
}
