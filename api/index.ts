// The kinds and the words that our programs share. Other rooms import from here and nowhere deeper; but commands for
// people take quantity.ts by itself, because their start is waited for and the kinds' schemas take time to make.
export * from './conditions.ts';
export * from './defaults.ts';
export * from './errors.ts';
export * from './ingest.ts';
export type {
  ContentDistributionSpec,
  ContentDistributionStatus,
  HttpFileSpec,
  HttpSourceSpec,
  SourceSpec,
} from './kinds/content-distribution.ts';
export type { ContentRevisionSpec } from './kinds/content-revision.ts';
export { MAX_METAINFO_BYTES } from './kinds/content-revision.ts';
export type {
  NodeContentSpec,
  NodeContentStatus,
  NodeRevision,
  Publication,
  Reservation,
} from './kinds/node-content.ts';
export { MAX_NODE_REVISIONS, MAX_PUBLISHING } from './kinds/node-content.ts';
export type { Condition, Placement } from './kinds/parts.ts';
export * from './names.ts';
export * from './parse.ts';
export * from './path.ts';
export * from './placement.ts';
export * from './quantity.ts';
export * from './resource.ts';
export * from './source-state.ts';
export * from './source-variables.ts';
export * from './summary.ts';
export * from './time.ts';
