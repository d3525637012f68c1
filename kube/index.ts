// Talking to the Kubernetes API: calls, watches that never end, a queue of work, leader election, events.
export { loadKubeConfig } from './access.ts';
export { createClient, type KubeClient } from './client.ts';
export { isAlreadyExists, isConflict, isNamespaceEnding, isNotFound, KubeError } from './errors.ts';
export { EventRecorder } from './event-recorder.ts';
export { Informer } from './informer.ts';
export { LeaderElector } from './leader-elector.ts';
export {
  CUSTOM_RESOURCE_DEFINITIONS,
  DEPLOYMENTS,
  ENDPOINT_SLICES,
  NODES,
  PERSISTENT_VOLUME_CLAIMS,
  PERSISTENT_VOLUMES,
  PODS,
  type ResourceType,
  SERVICES,
} from './resource-types.ts';
export { reviewToken } from './token-review.ts';
export { WorkQueue } from './work-queue.ts';
