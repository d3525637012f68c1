// Keeps up with one kind: lists it, watches from there, and begins again wherever it was cut off.
// Invariant: it ends only when its signal aborts; whatever the API server does in between costs time, no event.
import { type BackoffBounds, backoffMilliseconds, type Clock, type Logger, sleep } from '../base/index.ts';
import type { ResourceClient, Selection } from './client.ts';
import { isExpired, KubeError } from './errors.ts';
import type { WatchEvent } from './watch-stream.ts';

/** An event that tells of an object. */
export type ObjectEvent<T> = Exclude<WatchEvent<T>, { type: 'BOOKMARK' }>;

/** Who is told. */
export interface ReflectorSink<T> {
  /** All objects that there are: what is not among them is gone. */
  replace(items: readonly T[]): void;
  apply(event: ObjectEvent<T>): void;
}

/** As much of ResourceClient as a reflector needs. */
export type Watchable<T extends { metadata?: object }> = Pick<ResourceClient<T>, 'type' | 'list' | 'watch'>;

/** What a reflector works with. */
export interface ReflectorParts<T extends { metadata?: object }> {
  readonly resource: Watchable<T>;
  readonly selection: Selection;
  readonly sink: ReflectorSink<T>;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Bookmarks come about every minute: a watch that is silent for longer than this is dead. */
  readonly idleMilliseconds: number;
}

/** Times of client-go, with a smaller greatest delay: an agent shall hear of an API server that is back. */
const BACKOFF: BackoffBounds = { firstMilliseconds: 500, maxMilliseconds: 20_000 };
/** The server ends a watch after 5 to 10 minutes, so that load spreads over its replicas again. */
const MIN_WATCH_SECONDS = 300;
/** A watch that lived so long had been in order: the next failure begins a new series. */
const HEALTHY_MILLISECONDS = 5_000;
const WARN_MILLISECONDS = 300_000;

function versionOf(object: { metadata?: object }): string | undefined {
  return (object.metadata as { resourceVersion?: string } | undefined)?.resourceVersion;
}

export class Reflector<T extends { metadata?: object }> {
  readonly #parts: ReflectorParts<T>;
  /** Where to go on watching; undefined when a list is needed first. */
  #resourceVersion: string | undefined;
  #failures = 0;
  /** In a row, without a watch that was in order. */
  #retries = 0;
  #warnedAt = 0;

  constructor(parts: ReflectorParts<T>) {
    this.#parts = parts;
  }

  /** Runs until the signal aborts; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#parts;
    while (!signal.aborted) {
      const startedAt = clock.now();
      let retryAfterSeconds = 0;
      let failed = true;
      try {
        await this.#follow(signal);
        failed = false; // The server ended the watch in good order.
      } catch (error) {
        if (signal.aborted) return;
        this.#note(error);
        if (isExpired(error)) this.#resourceVersion = undefined;
        if (error instanceof KubeError) retryAfterSeconds = error.retryAfterSeconds ?? 0;
      }
      const lived = clock.now() - startedAt;
      if (lived >= HEALTHY_MILLISECONDS) this.#retries = 0;
      if (!failed && lived >= HEALTHY_MILLISECONDS) continue;
      this.#retries += 1;
      const wait = backoffMilliseconds(this.#retries, BACKOFF, random);
      await sleep(clock, Math.max(wait, retryAfterSeconds * 1000), signal);
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { resource, selection, sink, random, idleMilliseconds } = this.#parts;
    if (this.#resourceVersion === undefined) {
      const { items, resourceVersion } = await resource.list({ ...selection, signal });
      if (signal.aborted) return;
      this.#works();
      sink.replace(items);
      this.#resourceVersion = resourceVersion;
    }
    const events = resource.watch({
      ...selection,
      resourceVersion: this.#resourceVersion,
      timeoutSeconds: Math.round(MIN_WATCH_SECONDS * (1 + random())),
      idleMilliseconds,
      signal,
    });
    for await (const event of events) {
      if (signal.aborted) return;
      this.#works();
      if (event.type === 'BOOKMARK') {
        this.#resourceVersion = event.resourceVersion;
        continue;
      }
      sink.apply(event);
      this.#resourceVersion = versionOf(event.object) ?? this.#resourceVersion;
    }
  }

  #works(): void {
    if (this.#failures > 0)
      this.#parts.logger.info({ kind: this.#parts.resource.type.kind }, 'the API server is watched again');
    this.#failures = 0;
  }

  /** One warning every 5 minutes for a series of failures: what lasts must show, and is not news every second. */
  #note(error: unknown): void {
    const { logger, resource, clock } = this.#parts;
    const fields = { kind: resource.type.kind, err: error };
    if (isExpired(error)) {
      logger.debug(fields, 'the watch is too far behind; listing anew');
      return;
    }
    this.#failures += 1;
    const now = clock.now();
    // The first failure is forgiven: it is how most watches end when a connection breaks.
    const isNews = this.#failures === 2 || now - this.#warnedAt >= WARN_MILLISECONDS;
    if (this.#failures >= 2 && isNews) {
      this.#warnedAt = now;
      logger.warn(
        { ...fields, failures: this.#failures },
        'cannot watch; trying on, what was last seen holds meanwhile',
      );
    } else logger.debug(fields, 'a watch has failed; going on from where it was');
  }
}
