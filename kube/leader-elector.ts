// One of several replicas leads: it holds a Lease and renews it (as client-go's leader election does, so that
// both understand one another). Invariant: a replica stops leading before its lease can have run out for
// others; it trusts differences of its own clock only, never the times that others wrote.
import type { V1Lease, V1LeaseSpec, V1ObjectMeta, V1OwnerReference } from '@kubernetes/client-node';
import { type Clock, type Logger, sleep, systemClock } from '../base/index.ts';
import type { KubeClient } from './client.ts';
import { isAlreadyExists, isConflict, isNotFound } from './errors.ts';
import { microTime } from './micro-time.ts';
import { LEASES } from './resource-types.ts';

/** What election works with. */
export interface LeaderElectionOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** The Lease's name. */
  readonly name: string;
  /** Unlike that of every other replica, also of this Pod's predecessor. */
  readonly identity: string;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
  /** Others take over that long after the last renewal. */
  readonly leaseDurationSeconds?: number;
  /** The leader gives up that long after its last renewal; smaller than the lease's duration. */
  readonly renewDeadlineSeconds?: number;
  readonly retryPeriodSeconds?: number;
  /** Asked when the lease is taken: with its owner it goes, so that who comes later need not wait for it to run out. */
  readonly owner?: () => Promise<V1OwnerReference | undefined>;
}

/** What a replica does with its turn. */
export interface LeadershipCallbacks {
  /** Does the leader's work until the signal aborts. */
  onStartedLeading(signal: AbortSignal): Promise<void>;
  /** This replica leads no more, whether it let go or lost the lease. */
  onStoppedLeading(): void;
}

/** A lease as JSON carries it: client-node's type says V1MicroTime where there is a string. */
type LeaseSpec = Omit<V1LeaseSpec, 'acquireTime' | 'renewTime'> & {
  acquireTime?: string;
  renewTime?: string;
};
type Lease = Omit<V1Lease, 'spec'> & { spec?: LeaseSpec };

export class LeaderElector {
  readonly #options: LeaderElectionOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #durationSeconds: number;
  readonly #deadlineMilliseconds: number;
  readonly #retryMilliseconds: number;
  /** The Lease as last seen, and when it was seen to change. */
  #seen: { lease: Lease; at: number } | undefined;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#durationSeconds = options.leaseDurationSeconds ?? 15;
    this.#deadlineMilliseconds = (options.renewDeadlineSeconds ?? 10) * 1000;
    this.#retryMilliseconds = (options.retryPeriodSeconds ?? 2) * 1000;
  }

  /**
   * Waits for the lease, leads, and returns when the lease is lost or the signal aborts (the lease is let go
   * then, so that another replica leads at once).
   *
   * @throws what onStartedLeading rejects with while it leads
   */
  async run(callbacks: LeadershipCallbacks, signal: AbortSignal): Promise<void> {
    const { logger, identity } = this.#options;
    let acquiredAt = await this.#acquire(signal);
    if (acquiredAt === undefined) return;
    logger.info({ identity }, 'leading');
    const leading = new AbortController();
    const stop = () => leading.abort();
    signal.addEventListener('abort', stop, { once: true });
    const work = callbacks.onStartedLeading(leading.signal);
    // The work may end first, by a defect: leading idly would keep others from the work.
    work.then(stop, stop);
    try {
      while (!leading.signal.aborted) {
        await sleep(this.#clock, this.#retryMilliseconds, leading.signal);
        if (leading.signal.aborted) break;
        const renewedAt = await this.#renew(acquiredAt, leading.signal);
        if (renewedAt === undefined) break;
        acquiredAt = renewedAt;
      }
    } finally {
      signal.removeEventListener('abort', stop);
      const isLost = !leading.signal.aborted;
      leading.abort();
      callbacks.onStoppedLeading();
      if (isLost) logger.warn({ identity }, 'the lease could not be renewed in time');
      await this.#settle(work, isLost || signal.aborted);
      if (!isLost) await this.#release();
    }
  }

  /** Waits for the work's end; a rejection counts unless it was told to stop. */
  async #settle(work: Promise<void>, wasToldToStop: boolean): Promise<void> {
    try {
      await work;
    } catch (error) {
      if (!wasToldToStop) {
        await this.#release();
        throw error;
      }
      this.#options.logger.debug({ err: error }, 'the work of the leader was cut short');
    }
  }

  /** @returns when the request was made that got the lease; undefined if the signal aborted before */
  async #acquire(signal: AbortSignal): Promise<number | undefined> {
    while (!signal.aborted) {
      const startedAt = this.#clock.now();
      if (await this.#try(signal)) return startedAt;
      await sleep(this.#clock, this.#retryMilliseconds * (1 + 0.2 * this.#random()), signal);
    }
    return undefined;
  }

  /** Renews until the deadline. @returns when the request was made that renewed; undefined if none did */
  async #renew(renewedAt: number, signal: AbortSignal): Promise<number | undefined> {
    const deadline = renewedAt + this.#deadlineMilliseconds;
    for (;;) {
      const startedAt = this.#clock.now();
      if (startedAt >= deadline || signal.aborted) return undefined;
      // A request that hangs must not outlast the lease.
      const over = new AbortController();
      const renewed = await Promise.race([
        this.#try(signal),
        sleep(this.#clock, deadline - startedAt, AbortSignal.any([signal, over.signal])).then(() => false),
      ]);
      over.abort();
      if (renewed) return startedAt;
      if (this.#seen !== undefined && this.#holderOf(this.#seen.lease) !== this.#options.identity)
        return undefined; // Somebody else leads.
      await sleep(this.#clock, this.#retryMilliseconds / 2, signal);
    }
  }

  #holderOf({ spec }: Lease): string {
    return spec?.holderIdentity ?? '';
  }

  #leases() {
    return this.#options.client.resource<Lease>(LEASES);
  }

  /** Tries once to get or to renew the lease. */
  async #try(signal: AbortSignal): Promise<boolean> {
    const { namespace, name, identity, logger } = this.#options;
    try {
      if (this.#seen === undefined || this.#holderOf(this.#seen.lease) !== identity)
        this.#observe(await this.#leases().get(name, { namespace }));
      const { lease, at } = this.#seen!;
      const holder = this.#holderOf(lease);
      const heldFor = (lease.spec?.leaseDurationSeconds ?? this.#durationSeconds) * 1000;
      if (holder !== '' && holder !== identity && this.#clock.now() < at + heldFor) return false;
      if (signal.aborted) return false;
      const metadata = holder === identity ? lease.metadata : await this.#owned(lease.metadata ?? {});
      this.#observe(await this.#leases().update({ ...lease, metadata, spec: this.#claim(lease) }));
      return true;
    } catch (error) {
      if (isNotFound(error)) return await this.#create();
      const isRace = isConflict(error);
      if (isRace) this.#seen = undefined;
      logger[isRace ? 'debug' : 'warn']({ err: error, lease: `${namespace}/${name}` }, 'no lease this time');
      return false;
    }
  }

  #observe(lease: Lease): void {
    const isSame = this.#seen?.lease.metadata?.resourceVersion === lease.metadata?.resourceVersion;
    this.#seen = { lease, at: isSame ? this.#seen!.at : this.#clock.now() };
  }

  async #owned(metadata: V1ObjectMeta): Promise<V1ObjectMeta> {
    const owner = await this.#options.owner?.();
    return owner === undefined ? metadata : { ...metadata, ownerReferences: [owner] };
  }

  #claim(before: Lease | undefined): LeaseSpec {
    const { identity } = this.#options;
    const now = microTime(this.#clock.now());
    const isRenewal = before !== undefined && this.#holderOf(before) === identity;
    const transitions = before?.spec?.leaseTransitions ?? 0;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: this.#durationSeconds,
      acquireTime: isRenewal ? (before.spec?.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: before === undefined || isRenewal ? transitions : transitions + 1,
    };
  }

  async #create(): Promise<boolean> {
    const { namespace, name, logger } = this.#options;
    try {
      this.#observe(
        await this.#leases().create({
          apiVersion: 'coordination.k8s.io/v1',
          kind: LEASES.kind,
          metadata: await this.#owned({ name, namespace }),
          spec: this.#claim(undefined),
        }),
      );
      return true;
    } catch (error) {
      if (!isAlreadyExists(error))
        logger.warn({ err: error, lease: `${namespace}/${name}` }, 'the lease cannot be made');
      return false;
    }
  }

  /** Lets go, so that nobody has to wait for the lease to run out. */
  async #release(): Promise<void> {
    const { identity, logger } = this.#options;
    const lease = this.#seen?.lease;
    if (lease === undefined || this.#holderOf(lease) !== identity) return;
    this.#seen = undefined;
    const now = microTime(this.#clock.now());
    const spec = {
      ...lease.spec,
      holderIdentity: '',
      leaseDurationSeconds: 1,
      acquireTime: now,
      renewTime: now,
    };
    try {
      await this.#leases().update({ ...lease, spec });
    } catch (error) {
      logger.debug({ err: error }, 'the lease could not be let go; it runs out by itself');
    }
  }
}
