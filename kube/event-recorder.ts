// Events about objects, for people who run `kubectl describe`. Best effort: telling never fails and never waits.
// Invariant: what is the same again within some minutes counts up one Event, and nobody makes more than a
// bounded number of them about one object, whatever happens to it.
import { randomBytes } from 'node:crypto';
import { type Clock, type Logger, Mutex, systemClock } from '../base/index.ts';
import type { KubeClient } from './client.ts';
import { isNamespaceEnding, isNotFound } from './errors.ts';
import { microTime } from './micro-time.ts';
import { EVENTS } from './resource-types.ts';

/** The object that an event is about. */
export interface EventSubject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string | undefined;
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
}

/** What a recorder works with. */
export interface EventRecorderOptions {
  readonly client: KubeClient;
  /** Which program tells, such as `enxame-operator`. */
  readonly component: string;
  /** Which copy of it: the Pod's name. */
  readonly instance: string;
  readonly logger: Logger;
  readonly clock?: Clock;
}

/** An object of events.k8s.io/v1 as it is sent. */
interface Event {
  metadata: { name: string; namespace: string };
  series?: { count: number; lastObservedTime: string };
  [field: string]: unknown;
}

interface Recent {
  readonly name: string;
  readonly namespace: string;
  count: number;
  lastAt: number;
}

/** client-go's: after so long, the same again is a new Event. */
const SERIES_MILLISECONDS = 6 * 60_000;
/** client-go's spam filter: so many at once about one object, and one more every so often. */
const BURST = 25;
const REFILL_MILLISECONDS = 60_000;
const MAX_REMEMBERED = 4096;
const MAX_QUEUED = 1000;
/** Bounds that the API server checks, in characters. */
const MAX_NOTE = 1000;
const MAX_REASON = 128;

export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #clock: Clock;
  readonly #recent = new Map<string, Recent>();
  readonly #buckets = new Map<string, { tokens: number; at: number }>();
  #queued = 0;
  readonly #writes = new Mutex();

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /**
   * Tells of something.
   *
   * @param reason a word in CamelCase, for programs
   * @param message a sentence, for people
   */
  event(subject: EventSubject, type: 'Normal' | 'Warning', reason: string, message: string): void {
    if (this.#queued >= MAX_QUEUED || !this.#takeToken(subject)) return;
    this.#queued += 1;
    void this.#writes.run(async () => {
      try {
        await this.#write(subject, type, reason.slice(0, MAX_REASON), message.slice(0, MAX_NOTE));
      } catch (error) {
        // What lies in a namespace that is being deleted has nobody to tell.
        const level = isNamespaceEnding(error) ? 'debug' : 'warn';
        this.#options.logger[level]({ err: error, reason, message }, 'an event could not be written');
      } finally {
        this.#queued -= 1;
      }
    });
  }

  /** Resolves once everything told so far was written or given up. */
  async flush(): Promise<void> {
    await this.#writes.idle();
  }

  #takeToken({ uid, kind, namespace, name }: EventSubject): boolean {
    const key = uid ?? `${kind}/${namespace ?? ''}/${name}`;
    const now = this.#clock.now();
    const bucket = this.#buckets.get(key) ?? { tokens: BURST, at: now };
    bucket.tokens = Math.min(BURST, bucket.tokens + (now - bucket.at) / REFILL_MILLISECONDS);
    bucket.at = now;
    remember(this.#buckets, key, bucket);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  async #write(subject: EventSubject, type: string, reason: string, note: string): Promise<void> {
    const key = JSON.stringify([subject.uid ?? subject.name, subject.namespace, type, reason, note]);
    const now = this.#clock.now();
    const recent = this.#recent.get(key);
    if (recent !== undefined && now - recent.lastAt < SERIES_MILLISECONDS) {
      recent.count += 1;
      recent.lastAt = now;
      if (await this.#countUp(recent)) return;
    }
    const { component, instance, client } = this.#options;
    const namespace = subject.namespace ?? 'default';
    const name = `${subject.name.slice(0, 200)}.${randomBytes(8).toString('hex')}`;
    await client.resource<Event>(EVENTS).create({
      apiVersion: 'events.k8s.io/v1',
      kind: EVENTS.kind,
      metadata: { name, namespace },
      eventTime: microTime(now),
      reportingController: component,
      reportingInstance: instance,
      action: reason,
      reason,
      regarding: { ...subject },
      note,
      type,
    });
    remember(this.#recent, key, { name, namespace, count: 1, lastAt: now });
  }

  /** @returns false if the Event is gone: they are kept for an hour */
  async #countUp({ name, namespace, count, lastAt }: Recent): Promise<boolean> {
    try {
      await this.#options.client
        .resource<Event>(EVENTS)
        .mergePatch({ name, namespace }, { series: { count, lastObservedTime: microTime(lastAt) } });
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }
}

/** Puts an entry last, and forgets the one that was put longest ago when there are too many. */
function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= MAX_REMEMBERED) return;
  const oldest = map.keys().next().value;
  if (oldest !== undefined) map.delete(oldest);
}
