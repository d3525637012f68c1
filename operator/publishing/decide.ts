// What is to be done so that the present source of one distribution is published: a pure function of what the
// API says now, so that any operator, started at any moment, goes on where another stopped.
//
// What it remembers stands in reservations (NodeContent.spec.publishing) and in the publisher Pods that failed:
// the reservation with the highest attempt is the present one; those with lower attempts are nodes that had no
// room, kept until the publication succeeds or every node refused.
import { type ContentRevision, distributionSettings, millisecondsOf } from '../../api/index.ts';
import { isSelected, revisionOn } from '../nodes/node-state.ts';
import { Attempt } from './attempt.ts';
import type { PublishingDecision, PublishingInput } from './decision.ts';
import { Draft, REPORT_GRACE_MILLISECONDS } from './draft.ts';
import { hasEnded } from './failure.ts';
import { attemptOf } from './publisher-pod.ts';
import { PublishingView, reservationsOf } from './view.ts';

/** How long a revision may be without a live holder before its source is read again. */
const HOLDER_GRACE_MILLISECONDS = 120_000;

/** Decides. */
export function decidePublishing(input: PublishingInput): PublishingDecision {
  return new Publishing(new PublishingView(input)).decide();
}

/** One run of the decision. */
class Publishing {
  readonly #view: PublishingView;
  readonly #draft: Draft;

  constructor(view: PublishingView) {
    this.#view = view;
    this.#draft = new Draft(view);
  }

  decide(): PublishingDecision {
    const { distribution, desired } = this.#view.input;
    this.#dropWhatIsOfAnotherSource();
    if (distributionSettings(distribution.spec).suspend) return this.#suspend();
    const noHolder = desired !== undefined && !this.#view.hasHolder(desired);
    if (desired !== undefined && !this.#mustReadAgain(desired, noHolder))
      return this.#finish(desired, noHolder);
    this.#keepLastFailedPod();
    return new Attempt(this.#view, this.#draft, noHolder).decide();
  }

  #dropWhatIsOfAnotherSource(): void {
    const { nodes, pods, sourceState } = this.#view.input;
    for (const placed of reservationsOf(this.#view.uid, nodes))
      if (placed.reservation.sourceState !== sourceState) this.#draft.release(placed);
    for (const pod of pods) if (!this.#view.isOfSource(pod)) this.#draft.deletePod(pod);
  }

  #keepLastFailedPod(): void {
    const failed = this.#view.pods.filter((pod) => pod.status?.phase === 'Failed');
    const last = Math.max(0, ...failed.map(attemptOf));
    for (const pod of failed) if (attemptOf(pod) < last) this.#draft.deletePod(pod);
  }

  /** Stops reading; the reservation stays, and with it the bytes that the agent has. */
  #suspend(): PublishingDecision {
    for (const pod of this.#view.pods) if (!hasEnded(pod)) this.#draft.deletePod(pod);
    return this.#draft.decision({ phase: 'Suspended' });
  }

  /** Whether nobody has had the revision for so long that its source must be read again. */
  #mustReadAgain(desired: ContentRevision, noHolder: boolean): boolean {
    if (!noHolder) return false;
    if (this.#view.reservations.length > 0 && !this.#view.isLeftOver(desired)) return true; // Already begun.
    const since = this.#view.input.firstSeen(`no-holder/${desired.spec.revision}`);
    const waited = this.#view.input.nowMilliseconds - since;
    if (waited >= HOLDER_GRACE_MILLISECONDS) return true;
    this.#draft.lookAgain(HOLDER_GRACE_MILLISECONDS - waited);
    return false;
  }

  /** The revision is there: takes away what publishing it needed. */
  #finish(desired: ContentRevision, noHolder: boolean): PublishingDecision {
    const { nowMilliseconds, distribution } = this.#view.input;
    const madeAt = millisecondsOf(desired.metadata.creationTimestamp) ?? 0;
    const isSettled = nowMilliseconds - madeAt >= REPORT_GRACE_MILLISECONDS;
    let running = false;
    for (const pod of this.#view.pods) {
      if (hasEnded(pod) || isSettled) this.#draft.deletePod(pod);
      else running = true; // It is about to see that it is done.
    }
    if (running) this.#draft.lookAgain(REPORT_GRACE_MILLISECONDS);
    for (const placed of this.#view.reservations) {
      const node = this.#view.node(placed.node);
      const isPresent = placed === this.#view.reservations[0];
      // The agent must have seen the revision before the reservation that keeps its files goes.
      const isTaken =
        node === undefined ||
        !isSelected(distribution.spec.placement, node) ||
        revisionOn(node, this.#view.uid, desired.spec.revision) !== undefined ||
        !this.#view.isPublishedOn(node, desired.spec.digest);
      if (!isPresent || (isTaken && !running)) this.#draft.release(placed);
    }
    return this.#draft.decision(
      { phase: 'Published' },
      { noHolder, published: noHolder ? undefined : this.#view.publicationToTake() },
    );
  }
}
