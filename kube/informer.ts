// A local copy of all objects of one kind, kept up to date, and whoever wants to hear of changes.
// Invariant: handlers see each object's life in order: one onAdd, any number of onUpdate, one onDelete; an
// object made anew under a name is another object, even where its predecessor's deletion was never seen.
import { type Clock, type Logger, systemClock } from '../base/index.ts';
import { type ObjectEvent, Reflector, type Watchable } from './reflector.ts';

/** How an object's end was found out. */
export interface Deletion {
  /** True when a list lacked it, so that its last state may have been missed; false when the end was seen. */
  readonly finalStateUnknown: boolean;
}

/** Who hears of changes. Objects are shared with the cache: handlers must not change them. */
export interface InformerHandler<T> {
  onAdd?(object: T): void;
  onUpdate?(object: T, before: T): void;
  onDelete?(object: T, deletion: Deletion): void;
}

/** What an informer works with. */
export interface InformerOptions<T extends { metadata?: object }> {
  readonly resource: Watchable<T>;
  readonly logger: Logger;
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly clock?: Clock;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
  /** How long a watch may be silent; above the minute between two bookmarks. */
  readonly idleMilliseconds?: number;
}

const IDLE_MILLISECONDS = 90_000;

interface Meta {
  name?: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
}

function metaOf(object: { metadata?: object }): Meta {
  return (object.metadata ?? {}) as Meta;
}

function keyOf(object: { metadata?: object }): string {
  const { name = '', namespace } = metaOf(object);
  return namespace === undefined ? name : `${namespace}/${name}`;
}

export class Informer<T extends { metadata?: object }> {
  readonly #options: InformerOptions<T>;
  readonly #clock: Clock;
  #objects = new Map<string, T>();
  readonly #handlers = new Set<InformerHandler<T>>();
  readonly #stopped = new AbortController();
  readonly #firstList = Promise.withResolvers<void>();
  #isStarted = false;
  #hasSynced = false;
  #lastListAt: number | undefined;

  constructor(options: InformerOptions<T>) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#firstList.promise.catch(() => {}); // Nobody need be waiting when it is stopped.
  }

  /** Begins to list and watch. An informer is started once; after stop() it stays stopped. */
  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    const { resource, logger, namespace, labelSelector, fieldSelector, random = Math.random } = this.#options;
    const reflector = new Reflector<T>({
      resource,
      selection: { namespace, labelSelector, fieldSelector },
      sink: { replace: (items) => this.#replace(items), apply: (event) => this.#apply(event) },
      logger,
      clock: this.#clock,
      random,
      idleMilliseconds: this.#options.idleMilliseconds ?? IDLE_MILLISECONDS,
    });
    reflector.run(this.#stopped.signal).catch((error: unknown) => {
      logger.error({ kind: resource.type.kind, err: error }, 'a watch has ended by a defect');
    });
  }

  /** Ends the watch. What was seen stays readable; nobody is told of anything any more. */
  stop(): void {
    this.#stopped.abort();
    this.#firstList.reject(new Error('the informer was stopped before its first list'));
  }

  /** Whether everything was listed, and told to the handlers, at least once. */
  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** When everything was last listed, in milliseconds since 1970. */
  get lastListAt(): number | undefined {
    return this.#lastListAt;
  }

  /**
   * Resolves once everything was listed and told to the handlers. Rejects when the informer is stopped or the
   * signal aborts before that.
   */
  synced(signal?: AbortSignal): Promise<void> {
    if (signal === undefined) return this.#firstList.promise;
    return new Promise((resolve, reject) => {
      const abort = () => reject(signal.reason as Error);
      if (signal.aborted) return abort();
      signal.addEventListener('abort', abort, { once: true });
      this.#firstList.promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
    });
  }

  /** The object of a key, `namespace/name`, or `name` for what has no namespace. */
  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  list(): T[] {
    return [...this.#objects.values()];
  }

  /**
   * Tells a handler of every change from now on, and of what is there already, by onAdd.
   *
   * @returns takes the handler away again
   */
  addHandler(handler: InformerHandler<T>): () => void {
    this.#handlers.add(handler);
    for (const object of this.#objects.values()) this.#tell(handler, (to) => to.onAdd?.(object));
    return () => this.#handlers.delete(handler);
  }

  #tell(handler: InformerHandler<T>, what: (handler: InformerHandler<T>) => void): void {
    try {
      what(handler);
    } catch (error) {
      // A defect of one listener must not end the watch for all.
      const { resource, logger } = this.#options;
      logger.error({ kind: resource.type.kind, err: error }, 'a listener has failed');
    }
  }

  #tellAll(what: (handler: InformerHandler<T>) => void): void {
    for (const handler of this.#handlers) this.#tell(handler, what);
  }

  /** Tells of the difference between two states of one key; finalStateUnknown where no end was seen. */
  #tellChange(before: T | undefined, now: T | undefined): void {
    const isAnother = before !== undefined && now !== undefined && metaOf(before).uid !== metaOf(now).uid;
    if (before !== undefined && (now === undefined || isAnother))
      this.#tellAll((to) => to.onDelete?.(before, { finalStateUnknown: true }));
    if (now === undefined) return;
    if (before === undefined || isAnother) this.#tellAll((to) => to.onAdd?.(now));
    else if (metaOf(before).resourceVersion !== metaOf(now).resourceVersion)
      this.#tellAll((to) => to.onUpdate?.(now, before));
  }

  #replace(items: readonly T[]): void {
    const before = this.#objects;
    // The copy is whole before anybody is told: a listener that reads it sees one moment, not two.
    this.#objects = new Map(items.map((item) => [keyOf(item), item]));
    this.#lastListAt = this.#clock.now();
    for (const [key, object] of before) if (!this.#objects.has(key)) this.#tellChange(object, undefined);
    for (const [key, object] of this.#objects) this.#tellChange(before.get(key), object);
    this.#hasSynced = true;
    this.#firstList.resolve();
  }

  #apply({ type, object }: ObjectEvent<T>): void {
    const key = keyOf(object);
    const before = this.#objects.get(key);
    if (type !== 'DELETED') {
      this.#objects.set(key, object);
      this.#tellChange(before, object);
      return;
    }
    if (before === undefined) return;
    this.#objects.delete(key);
    if (metaOf(before).uid !== metaOf(object).uid) this.#tellChange(before, undefined);
    else this.#tellAll((to) => to.onDelete?.(object, { finalStateUnknown: false }));
  }
}
