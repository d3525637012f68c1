// Names that several programs must come to on their own. Each is a pure function of identities, so that two
// operators that believe to lead make the same object and the second finds that it exists.
import { createHash } from 'node:crypto';

/** Labels that our programs set and select by. */
export const Label = {
  /** UID of the distribution that an object outside its owner's reach belongs to; the sweep goes by it. */
  DistributionUid: 'enxame.dev/distribution-uid',
  /** Name of that distribution. */
  Distribution: 'enxame.dev/distribution',
  /** Name of the revision. */
  Revision: 'enxame.dev/revision',
  /** Attempt that a publisher Pod belongs to. */
  Attempt: 'enxame.dev/attempt',
  Name: 'app.kubernetes.io/name',
  Component: 'app.kubernetes.io/component',
  Instance: 'app.kubernetes.io/instance',
  ManagedBy: 'app.kubernetes.io/managed-by',
  PartOf: 'app.kubernetes.io/part-of',
  Version: 'app.kubernetes.io/version',
} as const;

/** Annotations that our programs read. */
export const Annotation = {
  /** Set on a NodeContent by a person: the content that vanished from the API at once may be deleted. */
  ConfirmDeletion: 'enxame.dev/confirm-deletion',
  /** Namespace of the distribution that a cluster-scoped object belongs to. */
  DistributionNamespace: 'enxame.dev/distribution-namespace',
} as const;

/** Value of app.kubernetes.io/name. */
export const APP_NAME = 'enxame';

/** Values of app.kubernetes.io/component. */
export const Component = {
  Operator: 'operator',
  Tracker: 'tracker',
  Agent: 'agent',
  Publisher: 'publisher',
} as const;

/** The only key of a headers Secret that is ever mounted. */
export const HEADERS_SECRET_KEY = 'enxame.dev.headers';

/** Ports that the programs listen on. */
export const Port = {
  /** BitTorrent, on agents. */
  Peer: 6881,
  /** Announces, on trackers. */
  Tracker: 6969,
  /** Ingest, metainfo, metrics and health, on agents. */
  Agent: 9100,
  /** Metrics and health, on the operator. */
  Operator: 9100,
} as const;

/** Characters in a revision's name. */
export const REVISION_LENGTH = 12;
/** A distribution's name must leave room for `-REVISION` in a label of 63 characters. */
export const MAX_DISTRIBUTION_NAME_LENGTH = 50;

/** Name of a revision: the first 12 hexadecimal digits of its digest (`sha256:…`). */
export function revisionFromDigest(digest: string): string {
  return digest.slice('sha256:'.length, 'sha256:'.length + REVISION_LENGTH);
}

/** Name of the ContentRevision of a distribution. */
export function contentRevisionName(distribution: string, revision: string): string {
  return `${distribution}-${revision}`;
}

/**
 * Name of the publisher Pod of an attempt: deterministic, so that it can be made only once. A hash and not
 * the parts, because a Pod's name becomes a host name of at most 63 characters.
 */
export function publisherPodName(uid: string, sourceState: string, attempt: number): string {
  const hash = createHash('sha256').update(`${uid}\n${sourceState}\n${attempt}`).digest('hex').slice(0, 20);
  return `enxame-publish-${hash}`;
}

/** Name of the PersistentVolume of a distribution with a claim. */
export function persistentVolumeName(uid: string): string {
  return `enxame-${uid}`;
}

/** Name of the Deployment and the Service of a tracker replica; it is also the key that agents rank by. */
export function trackerName(index: number): string {
  return `enxame-tracker-${index}`;
}

/** `source` in the info dictionary: makes swarms of equal content in two distributions different. */
export function infoSource(uid: string): string {
  return `enxame:${uid}`;
}
