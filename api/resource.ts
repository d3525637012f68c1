// What a kind is called in the API server's URLs, and what every object of it carries.
import type { ContentDistributionSpec, ContentDistributionStatus } from './kinds/content-distribution.ts';
import type { ContentRevisionSpec, ContentRevisionStatus } from './kinds/content-revision.ts';
import type { NodeContentSpec, NodeContentStatus } from './kinds/node-content.ts';

/** The API group of everything ours. */
export const GROUP = 'enxame.dev';
/** The only version there is. */
export const VERSION = 'v1alpha1';
/** `apiVersion` of every object of ours. */
export const API_VERSION = `${GROUP}/${VERSION}`;

/** Where a kind lives in the API. */
export interface Resource {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

export const CONTENT_DISTRIBUTION = {
  group: GROUP,
  version: VERSION,
  kind: 'ContentDistribution',
  plural: 'contentdistributions',
  namespaced: true,
} as const satisfies Resource;

export const CONTENT_REVISION = {
  group: GROUP,
  version: VERSION,
  kind: 'ContentRevision',
  plural: 'contentrevisions',
  namespaced: true,
} as const satisfies Resource;

export const NODE_CONTENT = {
  group: GROUP,
  version: VERSION,
  kind: 'NodeContent',
  plural: 'nodecontents',
  namespaced: false,
} as const satisfies Resource;

/** An owner as metadata names it. */
export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

/** The metadata our programs read and write, as JSON carries it. */
export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
  finalizers?: string[];
}

/** What a user asks for: this content, on these nodes. */
export interface ContentDistribution {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  spec: ContentDistributionSpec;
  status?: ContentDistributionStatus;
}

/** One immutable version of a distribution's content; agents obey these. */
export interface ContentRevision {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  spec: ContentRevisionSpec;
  status?: ContentRevisionStatus;
}

/** What one node holds, and what it is to receive from publishers; its name is the node's. */
export interface NodeContent {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  spec?: NodeContentSpec;
  status?: NodeContentStatus;
}
