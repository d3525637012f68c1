// What publishing is decided from, and what a decision says.
import type { V1Pod } from '@kubernetes/client-node';
import type { ContentDistribution, ContentRevision, Publication, Reservation } from '../../api/index.ts';
import type { NodeState } from '../nodes/node-state.ts';
import type { Failure } from './failure.ts';

/** A reservation and the node it is on. */
export interface PlacedReservation {
  readonly node: string;
  readonly reservation: Reservation;
}

/** What is decided from. */
export interface PublishingInput {
  readonly distribution: ContentDistribution;
  /** Name of the present spec.source. */
  readonly sourceState: string;
  /** The revision that the present source gave, if it is there. */
  readonly desired: ContentRevision | undefined;
  readonly nodes: readonly NodeState[];
  /** Publisher Pods of this distribution's UID. */
  readonly pods: readonly V1Pod[];
  readonly nowMilliseconds: number;
  /** When something without a time in the API was first seen, in milliseconds since 1970. */
  readonly firstSeen: (what: string) => number;
}

/** One write. */
export type PublishingAction =
  | { readonly kind: 'reserve'; readonly node: string; readonly reservation: Reservation }
  | { readonly kind: 'release'; readonly node: string; readonly attempt: number }
  | {
      readonly kind: 'createPod';
      readonly node: string;
      readonly address: string;
      readonly reservation: Reservation;
    }
  | { readonly kind: 'deletePod'; readonly name: string; readonly uid: string };

/** How publishing stands, for the status. */
export type PublishingState =
  | { readonly phase: 'Published' }
  | { readonly phase: 'Suspended' }
  | { readonly phase: 'WaitingForNode'; readonly message: string }
  | { readonly phase: 'Publishing'; readonly node: string; readonly waiting: string | undefined };

/** What is decided. */
export interface PublishingDecision {
  /** In the order in which they are to be done. */
  readonly actions: readonly PublishingAction[];
  readonly state: PublishingState;
  /** The last failed attempt at the present source, until one succeeds. */
  readonly failure: Failure | undefined;
  /** What a node received: a revision is to be made from it, or brought up to date. */
  readonly published: Publication | undefined;
  /** True while the desired revision exists and nobody has it. */
  readonly noHolder: boolean;
  /** When to look again though nothing changes, in milliseconds from now. */
  readonly lookAgainIn: number | undefined;
}
