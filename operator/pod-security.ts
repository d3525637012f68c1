// What Pod Security *restricted* asks of the Pods that the operator makes.
import type { V1PodSecurityContext, V1SecurityContext } from '@kubernetes/client-node';

/** The user of the image. */
const USER = 65532;

/** Security of a Pod. */
export const restrictedPod: V1PodSecurityContext = {
  runAsNonRoot: true,
  runAsUser: USER,
  runAsGroup: USER,
  fsGroup: USER,
  seccompProfile: { type: 'RuntimeDefault' },
};

/** Security of each of its containers. */
export const restrictedContainer: V1SecurityContext = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
  capabilities: { drop: ['ALL'] },
};
