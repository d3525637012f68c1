// The words of conditions and events. They are API: people and alerts match on them.

/** Condition types of a ContentDistribution. */
export const ConditionType = {
  /** The desired revision is active on enough of the eligible nodes. */
  Ready: 'Ready',
  /** Something is still to be done. */
  Reconciling: 'Reconciling',
  /** The present source has been read and its revision exists. */
  Published: 'Published',
  /** Every eligible node holds the desired revision. */
  Distributed: 'Distributed',
  /** Every eligible node shows the desired revision to Pods. */
  Activated: 'Activated',
  /** It was Ready for this revision, and now fewer nodes have it than asked for. */
  Degraded: 'Degraded',
  /** A transfer is under way and no byte has moved for a while. */
  NoProgress: 'NoProgress',
  /** A person must fix something. */
  Stalled: 'Stalled',
} as const;
export type ConditionType = (typeof ConditionType)[keyof typeof ConditionType];

/** Condition types of a NodeContent. */
export const NodeConditionType = {
  /** The agent runs and its content root is in order. */
  Ready: 'Ready',
  /** There is too little room for what the node is to hold. */
  StorageLow: 'StorageLow',
  /** So much content vanished from the API at once that deletion waits for a person. */
  DeletionHeld: 'DeletionHeld',
} as const;
export type NodeConditionType = (typeof NodeConditionType)[keyof typeof NodeConditionType];

/** Why a source could not be published; publishers report these. */
export const SourceReason = {
  /** 404 or 410, or the ConfigMap has no keys. */
  NotFound: 'SourceNotFound',
  /** 401, 403 or 407. */
  Unauthorized: 'SourceUnauthorized',
  /** 5xx or 429, also after several attempts. */
  ServerError: 'SourceServerError',
  /** An answer that cannot be used: other 4xx, too many redirects, a wrong range. */
  BadResponse: 'SourceBadResponse',
  /** A file's SHA-256 is not the declared one. */
  ChecksumMismatch: 'SourceChecksumMismatch',
  /** A file ended before the size that the server stated. */
  EndedEarly: 'SourceEndedEarly',
  /** No byte came for the stall time. */
  Stalled: 'SourceStalled',
  /** A file changed while it was being read. */
  Changed: 'SourceChanged',
  /** More bytes than sizeLimit. */
  TooLarge: 'SourceTooLarge',
  /** The source does not state its size and there is no sizeLimit. */
  SizeUnknown: 'SourceSizeUnknown',
  /** No connection: name not found, refused, TLS. */
  Unreachable: 'SourceUnreachable',
  /** An address that publishers must not connect to. */
  ForbiddenAddress: 'SourceForbiddenAddress',
  /** The Secret with the headers cannot be used. */
  InvalidHeaders: 'SourceInvalidHeaders',
  /** The declared source or its paths are not usable. */
  Invalid: 'SourceInvalid',
  /** The publisher itself failed; a defect of ours or a broken Pod. */
  PublisherFailed: 'PublisherFailed',
  /** The agent could not be reached, or does not know of this publication. */
  AgentUnreachable: 'AgentUnreachable',
} as const;
export type SourceReason = (typeof SourceReason)[keyof typeof SourceReason];

/** Reasons of conditions, phases and events besides those of sources. */
export const Reason = {
  // Ready, Distributed, Activated, Reconciling
  Available: 'Available',
  NoNodes: 'NoNodes',
  NotEnoughNodes: 'NotEnoughNodes',
  Suspended: 'Suspended',
  Initializing: 'Initializing',
  UpToDate: 'UpToDate',
  Publishing: 'Publishing',
  Downloading: 'Downloading',
  Activating: 'Activating',
  Distributed: 'Distributed',
  Activated: 'Activated',
  NodesFailed: 'NodesFailed',
  NodesUnavailable: 'NodesUnavailable',
  Moving: 'Moving',
  NoBytesMoved: 'NoBytesMoved',
  NothingToFix: 'NothingToFix',
  // Published
  Published: 'Published',
  WaitingForNode: 'WaitingForNode',
  WaitingForPublisher: 'WaitingForPublisher',
  PublisherRejected: 'PublisherRejected',
  PublisherDeadlineExceeded: 'PublisherDeadlineExceeded',
  TooManyFiles: 'TooManyFiles',
  InsufficientStorage: 'InsufficientStorage',
  InvalidSpec: 'InvalidSpec',
  NoHolderLeft: 'NoHolderLeft',
  // claim
  ClaimConflict: 'ClaimConflict',
  ClaimCreated: 'ClaimCreated',
  // revisions on nodes
  StorageLow: 'StorageLow',
  DiskError: 'DiskError',
  DiskCorrupts: 'DiskCorrupts',
  MetainfoUnavailable: 'MetainfoUnavailable',
  MetainfoInvalid: 'MetainfoInvalid',
  DigestMismatch: 'DigestMismatch',
  NoPeers: 'NoPeers',
  Paused: 'Paused',
  UnsupportedFeature: 'UnsupportedFeature',
  InvalidRevision: 'InvalidRevision',
  // events
  RevisionCreated: 'RevisionCreated',
  RevisionDeleted: 'RevisionDeleted',
  AgentRunning: 'AgentRunning',
  RoomAvailable: 'RoomAvailable',
  MassDeletion: 'MassDeletion',
} as const;
export type Reason = (typeof Reason)[keyof typeof Reason];
