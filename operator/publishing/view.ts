// What the API says of the publishing of one distribution: questions about the input that several decisions ask.
// Nothing is decided or written here.
import type { V1Pod } from '@kubernetes/client-node';
import {
  type ContentRevision,
  millisecondsOf,
  type Publication,
  publisherPodName,
  type Reservation,
  SourceReason,
} from '../../api/index.ts';
import { holds, type NodeState, publicationOn, reservationsOn } from '../nodes/node-state.ts';
import type { PlacedReservation, PublishingInput } from './decision.ts';
import { type Failure, isOfNode, podFailure, publicationFailure } from './failure.ts';
import { attemptOf, ingestUrl, ingestUrlOf } from './publisher-pod.ts';

/** A node that has been receiving for so long had room. */
const ACCEPTED_MILLISECONDS = 15_000;

/** The reservations of a distribution, wherever they are; highest attempt first. */
export function reservationsOf(uid: string, nodes: readonly NodeState[]): PlacedReservation[] {
  return nodes
    .flatMap((node) => reservationsOn(node, uid).map((reservation) => ({ node: node.name, reservation })))
    .sort((a, b) => b.reservation.attempt - a.reservation.attempt || (a.node < b.node ? -1 : 1));
}

/** The input, and what follows from it. */
export class PublishingView {
  readonly input: PublishingInput;
  readonly uid: string;
  /** Reservations of the present source; the first is the present one. */
  readonly reservations: readonly PlacedReservation[];
  /** Publisher Pods of the present source. */
  readonly pods: readonly V1Pod[];

  constructor(input: PublishingInput) {
    const { distribution, sourceState, nodes, pods } = input;
    this.input = input;
    this.uid = distribution.metadata.uid ?? '';
    this.reservations = reservationsOf(this.uid, nodes).filter(
      ({ reservation }) => reservation.sourceState === sourceState,
    );
    this.pods = pods.filter((pod) => this.isOfSource(pod));
  }

  /** Whether the Pod reads the present source. */
  isOfSource(pod: V1Pod): boolean {
    return pod.metadata?.name === publisherPodName(this.uid, this.input.sourceState, attemptOf(pod));
  }

  node(name: string | undefined): NodeState | undefined {
    return this.input.nodes.find((node) => node.name === name);
  }

  pod(name: string): V1Pod | undefined {
    return this.pods.find(({ metadata }) => metadata?.name === name);
  }

  /** A number that no attempt of this distribution has, as far as anything remembers. */
  nextAttempt(): number {
    const { nodes, pods } = this.input;
    const attempts = [
      ...reservationsOf(this.uid, nodes).map(({ reservation }) => reservation.attempt),
      ...nodes.map((node) => publicationOn(node, this.uid)?.attempt ?? 0),
      ...pods.map(attemptOf),
    ];
    return Math.max(0, ...attempts) + 1;
  }

  /** Whether a node has the revision, and would give it to others. */
  hasHolder({ spec }: ContentRevision): boolean {
    return this.input.nodes.some(
      (node) => holds(node, this.uid, spec.revision) || (node.live && this.isPublishedOn(node, spec.digest)),
    );
  }

  /** Whether the node has received content of this digest. */
  isPublishedOn(node: NodeState, digest: string): boolean {
    const publication = publicationOn(node, this.uid);
    return publication?.phase === 'Published' && publication.digest === digest;
  }

  /** Whether the present reservation is the one that gave the desired revision. */
  isLeftOver(desired: ContentRevision): boolean {
    const placed = this.reservations[0];
    const node = this.input.nodes.find(({ name }) => name === placed?.node);
    const publication = node === undefined ? undefined : publicationOn(node, this.uid);
    return (
      publication?.attempt === placed?.reservation.attempt &&
      publication?.phase === 'Published' &&
      publication.digest === desired.spec.digest
    );
  }

  /** What the present reservation's node has published, while that node is live. */
  publicationToTake(): Publication | undefined {
    const placed = this.reservations[0];
    if (placed === undefined) return undefined;
    const node = this.node(placed.node);
    const publication = node?.live ? this.publication(node, placed.reservation) : undefined;
    return publication?.phase === 'Published' ? publication : undefined;
  }

  /** What the node says of the publication that the reservation asks for. */
  publication(node: NodeState, { attempt, sourceState }: Reservation): Publication | undefined {
    const publication = publicationOn(node, this.uid);
    if (publication?.attempt !== attempt) return undefined;
    if (publication.sourceState !== undefined && publication.sourceState !== sourceState) return undefined;
    return publication;
  }

  /**
   * The failure to tell of. A node that had no room, or no disk that works, is past once another one was elected
   * in the same round, or receives for a while: until then a new round after all refused looks no better than
   * the one before.
   */
  presentFailure(present: PlacedReservation | undefined): Failure | undefined {
    const failure = this.#lastFailure();
    if (failure === undefined || !isOfNode(failure.reason) || present === undefined) return failure;
    const { attempt, podName } = present.reservation;
    if (failure.attempt >= attempt) return failure;
    const pod = this.pod(podName);
    const startedAt = millisecondsOf(pod?.status?.startTime) ?? this.input.nowMilliseconds;
    const isReceiving = this.input.nowMilliseconds - startedAt >= ACCEPTED_MILLISECONDS;
    const isFirstRound = attempt <= this.reservations.length;
    return isFirstRound || isReceiving ? undefined : failure;
  }

  #lastFailure(): Failure | undefined {
    const failures = this.pods.flatMap((pod) => podFailure(pod) ?? []);
    for (const { node, reservation } of this.reservations) {
      const state = this.node(node);
      const told = state === undefined ? undefined : publicationFailure(this.publication(state, reservation));
      // The agent's word before the Pod's: it has the same reason, and numbers of its own.
      if (told !== undefined) {
        const pod = failures.find(({ attempt }) => attempt === told.attempt);
        failures.unshift({ ...told, at: pod?.at });
      }
    }
    return failures.sort((a, b) => b.attempt - a.attempt)[0];
  }

  /**
   * Whether the node, ready as it is, cannot be reached by publishers. One that was being streamed to can be, and
   * has bytes worth going back for: its agent was only away for too long, or was replaced.
   */
  isOutOfReach({ node: name, reservation }: PlacedReservation, failure: Failure | undefined): boolean {
    const { attempt, podName } = reservation;
    if (failure?.reason !== SourceReason.AgentUnreachable || failure.attempt !== attempt) return false;
    const node = this.node(name);
    const pod = this.pod(podName);
    if (node?.agent?.address === undefined || pod === undefined) return false;
    const phase = this.publication(node, reservation)?.phase ?? 'Reserved';
    return phase === 'Reserved' && ingestUrlOf(pod) === ingestUrl(node.agent.address);
  }
}
