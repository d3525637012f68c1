// Which content a Pod uses, from its volumes. Parsed once from what the API server says of the Pod.
import { posix } from 'node:path';
import type { V1ContainerStatus, V1Pod } from '@kubernetes/client-node';
import { isRevision, isUid } from '../content-root/layout.ts';

/** As much of a Pod as matters here. */
export interface PodUse {
  uid: string;
  namespace: string;
  name: string;
  /** Milliseconds since 1970. */
  createdAt: number;
  /** When its first container began to run; undefined while none did. */
  startedAt: number | undefined;
  claims: string[];
  hostPaths: string[];
}

/** A use of one content. */
export interface ContentUse {
  uid: string;
  /** Named by the path itself, where it does not go by `current`. */
  revision?: string;
}

/** How the paths and claims of Pods lead to content. */
export interface ContentNames {
  /** Path of the content root on the node. */
  root: string;
  /** UIDs of the contents of a name, the present one and those before it. */
  byName(namespace: string, name: string): string[];
  /** UID of the content that a claim of ours shows. */
  byClaim(namespace: string, claim: string): string | undefined;
}

function milliseconds(time: Date | string | undefined): number | undefined {
  if (time === undefined) return undefined;
  const value = new Date(time).getTime();
  return Number.isNaN(value) ? undefined : value;
}

function firstStart(statuses: readonly V1ContainerStatus[]): number | undefined {
  const starts = statuses.flatMap(({ state, lastState }) =>
    [state?.running?.startedAt, state?.terminated?.startedAt, lastState?.terminated?.startedAt].flatMap(
      (time) => milliseconds(time) ?? [],
    ),
  );
  return starts.length === 0 ? undefined : Math.min(...starts);
}

/** What matters of a Pod; undefined for one that has ended, or that no API server made. */
export function podUse(pod: V1Pod): PodUse | undefined {
  const { uid, namespace, name, creationTimestamp } = pod.metadata ?? {};
  if (uid === undefined || namespace === undefined || name === undefined) return undefined;
  if (pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed') return undefined;
  const volumes = pod.spec?.volumes ?? [];
  return {
    uid,
    namespace,
    name,
    createdAt: milliseconds(creationTimestamp) ?? 0,
    startedAt: firstStart([
      ...(pod.status?.initContainerStatuses ?? []),
      ...(pod.status?.containerStatuses ?? []),
    ]),
    claims: volumes.flatMap(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName ?? []),
    hostPaths: volumes.flatMap(({ hostPath }) => hostPath?.path ?? []),
  };
}

function useOfPath(names: ContentNames, path: string): ContentUse[] {
  const inside = posix.relative(names.root, posix.normalize(path));
  const [top, first = '', second = ''] = inside.split('/');
  if (top === 'content' && isUid(first)) {
    return [isRevision(second) ? { uid: first, revision: second } : { uid: first }];
  }
  if (top === 'by-name' && first !== '' && second !== '') {
    const revision = inside.split('/')[3] ?? '';
    return names.byName(first, second).map((uid) => (isRevision(revision) ? { uid, revision } : { uid }));
  }
  // The root itself and what else lies in it is no content: the agent's own Pod has it, and what `enxame wait` runs in.
  return [];
}

/** The contents that a Pod uses. */
export function contentUses(pod: PodUse, names: ContentNames): ContentUse[] {
  const byClaim = pod.claims.flatMap((claim) => {
    const uid = names.byClaim(pod.namespace, claim);
    return uid === undefined ? [] : [{ uid }];
  });
  return [...byClaim, ...pod.hostPaths.flatMap((path) => useOfPath(names, path))];
}
