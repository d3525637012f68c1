// The present attempt to publish: elects a node, runs a publisher Pod that streams to it, and tries again, there or
// elsewhere, when that fails.
import type { V1Pod } from '@kubernetes/client-node';
import { type Publication, parseQuantity } from '../../api/index.ts';
import { type BackoffBounds, backoffMilliseconds } from '../../base/index.ts';
import { isSelected, type NodeState } from '../nodes/node-state.ts';
import type { PlacedReservation, PublishingDecision, PublishingState } from './decision.ts';
import { type Draft, REPORT_GRACE_MILLISECONDS } from './draft.ts';
import { electNode } from './election.ts';
import { endedAt, type Failure, hasEnded, isOfNode, waitingMessage } from './failure.ts';
import { ingestUrl, ingestUrlOf } from './publisher-pod.ts';
import type { PublishingView } from './view.ts';

/** How long a node that receives may be away before another is elected. */
const NODE_GRACE_MILLISECONDS = 60_000;
/** How long a Pod that is being deleted may take: longer than its 10 s of grace. */
const TERMINATION_GRACE_MILLISECONDS = 30_000;
/** When to look for a node again where there was none. */
const NO_NODE_MILLISECONDS = 10_000;

/** How long the operator waits after a failed attempt: 10 s, 20 s, … up to 5 minutes. */
const BACKOFF: BackoffBounds = { firstMilliseconds: 10_000, maxMilliseconds: 300_000 };

const retryDelay = (attempt: number): number => backoffMilliseconds(attempt, BACKOFF);

/** What is to be done for the present attempt, or to begin one. */
export class Attempt {
  readonly #view: PublishingView;
  readonly #draft: Draft;
  readonly #noHolder: boolean;
  /** What the status tells of. */
  readonly #failure: Failure | undefined;

  constructor(view: PublishingView, draft: Draft, noHolder: boolean) {
    this.#view = view;
    this.#draft = draft;
    this.#noHolder = noHolder;
    this.#failure = view.presentFailure(view.reservations[0]);
  }

  decide(): PublishingDecision {
    const present = this.#view.reservations[0];
    if (present === undefined) return this.#elect(new Set());
    const node = this.#view.node(present.node);
    if (node === undefined) return this.#elect(new Set([present.node]));
    this.#dropDoubles(present);
    for (const pod of this.#view.pods)
      if (!hasEnded(pod) && pod.metadata?.name !== present.reservation.podName) this.#draft.deletePod(pod);

    if (!isSelected(this.#view.input.distribution.spec.placement, node) || this.#isLost(node))
      return this.#moveAway(present);
    const pod = this.#view.pod(present.reservation.podName);
    const publishing = (waiting?: string) =>
      this.#decision({ phase: 'Publishing', node: node.name, waiting });
    if (!node.live) return publishing(`node ${node.name} receives the content and is not ready`);

    const publication = this.#view.publication(node, present.reservation);
    if (publication?.phase === 'Published')
      return this.#draft.decision(
        { phase: 'Published' },
        { noHolder: this.#noHolder, published: publication },
      );
    if (publication?.phase === 'Failed') return this.#afterFailure(present, pod, publication);
    return this.#runPod(present, node, pod, publishing);
  }

  /** Reserves a place on the best node that is not excluded. */
  #elect(excluded: ReadonlySet<string>): PublishingDecision {
    const { distribution, desired, nodes } = this.#view.input;
    const { sizeLimit } = distribution.spec.source;
    const expectedBytes =
      desired?.spec.sizeBytes ?? (sizeLimit === undefined ? undefined : parseQuantity(sizeLimit));
    const { placement } = distribution.spec;
    const election = electNode(nodes, { uid: this.#view.uid, placement, expectedBytes, excluded });
    if (election.node === undefined) {
      // A node that is full of other publications tells nobody when one of them ends.
      this.#draft.lookAgain(NO_NODE_MILLISECONDS);
      return this.#decision({ phase: 'WaitingForNode', message: election.message });
    }
    this.#draft.reserve(election.node.name);
    return this.#decision({ phase: 'Publishing', node: election.node.name, waiting: undefined });
  }

  /** Older reservations of nodes that did not refuse: left by an operator that lost its lease meanwhile. */
  #dropDoubles(present: PlacedReservation): void {
    for (const placed of this.#view.reservations) {
      if (placed === present) continue;
      const node = this.#view.node(placed.node);
      const publication = node === undefined ? undefined : this.#view.publication(node, placed.reservation);
      if (!isOfNode(publication?.reason)) this.#draft.release(placed);
    }
  }

  #isLost(node: NodeState): boolean {
    if (node.live) return false;
    if (!node.exists) return true;
    const waited = this.#view.input.nowMilliseconds - (node.notLiveSince ?? 0);
    if (waited >= NODE_GRACE_MILLISECONDS) return true;
    this.#draft.lookAgain(NODE_GRACE_MILLISECONDS - waited);
    return false;
  }

  /** Elects another node, from the start; the reservation on the old one goes once there is a new one. */
  #moveAway(present: PlacedReservation): PublishingDecision {
    const decision = this.#elect(this.#refusedBy(present.node));
    if (decision.state.phase === 'Publishing') {
      this.#draft.release(present);
      for (const pod of this.#view.pods) if (!hasEnded(pod)) this.#draft.deletePod(pod);
    }
    return decision;
  }

  #refusedBy(...more: string[]): Set<string> {
    return new Set([...this.#view.reservations.slice(1).map(({ node }) => node), ...more]);
  }

  #afterFailure(
    present: PlacedReservation,
    pod: V1Pod | undefined,
    publication: Publication,
  ): PublishingDecision {
    if (isOfNode(publication.reason)) {
      const decision = this.#elect(this.#refusedBy(present.node));
      if (decision.state.phase === 'Publishing') return decision;
    }
    if (pod !== undefined && !hasEnded(pod)) {
      // It reported the failure and is about to end; one that does not is ended.
      const key = `reported/${present.reservation.attempt}`;
      if (this.#draft.isDue(this.#view.input.firstSeen(key), REPORT_GRACE_MILLISECONDS))
        this.#draft.deletePod(pod);
      return this.#waitForRetry(present);
    }
    const since = this.#failure?.at ?? this.#view.input.firstSeen(`failed/${present.reservation.attempt}`);
    if (!this.#draft.isDue(since, retryDelay(present.reservation.attempt)))
      return this.#waitForRetry(present);
    return this.#retry(present);
  }

  #waitForRetry(present: PlacedReservation): PublishingDecision {
    return this.#decision({ phase: 'Publishing', node: present.node, waiting: undefined });
  }

  /** One more attempt: on the same node, which has the bytes so far, unless it was the node that failed. */
  #retry(present: PlacedReservation): PublishingDecision {
    if (this.#view.isOutOfReach(present, this.#failure)) {
      const decision = this.#moveAway(present);
      if (decision.state.phase === 'Publishing') return decision;
    }
    if (isOfNode(this.#failure?.reason)) {
      // Every node refused: begin anew with all of them.
      const decision = this.#elect(new Set());
      if (decision.state.phase === 'Publishing') {
        const elected = decision.state.node;
        for (const placed of this.#view.reservations)
          if (placed.node !== elected) this.#draft.release(placed);
      }
      return decision;
    }
    this.#draft.reserve(present.node);
    return this.#waitForRetry(present);
  }

  #runPod(
    present: PlacedReservation,
    node: NodeState,
    pod: V1Pod | undefined,
    publishing: (waiting?: string) => PublishingDecision,
  ): PublishingDecision {
    const { reservation } = present;
    const address = node.agent?.address;
    if (address === undefined) return publishing(`the agent of node ${node.name} has no address yet`);
    if (pod === undefined) {
      if (reservation.podUID === undefined) {
        this.#draft.actions.push({ kind: 'createPod', node: node.name, address, reservation });
        return publishing();
      }
      // Somebody deleted it. A wait, so that two who disagree do not make and delete Pods without end.
      const since = this.#view.input.firstSeen(`vanished/${reservation.attempt}`);
      if (!this.#draft.isDue(since, Math.min(retryDelay(reservation.attempt) / 10, 30_000)))
        return publishing();
      return this.#retry(present);
    }
    const podUID = pod.metadata?.uid ?? '';
    if (pod.metadata?.deletionTimestamp !== undefined) {
      // Its node may be away for long, or for ever. Should it come back: the agent takes one Pod's bytes only.
      const since = this.#view.input.firstSeen(`terminating/${reservation.attempt}`);
      return this.#draft.isDue(since, TERMINATION_GRACE_MILLISECONDS)
        ? this.#retry(present)
        : publishing(`Pod ${reservation.podName} is being deleted`);
    }
    if (reservation.podUID !== podUID)
      this.#draft.actions.push({ kind: 'reserve', node: node.name, reservation: { ...reservation, podUID } });
    if (pod.status?.phase === 'Failed') {
      const since = endedAt(pod) ?? this.#view.input.firstSeen(`failed/${reservation.attempt}`);
      // The agent may yet say why, or that it has everything.
      const wait = Math.max(REPORT_GRACE_MILLISECONDS / 10, retryDelay(reservation.attempt));
      return this.#draft.isDue(since, wait) ? this.#retry(present) : publishing();
    }
    if (pod.status?.phase === 'Succeeded') {
      const since = endedAt(pod) ?? this.#view.input.firstSeen(`succeeded/${reservation.attempt}`);
      if (!this.#draft.isDue(since, REPORT_GRACE_MILLISECONDS)) return publishing();
      this.#draft.deletePod(pod);
      return this.#retry(present);
    }
    if (ingestUrlOf(pod) !== ingestUrl(address)) {
      // The agent's Pod was replaced: the publisher talks to an address that nobody has.
      this.#draft.deletePod(pod);
      return this.#retry(present);
    }
    return publishing(waitingMessage(pod));
  }

  #decision(state: PublishingState): PublishingDecision {
    return this.#draft.decision(state, { failure: this.#failure, noHolder: this.#noHolder });
  }
}
