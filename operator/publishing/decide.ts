// What is to be done so that the present source of one distribution is published: a pure function of what the
// API says now, so that any operator, started at any moment, goes on where another stopped.
//
// What it remembers stands in reservations (NodeContent.spec.publishing) and in the publisher Pods that failed:
// the reservation with the highest attempt is the present one; those with lower attempts are nodes that had no
// room, kept until the publication succeeds or every node refused.
import type { V1Pod } from '@kubernetes/client-node';
import {
  type ContentDistribution,
  type ContentRevision,
  distributionSettings,
  millisecondsOf,
  type Publication,
  parseQuantity,
  publisherPodName,
  type Reservation,
  SourceReason,
} from '../../api/index.ts';
import {
  holds,
  isSelected,
  type NodeState,
  publicationOn,
  reservationsOn,
  revisionOn,
} from '../nodes/node-state.ts';
import { retryDelay } from './back-off.ts';
import { electNode } from './election.ts';
import {
  endedAt,
  type Failure,
  hasEnded,
  isOfNode,
  podFailure,
  publicationFailure,
  waitingMessage,
} from './failure.ts';
import { attemptOf, ingestUrl, ingestUrlOf } from './publisher-pod.ts';

/** How long a node that receives may be away before another is elected. */
const NODE_GRACE_MILLISECONDS = 60_000;
/** How long a revision may be without a live holder before its source is read again. */
const HOLDER_GRACE_MILLISECONDS = 120_000;
/** How long the agent's word may lag behind a Pod that ended. */
const REPORT_GRACE_MILLISECONDS = 30_000;
/** How long a Pod that is being deleted may take: longer than its 10 s of grace. */
const TERMINATION_GRACE_MILLISECONDS = 30_000;
/** When to look for a node again where there was none. */
const NO_NODE_MILLISECONDS = 10_000;

/** A node that has been receiving for so long had room. */
const ACCEPTED_MILLISECONDS = 15_000;

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

/** The reservations of a distribution, wherever they are; highest attempt first. */
export function reservationsOf(uid: string, nodes: readonly NodeState[]): PlacedReservation[] {
  return nodes
    .flatMap((node) => reservationsOn(node, uid).map((reservation) => ({ node: node.name, reservation })))
    .sort((a, b) => b.reservation.attempt - a.reservation.attempt || (a.node < b.node ? -1 : 1));
}

/** A number that no attempt of this distribution has, as far as anything remembers. */
function nextAttempt({ distribution, nodes, pods }: PublishingInput): number {
  const uid = distribution.metadata.uid ?? '';
  const attempts = [
    ...reservationsOf(uid, nodes).map(({ reservation }) => reservation.attempt),
    ...nodes.map((node) => publicationOn(node, uid)?.attempt ?? 0),
    ...pods.map(attemptOf),
  ];
  return Math.max(0, ...attempts) + 1;
}

/** Decides. */
export function decidePublishing(input: PublishingInput): PublishingDecision {
  return new Decision(input).make();
}

/** One run of the decision: the input, and the writes gathered so far. */
class Decision {
  readonly #input: PublishingInput;
  readonly #uid: string;
  readonly #actions: PublishingAction[] = [];
  /** Reservations of the present source. */
  readonly #reservations: PlacedReservation[];
  readonly #pods: readonly V1Pod[];
  #lookAgainIn: number | undefined;

  constructor(input: PublishingInput) {
    const { distribution, sourceState, nodes, pods } = input;
    this.#input = input;
    this.#uid = distribution.metadata.uid ?? '';
    this.#reservations = reservationsOf(this.#uid, nodes).filter(
      ({ reservation }) => reservation.sourceState === sourceState,
    );
    this.#pods = pods.filter((pod) => this.#isOfSource(pod));
  }

  #isOfSource(pod: V1Pod): boolean {
    return pod.metadata?.name === publisherPodName(this.#uid, this.#input.sourceState, attemptOf(pod));
  }

  make(): PublishingDecision {
    const { distribution, desired } = this.#input;
    this.#dropWhatIsOfAnotherSource();
    if (distributionSettings(distribution.spec).suspend) return this.#suspend();
    const noHolder = desired !== undefined && !this.#hasHolder(desired);
    if (desired !== undefined && !this.#mustReadAgain(desired, noHolder))
      return this.#finish(desired, noHolder);
    this.#keepLastFailedPod();
    return this.#publish(noHolder);
  }

  #decision(
    state: PublishingState,
    rest: Partial<Pick<PublishingDecision, 'failure' | 'published' | 'noHolder'>> = {},
  ): PublishingDecision {
    return {
      actions: this.#actions,
      state,
      failure: rest.failure,
      published: rest.published,
      noHolder: rest.noHolder ?? false,
      lookAgainIn: this.#lookAgainIn,
    };
  }

  #lookAgain(inMilliseconds: number): void {
    const wait = Math.max(inMilliseconds, 100);
    this.#lookAgainIn = Math.min(this.#lookAgainIn ?? wait, wait);
  }

  #deletePod(pod: V1Pod): void {
    const { name, uid, deletionTimestamp } = pod.metadata ?? {};
    if (name === undefined || uid === undefined || deletionTimestamp !== undefined) return;
    this.#actions.push({ kind: 'deletePod', name, uid });
  }

  #release({ node, reservation }: PlacedReservation): void {
    this.#actions.push({ kind: 'release', node, attempt: reservation.attempt });
  }

  #dropWhatIsOfAnotherSource(): void {
    const { nodes, pods, sourceState } = this.#input;
    for (const placed of reservationsOf(this.#uid, nodes))
      if (placed.reservation.sourceState !== sourceState) this.#release(placed);
    for (const pod of pods) if (!this.#isOfSource(pod)) this.#deletePod(pod);
  }

  #keepLastFailedPod(): void {
    const failed = this.#pods.filter((pod) => pod.status?.phase === 'Failed');
    const last = Math.max(0, ...failed.map(attemptOf));
    for (const pod of failed) if (attemptOf(pod) < last) this.#deletePod(pod);
  }

  /** Stops reading; the reservation stays, and with it the bytes that the agent has. */
  #suspend(): PublishingDecision {
    for (const pod of this.#pods) if (!hasEnded(pod)) this.#deletePod(pod);
    return this.#decision({ phase: 'Suspended' });
  }

  #hasHolder({ spec }: ContentRevision): boolean {
    return this.#input.nodes.some(
      (node) =>
        holds(node, this.#uid, spec.revision) || (node.live && this.#isPublishedOn(node, spec.digest)),
    );
  }

  #isPublishedOn(node: NodeState, digest: string): boolean {
    const publication = publicationOn(node, this.#uid);
    return publication?.phase === 'Published' && publication.digest === digest;
  }

  /** Whether nobody has had the revision for so long that its source must be read again. */
  #mustReadAgain(desired: ContentRevision, noHolder: boolean): boolean {
    if (!noHolder) return false;
    if (this.#reservations.length > 0 && !this.#isLeftOver(desired)) return true; // Already begun.
    const since = this.#input.firstSeen(`no-holder/${desired.spec.revision}`);
    const waited = this.#input.nowMilliseconds - since;
    if (waited >= HOLDER_GRACE_MILLISECONDS) return true;
    this.#lookAgain(HOLDER_GRACE_MILLISECONDS - waited);
    return false;
  }

  /** Whether the present reservation is the one that gave the desired revision. */
  #isLeftOver(desired: ContentRevision): boolean {
    const placed = this.#reservations[0];
    const node = this.#input.nodes.find(({ name }) => name === placed?.node);
    const publication = node === undefined ? undefined : publicationOn(node, this.#uid);
    return (
      publication?.attempt === placed?.reservation.attempt &&
      publication?.phase === 'Published' &&
      publication.digest === desired.spec.digest
    );
  }

  /** The revision is there: takes away what publishing it needed. */
  #finish(desired: ContentRevision, noHolder: boolean): PublishingDecision {
    const { nowMilliseconds, distribution, nodes } = this.#input;
    const madeAt = millisecondsOf(desired.metadata.creationTimestamp) ?? 0;
    const isSettled = nowMilliseconds - madeAt >= REPORT_GRACE_MILLISECONDS;
    let running = false;
    for (const pod of this.#pods) {
      if (hasEnded(pod) || isSettled) this.#deletePod(pod);
      else running = true; // It is about to see that it is done.
    }
    if (running) this.#lookAgain(REPORT_GRACE_MILLISECONDS);
    for (const placed of this.#reservations) {
      const node = nodes.find(({ name }) => name === placed.node);
      const isPresent = placed === this.#reservations[0];
      // The agent must have seen the revision before the reservation that keeps its files goes.
      const isTaken =
        node === undefined ||
        !isSelected(distribution.spec.placement, node) ||
        revisionOn(node, this.#uid, desired.spec.revision) !== undefined ||
        !this.#isPublishedOn(node, desired.spec.digest);
      if (!isPresent || (isTaken && !running)) this.#release(placed);
    }
    return this.#decision(
      { phase: 'Published' },
      { noHolder, published: noHolder ? undefined : this.#publicationToTake() },
    );
  }

  /** What the present reservation's node has published, while that node is live. */
  #publicationToTake(): Publication | undefined {
    const placed = this.#reservations[0];
    if (placed === undefined) return undefined;
    const node = this.#input.nodes.find(({ name }) => name === placed.node);
    const publication = node?.live ? this.#publication(node, placed.reservation) : undefined;
    return publication?.phase === 'Published' ? publication : undefined;
  }

  #publication(node: NodeState, { attempt, sourceState }: Reservation): Publication | undefined {
    const publication = publicationOn(node, this.#uid);
    if (publication?.attempt !== attempt) return undefined;
    if (publication.sourceState !== undefined && publication.sourceState !== sourceState) return undefined;
    return publication;
  }

  /** Reserves a place on the best node that is not excluded. */
  #elect(excluded: ReadonlySet<string>, noHolder: boolean, failure: Failure | undefined): PublishingDecision {
    const { distribution, desired, nodes } = this.#input;
    const { sizeLimit } = distribution.spec.source;
    const expectedBytes =
      desired?.spec.sizeBytes ?? (sizeLimit === undefined ? undefined : parseQuantity(sizeLimit));
    const { placement } = distribution.spec;
    const election = electNode(nodes, { uid: this.#uid, placement, expectedBytes, excluded });
    if (election.node === undefined) {
      // A node that is full of other publications tells nobody when one of them ends.
      this.#lookAgain(NO_NODE_MILLISECONDS);
      return this.#decision({ phase: 'WaitingForNode', message: election.message }, { failure, noHolder });
    }
    this.#reserve(election.node.name);
    return this.#decision(
      { phase: 'Publishing', node: election.node.name, waiting: undefined },
      { failure, noHolder },
    );
  }

  #reserve(node: string): void {
    const { distribution, desired, sourceState } = this.#input;
    const { name, namespace = '' } = distribution.metadata;
    const { sizeLimit } = distribution.spec.source;
    const attempt = nextAttempt(this.#input);
    this.#actions.push({
      kind: 'reserve',
      node,
      reservation: {
        uid: this.#uid,
        attempt,
        sourceState,
        distributionName: name,
        podNamespace: namespace,
        podName: publisherPodName(this.#uid, sourceState, attempt),
        ...(sizeLimit === undefined ? {} : { sizeLimit: parseQuantity(sizeLimit) }),
        ...(desired === undefined ? {} : { declaredBytes: desired.spec.sizeBytes }),
      },
    });
  }

  #lastFailure(): Failure | undefined {
    const failures = this.#pods.flatMap((pod) => podFailure(pod) ?? []);
    for (const { node, reservation } of this.#reservations) {
      const state = this.#input.nodes.find(({ name }) => name === node);
      const told =
        state === undefined ? undefined : publicationFailure(this.#publication(state, reservation));
      // The agent's word before the Pod's: it has the same reason, and numbers of its own.
      if (told !== undefined) {
        const pod = failures.find(({ attempt }) => attempt === told.attempt);
        failures.unshift({ ...told, at: pod?.at });
      }
    }
    return failures.sort((a, b) => b.attempt - a.attempt)[0];
  }

  /**
   * The failure to tell of. A node that had no room, or no disk that works, is past once another one was elected
   * in the same round, or receives for a while: until then a new round after all refused looks no better than
   * the one before.
   */
  #presentFailure(present: PlacedReservation | undefined): Failure | undefined {
    const failure = this.#lastFailure();
    if (failure === undefined || !isOfNode(failure.reason) || present === undefined) return failure;
    const { attempt, podName } = present.reservation;
    if (failure.attempt >= attempt) return failure;
    const pod = this.#pods.find(({ metadata }) => metadata?.name === podName);
    const startedAt = millisecondsOf(pod?.status?.startTime) ?? this.#input.nowMilliseconds;
    const isReceiving = this.#input.nowMilliseconds - startedAt >= ACCEPTED_MILLISECONDS;
    const isFirstRound = attempt <= this.#reservations.length;
    return isFirstRound || isReceiving ? undefined : failure;
  }

  #publish(noHolder: boolean): PublishingDecision {
    const present = this.#reservations[0];
    const failure = this.#presentFailure(present);
    if (present === undefined) return this.#elect(new Set(), noHolder, failure);
    const node = this.#input.nodes.find(({ name }) => name === present.node);
    if (node === undefined) return this.#elect(new Set([present.node]), noHolder, failure);
    this.#dropDoubles(present);
    for (const pod of this.#pods)
      if (!hasEnded(pod) && pod.metadata?.name !== present.reservation.podName) this.#deletePod(pod);

    if (!isSelected(this.#input.distribution.spec.placement, node) || this.#isLost(node))
      return this.#moveAway(present, noHolder, failure);
    const pod = this.#pods.find(({ metadata }) => metadata?.name === present.reservation.podName);
    const publishing = (waiting?: string) =>
      this.#decision({ phase: 'Publishing', node: node.name, waiting }, { failure, noHolder });
    if (!node.live) return publishing(`node ${node.name} receives the content and is not ready`);

    const publication = this.#publication(node, present.reservation);
    if (publication?.phase === 'Published')
      return this.#decision({ phase: 'Published' }, { failure: undefined, noHolder, published: publication });
    if (publication?.phase === 'Failed')
      return this.#afterFailure(present, pod, publication, noHolder, failure);
    return this.#runPod(present, node, pod, noHolder, failure, publishing);
  }

  /** Older reservations of nodes that did not refuse: left by an operator that lost its lease meanwhile. */
  #dropDoubles(present: PlacedReservation): void {
    for (const placed of this.#reservations) {
      if (placed === present) continue;
      const node = this.#input.nodes.find(({ name }) => name === placed.node);
      const publication = node === undefined ? undefined : this.#publication(node, placed.reservation);
      if (!isOfNode(publication?.reason)) this.#release(placed);
    }
  }

  #isLost(node: NodeState): boolean {
    if (node.live) return false;
    if (!node.exists) return true;
    const waited = this.#input.nowMilliseconds - (node.notLiveSince ?? 0);
    if (waited >= NODE_GRACE_MILLISECONDS) return true;
    this.#lookAgain(NODE_GRACE_MILLISECONDS - waited);
    return false;
  }

  /** Elects another node, from the start; the reservation on the old one goes once there is a new one. */
  #moveAway(present: PlacedReservation, noHolder: boolean, failure: Failure | undefined): PublishingDecision {
    const decision = this.#elect(this.#refusedBy(present.node), noHolder, failure);
    if (decision.state.phase === 'Publishing') {
      this.#release(present);
      for (const pod of this.#pods) if (!hasEnded(pod)) this.#deletePod(pod);
    }
    return decision;
  }

  #refusedBy(...more: string[]): Set<string> {
    return new Set([...this.#reservations.slice(1).map(({ node }) => node), ...more]);
  }

  #afterFailure(
    present: PlacedReservation,
    pod: V1Pod | undefined,
    publication: Publication,
    noHolder: boolean,
    failure: Failure | undefined,
  ): PublishingDecision {
    if (isOfNode(publication.reason)) {
      const decision = this.#elect(this.#refusedBy(present.node), noHolder, failure);
      if (decision.state.phase === 'Publishing') return decision;
    }
    if (pod !== undefined && !hasEnded(pod)) {
      // It reported the failure and is about to end; one that does not is ended.
      const key = `reported/${present.reservation.attempt}`;
      if (this.#isDue(this.#input.firstSeen(key), REPORT_GRACE_MILLISECONDS)) this.#deletePod(pod);
      return this.#waitForRetry(present, noHolder, failure);
    }
    const since = failure?.at ?? this.#input.firstSeen(`failed/${present.reservation.attempt}`);
    if (!this.#isDue(since, retryDelay(present.reservation.attempt)))
      return this.#waitForRetry(present, noHolder, failure);
    return this.#retry(present, noHolder, failure);
  }

  #isDue(since: number, delayMilliseconds: number): boolean {
    const waited = this.#input.nowMilliseconds - since;
    if (waited >= delayMilliseconds) return true;
    this.#lookAgain(delayMilliseconds - waited);
    return false;
  }

  #waitForRetry(
    present: PlacedReservation,
    noHolder: boolean,
    failure: Failure | undefined,
  ): PublishingDecision {
    return this.#decision(
      { phase: 'Publishing', node: present.node, waiting: undefined },
      { failure, noHolder },
    );
  }

  /**
   * Whether the node, ready as it is, cannot be reached by publishers. One that was being streamed to can be, and
   * has bytes worth going back for: its agent was only away for too long, or was replaced.
   */
  #isOutOfReach({ node: name, reservation }: PlacedReservation, failure: Failure | undefined): boolean {
    const { attempt, podName } = reservation;
    if (failure?.reason !== SourceReason.AgentUnreachable || failure.attempt !== attempt) return false;
    const node = this.#input.nodes.find((one) => one.name === name);
    const pod = this.#pods.find(({ metadata }) => metadata?.name === podName);
    if (node?.agent?.address === undefined || pod === undefined) return false;
    const phase = this.#publication(node, reservation)?.phase ?? 'Reserved';
    return phase === 'Reserved' && ingestUrlOf(pod) === ingestUrl(node.agent.address);
  }

  /** One more attempt: on the same node, which has the bytes so far, unless it was the node that failed. */
  #retry(present: PlacedReservation, noHolder: boolean, failure: Failure | undefined): PublishingDecision {
    if (this.#isOutOfReach(present, failure)) {
      const decision = this.#moveAway(present, noHolder, failure);
      if (decision.state.phase === 'Publishing') return decision;
    }
    if (isOfNode(failure?.reason)) {
      // Every node refused: begin anew with all of them.
      const decision = this.#elect(new Set(), noHolder, failure);
      if (decision.state.phase === 'Publishing') {
        const elected = decision.state.node;
        for (const placed of this.#reservations) if (placed.node !== elected) this.#release(placed);
      }
      return decision;
    }
    this.#reserve(present.node);
    return this.#waitForRetry(present, noHolder, failure);
  }

  #runPod(
    present: PlacedReservation,
    node: NodeState,
    pod: V1Pod | undefined,
    noHolder: boolean,
    failure: Failure | undefined,
    publishing: (waiting?: string) => PublishingDecision,
  ): PublishingDecision {
    const { reservation } = present;
    const address = node.agent?.address;
    if (address === undefined) return publishing(`the agent of node ${node.name} has no address yet`);
    if (pod === undefined) {
      if (reservation.podUID === undefined) {
        this.#actions.push({ kind: 'createPod', node: node.name, address, reservation });
        return publishing();
      }
      // Somebody deleted it. A wait, so that two who disagree do not make and delete Pods without end.
      const since = this.#input.firstSeen(`vanished/${reservation.attempt}`);
      if (!this.#isDue(since, Math.min(retryDelay(reservation.attempt) / 10, 30_000))) return publishing();
      return this.#retry(present, noHolder, failure);
    }
    const podUID = pod.metadata?.uid ?? '';
    if (pod.metadata?.deletionTimestamp !== undefined) {
      // Its node may be away for long, or for ever. Should it come back: the agent takes one Pod's bytes only.
      const since = this.#input.firstSeen(`terminating/${reservation.attempt}`);
      return this.#isDue(since, TERMINATION_GRACE_MILLISECONDS)
        ? this.#retry(present, noHolder, failure)
        : publishing(`Pod ${reservation.podName} is being deleted`);
    }
    if (reservation.podUID !== podUID)
      this.#actions.push({ kind: 'reserve', node: node.name, reservation: { ...reservation, podUID } });
    if (pod.status?.phase === 'Failed') {
      const since = endedAt(pod) ?? this.#input.firstSeen(`failed/${reservation.attempt}`);
      // The agent may yet say why, or that it has everything.
      const wait = Math.max(REPORT_GRACE_MILLISECONDS / 10, retryDelay(reservation.attempt));
      return this.#isDue(since, wait) ? this.#retry(present, noHolder, failure) : publishing();
    }
    if (pod.status?.phase === 'Succeeded') {
      const since = endedAt(pod) ?? this.#input.firstSeen(`succeeded/${reservation.attempt}`);
      if (!this.#isDue(since, REPORT_GRACE_MILLISECONDS)) return publishing();
      this.#deletePod(pod);
      return this.#retry(present, noHolder, failure);
    }
    if (ingestUrlOf(pod) !== ingestUrl(address)) {
      // The agent's Pod was replaced: the publisher talks to an address that nobody has.
      this.#deletePod(pod);
      return this.#retry(present, noHolder, failure);
    }
    return publishing(waitingMessage(pod));
  }
}
