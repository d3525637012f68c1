// A decision in the making: the writes, in the order in which they are to be done, and when to look again.
import type { V1Pod } from '@kubernetes/client-node';
import { parseQuantity, publisherPodName } from '../../api/index.ts';
import type { PlacedReservation, PublishingAction, PublishingDecision, PublishingState } from './decision.ts';
import type { PublishingView } from './view.ts';

/** How long the agent's word may lag behind a Pod that ended. */
export const REPORT_GRACE_MILLISECONDS = 30_000;

/** Gathers what a decision consists of. */
export class Draft {
  readonly actions: PublishingAction[] = [];
  readonly #view: PublishingView;
  #lookAgainIn: number | undefined;

  constructor(view: PublishingView) {
    this.#view = view;
  }

  /** Has the operator look again after so long, though nothing changes. */
  lookAgain(inMilliseconds: number): void {
    const wait = Math.max(inMilliseconds, 100);
    this.#lookAgainIn = Math.min(this.#lookAgainIn ?? wait, wait);
  }

  /** Whether a delay since a moment is over; if not, looks again when it is. */
  isDue(since: number, delayMilliseconds: number): boolean {
    const waited = this.#view.input.nowMilliseconds - since;
    if (waited >= delayMilliseconds) return true;
    this.lookAgain(delayMilliseconds - waited);
    return false;
  }

  deletePod(pod: V1Pod): void {
    const { name, uid, deletionTimestamp } = pod.metadata ?? {};
    if (name === undefined || uid === undefined || deletionTimestamp !== undefined) return;
    this.actions.push({ kind: 'deletePod', name, uid });
  }

  release({ node, reservation }: PlacedReservation): void {
    this.actions.push({ kind: 'release', node, attempt: reservation.attempt });
  }

  /** Reserves a place for one more attempt. */
  reserve(node: string): void {
    const { distribution, desired, sourceState } = this.#view.input;
    const { name, namespace = '' } = distribution.metadata;
    const { sizeLimit } = distribution.spec.source;
    const attempt = this.#view.nextAttempt();
    this.actions.push({
      kind: 'reserve',
      node,
      reservation: {
        uid: this.#view.uid,
        attempt,
        sourceState,
        distributionName: name,
        podNamespace: namespace,
        podName: publisherPodName(this.#view.uid, sourceState, attempt),
        ...(sizeLimit === undefined ? {} : { sizeLimit: parseQuantity(sizeLimit) }),
        ...(desired === undefined ? {} : { declaredBytes: desired.spec.sizeBytes }),
      },
    });
  }

  /** The decision, with what was gathered. */
  decision(
    state: PublishingState,
    rest: Partial<Pick<PublishingDecision, 'failure' | 'published' | 'noHolder'>> = {},
  ): PublishingDecision {
    return {
      actions: this.actions,
      state,
      failure: rest.failure,
      published: rest.published,
      noHolder: rest.noHolder ?? false,
      lookAgainIn: this.#lookAgainIn,
    };
  }
}
