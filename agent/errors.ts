// The one error class of this room. Invariant: what a node, a disk or an object does to the agent ends as an
// AgentError with a code, or as the error of the room below it; callers decide by code, never by message.
import { CodedError } from '../base/index.ts';

/** What went wrong, as a stable word. */
export type AgentErrorCode =
  /** A setting of the program is missing or makes no sense. */
  | 'InvalidSetting'
  /** Another agent uses this content root. */
  | 'RootInUse'
  /** The content root was written by a version that this one does not know. */
  | 'UnknownFormat'
  /** Something lies in the content root where it must not: a file instead of a folder, a symlink. */
  | 'RootDamaged'
  /** There is too little room; the message has the numbers. */
  | 'StorageLow'
  /** Nobody gave the metainfo of a revision. */
  | 'MetainfoUnavailable'
  /** Metainfo that is not what the revision says. */
  | 'MetainfoInvalid'
  /** The manifest of the metainfo has another digest than the revision. */
  | 'DigestMismatch'
  /** The content did not come in time (`enxame wait`). */
  | 'WaitTimeout'
  /** Used after close(). */
  | 'Closed';

/** An error of the agent; `code` says which, `cause` keeps what was underneath. */
export class AgentError extends CodedError<AgentErrorCode> {
  override readonly name = 'AgentError';
}
