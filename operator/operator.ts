// The operator put together: watches, one queue of distributions, trackers, sweep. It watches from the start,
// so that a replica that takes over knows everything; it writes only while it leads.
import type {
  V1Deployment,
  V1PersistentVolume,
  V1PersistentVolumeClaim,
  V1Pod,
  V1Service,
} from '@kubernetes/client-node';
import {
  CONTENT_DISTRIBUTION,
  CONTENT_REVISION,
  type ContentDistribution,
  type ContentRevision,
  NODE_CONTENT,
  type NodeContent,
} from '../api/index.ts';
import { type BackoffBounds, backoffMilliseconds, type Clock, type Logger } from '../base/index.ts';
import {
  DEPLOYMENTS,
  type EventRecorder,
  isConflict,
  isNamespaceEnding,
  type KubeClient,
  PERSISTENT_VOLUME_CLAIMS,
  PERSISTENT_VOLUMES,
  PODS,
  SERVICES,
  WorkQueue,
} from '../kube/index.ts';
import { ClusterView } from './cluster-view.ts';
import type { OperatorConfig } from './config.ts';
import { DistributionReconciler } from './distribution-reconciler.ts';
import type { OperatorMetrics } from './metrics.ts';
import { TrackerPoller, trackerUrls } from './progress/tracker-poller.ts';
import { ReservationWriter } from './publishing/reservations.ts';
import { sweep } from './sweep/sweep.ts';
import { ownerOf } from './trackers/owner.ts';
import { reconcileTrackers } from './trackers/reconcile.ts';
import type { TrackerSettings } from './trackers/tracker-objects.ts';
import { Watches } from './watches.ts';

/** Distributions that are reconciled side by side. */
const WORKERS = 8;
/** Everything is looked at again that often, though nothing told of a change. */
const RESYNC_MILLISECONDS = 300_000;
const SWEEP_MILLISECONDS = 60_000;
const TRACKERS_RETRY_MILLISECONDS = 5_000;
/** When a duty that failed is tried again. */
const DUTY_BACKOFF: BackoffBounds = { firstMilliseconds: 1000, maxMilliseconds: 60_000 };
/** Changes that concern every distribution are gathered for so long. */
const GATHER_MILLISECONDS = 200;
/** Changes of one node are gathered for a time that grows with the cluster: at most 4 looks a second. */
const MOST_GATHER_MILLISECONDS = 250;

/** What the operator works with. */
export interface OperatorParts {
  readonly client: KubeClient;
  readonly config: OperatorConfig;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly metrics: OperatorMetrics;
  readonly events: EventRecorder;
  readonly fetch: typeof fetch;
}

export class Operator {
  readonly #parts: OperatorParts;
  readonly #watches: Watches;
  readonly #view: ClusterView;
  readonly #reservations: ReservationWriter;
  /** Present while this replica leads. */
  #queue: WorkQueue<string> | undefined;
  #wakeTrackers: (() => void) | undefined;
  #wakeSweep: (() => void) | undefined;

  constructor(parts: OperatorParts) {
    const { client, config, logger, clock } = parts;
    this.#parts = parts;
    const { namespace, tracker } = config;
    this.#watches = new Watches(client, { namespace, instance: tracker.instance, logger });
    this.#view = new ClusterView(this.#watches, clock);
    this.#reservations = new ReservationWriter({
      client: client.resource<NodeContent>(NODE_CONTENT),
      cached: (node) => this.#view.contents.get(node),
      wrote: (content) => this.#view.contents.wrote(content),
    });
  }

  /** Whether this replica knows everything that it needs to lead. */
  get isReady(): boolean {
    return this.#watches.hasSynced;
  }

  /** Starts watching. */
  start(): void {
    this.#watches.start({
      distribution: (key) => this.#queue?.add(key),
      distributionOf: (uid) => this.#addByUid(uid),
      everything: () => this.#addAll(GATHER_MILLISECONDS),
      trackers: () => this.#wakeTrackers?.(),
      sweep: () => this.#wakeSweep?.(),
    });
  }

  stop(): void {
    this.#watches.stop();
  }

  #addByUid(uid: string): void {
    if (this.#queue === undefined) return;
    const delay = Math.min(this.#watches.nodes.list().length / 10, MOST_GATHER_MILLISECONDS);
    for (const { metadata } of this.#watches.distributions.list())
      if (metadata.uid === uid) this.#queue.addAfter(`${metadata.namespace}/${metadata.name}`, delay);
  }

  #addAll(afterMilliseconds: number): void {
    for (const { metadata } of this.#watches.distributions.list())
      this.#queue?.addAfter(`${metadata.namespace}/${metadata.name}`, afterMilliseconds);
  }

  /** Does all duties until the signal aborts: this replica leads that long. */
  async lead(signal: AbortSignal): Promise<void> {
    const { metrics, config, clock, logger } = this.#parts;
    await this.#watches.synced(signal);
    if (signal.aborted) return;
    logger.info({ distributions: this.#watches.distributions.list().length }, 'this replica leads');
    metrics.leads(true);
    const queue = new WorkQueue<string>();
    this.#queue = queue;
    const poller = new TrackerPoller({
      urls: trackerUrls(config.namespace, config.tracker.replicas),
      clock,
      logger,
      fetch: this.#parts.fetch,
      heard: (key) => queue.add(key),
    });
    const reconciler = this.#reconciler(poller);
    try {
      this.#addAll(0);
      await Promise.all([
        queue.run({ workers: WORKERS, signal, handler: (key) => this.#reconcile(reconciler, queue, key) }),
        poller.run(signal),
        this.#repeat(
          'trackers',
          signal,
          (wake) => {
            this.#wakeTrackers = wake;
          },
          this.#trackerDuty(),
        ),
        this.#repeat(
          'sweep',
          signal,
          (wake) => {
            this.#wakeSweep = wake;
          },
          () => this.#sweep(),
        ),
        this.#repeat(
          'resync',
          signal,
          () => {},
          async () => {
            this.#addAll(0);
            return RESYNC_MILLISECONDS;
          },
        ),
      ]);
    } finally {
      this.#queue = undefined;
      this.#wakeTrackers = undefined;
      this.#wakeSweep = undefined;
      metrics.leads(false);
      metrics.forgetDistributions();
    }
  }

  #reconciler(poller: TrackerPoller): DistributionReconciler {
    const { client, config, logger, clock, metrics, events } = this.#parts;
    return new DistributionReconciler({
      view: this.#view,
      clock,
      logger,
      distributions: client.resource<ContentDistribution>(CONTENT_DISTRIBUTION),
      revisions: client.resource<ContentRevision>(CONTENT_REVISION),
      publishing: {
        pods: client.resource<V1Pod>(PODS),
        reservations: this.#reservations,
        settings: config.publisher,
      },
      claim: {
        volumes: client.resource<V1PersistentVolume>(PERSISTENT_VOLUMES),
        claims: client.resource<V1PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS),
        contentRoot: config.contentRoot,
      },
      swarms: poller,
      observer: {
        observed: (distribution, decision) => metrics.observed(distribution, decision),
        gone: (key) => metrics.gone(key),
        statusWritten: () => metrics.statusWritten(),
      },
      tell: (distribution, { type, reason, message }) => {
        const { apiVersion, kind, metadata } = distribution;
        const { name, namespace, uid, resourceVersion } = metadata;
        events.event({ apiVersion, kind, name, namespace, uid, resourceVersion }, type, reason, message);
      },
    });
  }

  async #reconcile(reconciler: DistributionReconciler, queue: WorkQueue<string>, key: string): Promise<void> {
    const { logger } = this.#parts;
    try {
      const wait = await this.#timed('distribution', () => reconciler.reconcile(key));
      queue.forget(key);
      if (wait !== undefined) queue.addAfter(key, wait);
    } catch (error) {
      if (isConflict(error))
        logger.debug({ err: error, distribution: key }, 'somebody wrote in between; again');
      else if (isNamespaceEnding(error))
        logger.debug(
          { err: error, distribution: key },
          'the namespace is being deleted, and the distribution next',
        );
      else logger.warn({ err: error, distribution: key }, 'reconciling failed; again after a while');
      queue.addRateLimited(key);
    }
  }

  async #timed<T>(duty: string, work: () => Promise<T>): Promise<T> {
    const { clock, metrics } = this.#parts;
    const start = clock.now();
    try {
      const result = await work();
      metrics.reconciled(duty, 'ok', (clock.now() - start) / 1000);
      return result;
    } catch (error) {
      metrics.reconciled(duty, 'error', (clock.now() - start) / 1000);
      throw error;
    }
  }

  #trackerDuty(): () => Promise<number> {
    const { client, config, logger } = this.#parts;
    let settings: TrackerSettings | undefined;
    let reappliedAt: number | undefined;
    return async () => {
      const deployments = client.resource<V1Deployment>(DEPLOYMENTS);
      settings ??= { ...config.tracker, owner: await ownerOf(deployments, config) };
      const now = this.#parts.clock.now();
      const reapply = reappliedAt === undefined || now - reappliedAt >= RESYNC_MILLISECONDS;
      const isWaiting = await reconcileTrackers(
        {
          settings,
          deployments,
          services: client.resource<V1Service>(SERVICES),
          seenDeployments: this.#watches.trackerDeployments,
          seenServices: this.#watches.trackerServices,
          logger,
        },
        reapply,
      );
      if (reapply) reappliedAt = now;
      return isWaiting ? TRACKERS_RETRY_MILLISECONDS : RESYNC_MILLISECONDS;
    };
  }

  async #sweep(): Promise<number> {
    const { client, logger, metrics } = this.#parts;
    const view = this.#view;
    const removed = await sweep({
      view,
      distributions: client.resource<ContentDistribution>(CONTENT_DISTRIBUTION),
      volumes: client.resource<V1PersistentVolume>(PERSISTENT_VOLUMES),
      pods: client.resource<V1Pod>(PODS),
      reservations: this.#reservations,
      logger,
    });
    metrics.orphansRemoved(removed);
    return SWEEP_MILLISECONDS;
  }

  /** Does a duty again and again: after the time it asks for, when it is woken, or after a failure. */
  async #repeat(
    duty: string,
    signal: AbortSignal,
    takeWake: (wake: () => void) => void,
    work: () => Promise<number>,
  ): Promise<void> {
    let failures = 0;
    let isWoken = false;
    let end = () => {};
    takeWake(() => {
      isWoken = true;
      end();
    });
    const abort = () => end();
    signal.addEventListener('abort', abort);
    while (!signal.aborted) {
      isWoken = false;
      let wait: number;
      try {
        wait = await this.#timed(duty, work);
        failures = 0;
      } catch (error) {
        failures += 1;
        wait = backoffMilliseconds(failures, DUTY_BACKOFF);
        this.#parts.logger.warn({ err: error, duty }, 'a duty failed; again after a while');
      }
      if (isWoken) wait = Math.min(wait, GATHER_MILLISECONDS);
      if (signal.aborted) break;
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, wait);
      // Woken while asleep: a moment later, because changes come in groups.
      end = () => (signal.aborted ? resolve() : void setTimeout(resolve, GATHER_MILLISECONDS));
      await promise;
      clearTimeout(timer);
      end = () => {};
    }
    signal.removeEventListener('abort', abort);
  }
}
