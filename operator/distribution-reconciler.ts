// One distribution from what is there to what is asked for: read everything, decide, write, and say in the
// status how it stands. Level-driven: it may be called at any moment, any number of times, by any operator.
import {
  ApiError,
  apiTime,
  type ContentDistribution,
  type ContentRevision,
  parseContentDistribution,
  Reason,
  sourceState,
} from '../api/index.ts';
import type { Clock, Logger } from '../base/index.ts';
import { type ClaimWriter, reconcileClaim } from './claim/carry-out.ts';
import type { ClusterView } from './cluster-view.ts';
import { FirstSeen } from './first-seen.ts';
import type { ObjectClient } from './ports.ts';
import type { SwarmFollower } from './progress/swarm-progress.ts';
import { carryOutPublishing, type PublishingWriter } from './publishing/carry-out.ts';
import { decidePublishing } from './publishing/decide.ts';
import type { PublishingDecision } from './publishing/decision.ts';
import { carryOutRevisions, type RevisionWriter } from './revisions/carry-out.ts';
import { decideRevisions } from './revisions/decide.ts';
import { desiredRevision, revisionsOf } from './revisions/desired.ts';
import { decideStatus, type StatusDecision } from './status/decide.ts';
import type { StatusEvent } from './status/events.ts';
import { StatusWriter } from './status/write.ts';

/** When to try again what the API server refused. */
const REFUSED_RETRY_MILLISECONDS = 30_000;
/**
 * How long a refusal is not told and tried again soon: a namespace that was just made has no service account for
 * a moment, and no Pod gets in without one.
 */
const REFUSED_GRACE_MILLISECONDS = 3_000;
const REFUSED_SOON_MILLISECONDS = 500;
/** When to look again at a claim in conflict: the object in the way is in no cache. */
const CONFLICT_RETRY_MILLISECONDS = 10_000;

/** How often publishing is decided anew within one reconcile. */
const MAX_ROUNDS = 3;

/** What is told to the outside of each reconcile. */
export interface ReconcileObserver {
  /** A distribution as it stands. */
  observed(distribution: ContentDistribution, decision: StatusDecision): void;
  gone(key: string): void;
  statusWritten(): void;
}

/** What the reconciler works with. */
export interface DistributionReconcilerParts {
  readonly view: ClusterView;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly distributions: ObjectClient<ContentDistribution>;
  readonly revisions: ObjectClient<ContentRevision>;
  readonly publishing: Omit<PublishingWriter, 'seenPods' | 'logger'>;
  readonly claim: Omit<ClaimWriter, 'view' | 'logger'>;
  readonly swarms: SwarmFollower;
  readonly observer: ReconcileObserver;
  readonly tell: (distribution: ContentDistribution, event: StatusEvent) => void;
}

export class DistributionReconciler {
  readonly #parts: DistributionReconcilerParts;
  readonly #firstSeen = new FirstSeen();
  readonly #status: StatusWriter;
  readonly #publishingWriter: PublishingWriter;
  readonly #uids = new Map<string, string>();
  /** Since when the API server has refused the publisher of a UID, in milliseconds since 1970. */
  readonly #refusedSince = new Map<string, number>();

  constructor(parts: DistributionReconcilerParts) {
    this.#parts = parts;
    const { view, logger, clock } = parts;
    this.#status = new StatusWriter({
      client: parts.distributions,
      clock,
      tell: parts.tell,
      wrote: () => parts.observer.statusWritten(),
    });
    this.#publishingWriter = { ...parts.publishing, seenPods: view.publisherPods, logger };
  }

  /**
   * Reconciles the distribution of a key (`namespace/name`).
   *
   * @returns in how many milliseconds to look again though nothing changes; undefined for not
   */
  async reconcile(key: string): Promise<number | undefined> {
    const distribution = this.#read(key);
    if (distribution === undefined) return undefined;
    const { view, clock, logger, swarms, observer } = this.#parts;
    const now = clock.now();
    const state = sourceState(distribution.spec.source);

    const { publishing, refused } = await this.#reconcilePublishing(distribution, state, now);
    await this.#reconcileRevisions(distribution, state, publishing, now);
    const claimConflict = await reconcileClaim(distribution, { ...this.#parts.claim, view, logger });

    const revisions = revisionsOf(distribution, view.revisions.list());
    const desired = desiredRevision(state, revisions);
    const lastingRefusal = this.#lasting(refused, distribution.metadata.uid ?? '', now);
    const decision = decideStatus({
      distribution: withStatus(distribution, this.#status.latest(distribution)),
      desired,
      revisions,
      nodes: view.nodeStates(),
      publishing,
      refused: lastingRefusal,
      claimConflict,
      swarm: desired === undefined ? undefined : swarms.get(desired.spec.infoHash),
      nowMilliseconds: now,
    });
    if (decision.isMoving && desired !== undefined) swarms.follow(key, desired.spec.infoHash);
    else swarms.unfollow(key);
    if (decision.becameReady && desired !== undefined) await this.#rememberReady(desired, now);
    observer.observed(distribution, decision);
    const statusWait = await this.#status.write(distribution, decision.status);
    return earliest(
      publishing.lookAgainIn,
      refused === undefined ? undefined : retryOfRefused(lastingRefusal),
      claimConflict === undefined ? undefined : CONFLICT_RETRY_MILLISECONDS,
      statusWait,
    );
  }

  /** A refusal that has lasted for longer than the grace. */
  #lasting(refused: string | undefined, uid: string, now: number): string | undefined {
    if (refused === undefined) {
      this.#refusedSince.delete(uid);
      return undefined;
    }
    const since = this.#refusedSince.get(uid) ?? now;
    this.#refusedSince.set(uid, since);
    return now - since >= REFUSED_GRACE_MILLISECONDS ? refused : undefined;
  }

  /** The distribution; undefined for one that is gone, going, or that cannot be worked with. */
  #read(key: string): ContentDistribution | undefined {
    const { view, logger, observer, swarms } = this.#parts;
    const cached = view.distributions.get(key);
    const known = this.#uids.get(key);
    if (known !== undefined && known !== cached?.metadata.uid) {
      this.#firstSeen.look(known, 0).close();
      this.#status.forget(known);
      this.#refusedSince.delete(known);
      this.#uids.delete(key);
      swarms.unfollow(key);
      observer.gone(key);
    }
    // What is being deleted has no more to ask for; owner references and the sweep clear up after it.
    if (cached === undefined || cached.metadata.deletionTimestamp !== undefined) return undefined;
    try {
      const distribution = parseContentDistribution(cached);
      this.#uids.set(key, distribution.metadata.uid ?? '');
      return distribution;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      logger.error(
        { err: error, distribution: key },
        'a distribution that the API server should have refused',
      );
      this.#parts.tell(cached, { type: 'Warning', reason: Reason.InvalidSpec, message: error.message });
      return undefined;
    }
  }

  /** A reservation, its Pod and the Pod's UID are three decisions; nothing else has to happen in between. */
  async #reconcilePublishing(
    distribution: ContentDistribution,
    state: string,
    now: number,
  ): Promise<{ publishing: PublishingDecision; refused: string | undefined }> {
    for (let round = 1; ; round += 1) {
      const publishing = this.#decidePublishing(distribution, state, now);
      const refused = await carryOutPublishing(publishing.actions, distribution, this.#publishingWriter);
      const hasReserved = publishing.actions.some(({ kind }) => kind === 'reserve');
      if (!hasReserved || refused !== undefined || round >= MAX_ROUNDS) return { publishing, refused };
    }
  }

  #decidePublishing(distribution: ContentDistribution, state: string, now: number): PublishingDecision {
    const { view } = this.#parts;
    const look = this.#firstSeen.look(distribution.metadata.uid ?? '', now);
    try {
      return decidePublishing({
        distribution,
        sourceState: state,
        desired: desiredRevision(state, revisionsOf(distribution, view.revisions.list())),
        nodes: view.nodeStates(),
        pods: view.publishersOf(distribution),
        nowMilliseconds: now,
        firstSeen: (what) => look.note(what),
      });
    } finally {
      look.close();
    }
  }

  async #reconcileRevisions(
    distribution: ContentDistribution,
    state: string,
    { published }: PublishingDecision,
    now: number,
  ): Promise<void> {
    const { view, revisions, logger, tell } = this.#parts;
    const actions = decideRevisions({
      distribution,
      sourceState: state,
      revisions: revisionsOf(distribution, view.revisions.list()),
      nodes: view.nodeStates(),
      published,
      nowMilliseconds: now,
    });
    const writer: RevisionWriter = {
      client: revisions,
      seen: view.revisions,
      logger,
      happened: (what, { spec }) => {
        const isNew = what === 'created';
        const reason = isNew ? Reason.RevisionCreated : Reason.RevisionDeleted;
        const message = isNew
          ? `revision ${spec.revision} was made: ${spec.files} files, ${spec.sizeBytes} bytes`
          : `revision ${spec.revision} was deleted: more than retention.revisions were kept`;
        tell(distribution, { type: 'Normal', reason, message });
      },
    };
    await carryOutRevisions(actions, writer);
  }

  async #rememberReady({ metadata }: ContentRevision, now: number): Promise<void> {
    const { name, namespace, uid } = metadata;
    const { revisions, view } = this.#parts;
    const ref = { name, ...(namespace === undefined ? {} : { namespace }) };
    view.revisions.wrote(
      await revisions.mergePatchStatus(ref, { metadata: { uid }, status: { readyAt: apiTime(now) } }),
    );
  }
}

function withStatus(
  distribution: ContentDistribution,
  status: ContentDistribution['status'],
): ContentDistribution {
  const { status: _, ...rest } = distribution;
  return status === undefined ? rest : { ...rest, status };
}

function retryOfRefused(lasting: string | undefined): number {
  return lasting === undefined ? REFUSED_SOON_MILLISECONDS : REFUSED_RETRY_MILLISECONDS;
}

function earliest(...waits: (number | undefined)[]): number | undefined {
  const times = waits.filter((wait) => wait !== undefined);
  return times.length > 0 ? Math.min(...times) : undefined;
}
