// Writes statuses: only what changed, transitions at once, progress now and then.
import type { ContentDistribution, ContentDistributionStatus } from '../../api/index.ts';
import type { Clock } from '../../base/index.ts';
import { isConflict, isNotFound } from '../../kube/index.ts';
import type { ObjectClient } from '../ports.ts';
import { isTransition } from './decide.ts';
import { eventsOf, type StatusEvent } from './events.ts';
import { mergePatch } from './merge-patch.ts';
import { StatusThrottle } from './throttle.ts';

/** How long our own write is taken for the present status without the watch confirming it. */
const TRUST_MILLISECONDS = 10_000;

interface Written {
  /** Version of the object that the write was made upon. */
  readonly upon: string | undefined;
  readonly status: ContentDistributionStatus;
  readonly at: number;
}

/** What is needed to write statuses. */
export interface StatusWriterParts {
  readonly client: ObjectClient<ContentDistribution>;
  readonly clock: Clock;
  readonly tell: (distribution: ContentDistribution, event: StatusEvent) => void;
  readonly wrote: () => void;
}

export class StatusWriter {
  readonly #parts: StatusWriterParts;
  readonly #throttle = new StatusThrottle();
  readonly #written = new Map<string, Written>();

  constructor(parts: StatusWriterParts) {
    this.#parts = parts;
  }

  /** The status as it is by what we saw and wrote last; only its times of transition may be used. */
  latest({ metadata, status }: ContentDistribution): ContentDistributionStatus | undefined {
    const written = this.#written.get(metadata.uid ?? '');
    const isOurs =
      written?.upon === metadata.resourceVersion &&
      written !== undefined &&
      this.#parts.clock.now() - written.at < TRUST_MILLISECONDS;
    return isOurs ? written.status : status;
  }

  /**
   * Writes a status, if it is another and may be written now.
   *
   * @returns how many milliseconds to wait before it may be; undefined when there is nothing left to write
   */
  async write(
    distribution: ContentDistribution,
    status: ContentDistributionStatus,
  ): Promise<number | undefined> {
    const { client, clock, tell, wrote } = this.#parts;
    const { name, namespace, uid = '', resourceVersion } = distribution.metadata;
    const before = this.latest(distribution);
    const patch = mergePatch({ ...before }, { ...status });
    if (patch === undefined) return undefined;
    const wait = this.#throttle.ask(uid, isTransition(before, status), clock.now());
    if (wait > 0) return wait;
    try {
      // With the UID: a distribution made anew under the name is another one.
      const ref = { name, ...(namespace === undefined ? {} : { namespace }) };
      await client.mergePatchStatus(ref, { metadata: { uid }, status: patch });
    } catch (error) {
      if (isNotFound(error) || isConflict(error)) return undefined;
      throw error;
    }
    wrote();
    this.#written.set(uid, { upon: resourceVersion, status, at: clock.now() });
    for (const event of eventsOf(before?.conditions ?? [], status.conditions ?? []))
      tell(distribution, event);
    return undefined;
  }

  /** The distribution is gone. */
  forget(uid: string): void {
    this.#written.delete(uid);
    this.#throttle.forget(uid);
  }
}
