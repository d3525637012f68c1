// The PersistentVolume and the PersistentVolumeClaim through which Pods of a namespace read the content of
// their node. One of each, whatever the number of nodes: a `local` volume is a path that every node has of its
// own, and the kubelet will not start a Pod before the path exists.
import { createHash } from 'node:crypto';
import type { V1PersistentVolume, V1PersistentVolumeClaim } from '@kubernetes/client-node';
import {
  Annotation,
  API_VERSION,
  APP_NAME,
  CONTENT_DISTRIBUTION,
  type ContentDistribution,
  Label,
  persistentVolumeName,
  placementNodeSelector,
} from '../../api/index.ts';

/** Both must state a size, and nothing reads it: small, so that it does not count against storage quotas. */
const NOMINAL_SIZE = '1Mi';
/** Annotation of a volume: hash of where its content is, on which nodes. */
const PLACE_ANNOTATION = 'enxame.dev/place';

function labels({ metadata }: ContentDistribution): Record<string, string> {
  return {
    [Label.Name]: APP_NAME,
    [Label.ManagedBy]: APP_NAME,
    [Label.Distribution]: metadata.name,
    [Label.DistributionUid]: metadata.uid ?? '',
  };
}

/** The volume; bound beforehand to the claim of that name, and to no other. */
export function persistentVolume(
  distribution: ContentDistribution,
  claimName: string,
  contentRoot: string,
): V1PersistentVolume {
  const { uid = '', namespace = '' } = distribution.metadata;
  const { nodeSelectorTerms } = placementNodeSelector(distribution.spec.placement);
  const path = `${contentRoot}/content/${uid}/current`;
  const place = createHash('sha256').update(JSON.stringify({ path, nodeSelectorTerms })).digest('hex');
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: {
      name: persistentVolumeName(uid),
      labels: labels(distribution),
      annotations: {
        [Annotation.DistributionNamespace]: namespace,
        [PLACE_ANNOTATION]: place.slice(0, 16),
      },
    },
    spec: {
      capacity: { storage: NOMINAL_SIZE },
      accessModes: ['ReadOnlyMany'],
      persistentVolumeReclaimPolicy: 'Retain',
      storageClassName: '',
      volumeMode: 'Filesystem',
      // Without it the bind mount is writable, and a Pod's fsGroup rewrites owner and mode of what it sees.
      mountOptions: ['ro'],
      local: { path },
      claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name: claimName },
      nodeAffinity: { required: { nodeSelectorTerms } },
    },
  };
}

/**
 * Whether a volume that is there has the path and the nodes of the one that is to be; neither can be changed
 * once it is made. One that does not say has.
 */
export function isSamePlace(present: V1PersistentVolume, wanted: V1PersistentVolume): boolean {
  const place = ({ metadata }: V1PersistentVolume) => metadata?.annotations?.[PLACE_ANNOTATION];
  return place(present) === undefined || place(present) === place(wanted);
}

/** The claim; it goes with its distribution. */
export function persistentVolumeClaim(
  distribution: ContentDistribution,
  claimName: string,
): V1PersistentVolumeClaim {
  const { uid = '', namespace, name } = distribution.metadata;
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      name: claimName,
      namespace,
      labels: labels(distribution),
      ownerReferences: [
        { apiVersion: API_VERSION, kind: CONTENT_DISTRIBUTION.kind, name, uid, controller: true },
      ],
    },
    spec: {
      accessModes: ['ReadOnlyMany'],
      storageClassName: '',
      volumeName: persistentVolumeName(uid),
      volumeMode: 'Filesystem',
      resources: { requests: { storage: NOMINAL_SIZE } },
    },
  };
}
