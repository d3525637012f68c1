// A small API server in memory, for the simulation of the operator. It imitates what the operator relies on:
// resource versions, conflicts, UID preconditions, generations, the status subresource, deletion with a grace
// period for Pods, owner references, and watches that lag behind. It does not imitate admission, defaults,
// validation, namespaces or time-outs: test/integration/operator tries those on a real one.
import type { ObjectCache, ObjectClient, ObjectName } from '../../../operator/ports.ts';
import { apiError } from './api-error.ts';

interface StoredMeta {
  name: string;
  namespace?: string;
  uid: string;
  resourceVersion: string;
  generation: number;
  creationTimestamp: string;
  deletionTimestamp?: string;
  ownerReferences?: { uid: string }[];
  labels?: Record<string, string>;
}

/** An object as it is stored. */
export interface Stored {
  kind: string;
  metadata: StoredMeta;
  spec?: Record<string, unknown>;
  status?: Record<string, unknown>;
}

/** A JSON copy, of the realm that the tests run in. */
export const copy = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

type JsonObject = Record<string, unknown>;
const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** RFC 7386. */
function merged(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result: JsonObject = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merged(result[key], value);
  }
  return result;
}

const keyOf = ({ name, namespace }: ObjectName) => (namespace === undefined ? name : `${namespace}/${name}`);

/** Something that happened to an object; undefined for one that is gone. */
interface Change {
  readonly kind: string;
  readonly key: string;
  readonly object: Stored | undefined;
}

/** What a call does besides what it is asked to: tests make it fail. */
export type Interference = (call: {
  kind: string;
  verb: string;
}) => 'none' | 'refuse' | 'fail-before' | 'fail-after';

export class MemoryApi {
  readonly changes: Change[] = [];
  interference: Interference = () => 'none';
  readonly #objects = new Map<string, Map<string, Stored>>();
  readonly #nowIso: () => string;
  #version = 100;
  #uids = 0;

  constructor(nowIso: () => string) {
    this.#nowIso = nowIso;
  }

  #kind(kind: string): Map<string, Stored> {
    const known = this.#objects.get(kind);
    if (known !== undefined) return known;
    const made = new Map<string, Stored>();
    this.#objects.set(kind, made);
    return made;
  }

  /** The objects of a kind as they are now; changing them changes nothing. */
  list<T = Stored>(kind: string): T[] {
    return [...this.#kind(kind).values()].map((object) => copy(object) as T);
  }

  read<T = Stored>(kind: string, key: string): T | undefined {
    const object = this.#kind(kind).get(key);
    return object === undefined ? undefined : (copy(object) as T);
  }

  #put(kind: string, key: string, object: Stored): Stored {
    this.#version += 1;
    object.metadata.resourceVersion = String(this.#version);
    this.#kind(kind).set(key, object);
    this.changes.push({ kind, key, object: copy(object) });
    return copy(object);
  }

  #remove(kind: string, key: string): void {
    this.#version += 1;
    this.#kind(kind).delete(key);
    this.changes.push({ kind, key, object: undefined });
  }

  /** Makes an object, as the API server does: status is another subresource's. */
  make(kind: string, object: { metadata?: object; spec?: object }): Stored {
    const { metadata = {}, ...rest } = copy(object) as { metadata?: Partial<StoredMeta> } & JsonObject;
    const key = keyOf(metadata as ObjectName);
    if (this.#kind(kind).has(key)) throw apiError(409, 'AlreadyExists', `${kind} ${key} already exists`);
    this.#uids += 1;
    const uid = `00000000-0000-4000-8000-${String(this.#uids).padStart(12, '0')}`;
    const { status: _, ...content } = rest as JsonObject;
    return this.#put(kind, key, {
      kind,
      ...content,
      metadata: {
        ...(metadata as StoredMeta),
        uid: metadata.uid ?? uid,
        generation: 1,
        creationTimestamp: this.#nowIso(),
      },
    });
  }

  #existing(kind: string, key: string): Stored {
    const object = this.#kind(kind).get(key);
    if (object === undefined) throw apiError(404, 'NotFound', `${kind} ${key} not found`);
    return copy(object);
  }

  #precondition(stored: Stored, asked: { resourceVersion?: unknown; uid?: unknown } | undefined): void {
    for (const field of ['resourceVersion', 'uid'] as const) {
      const value = asked?.[field];
      if (value !== undefined && value !== stored.metadata[field])
        throw apiError(409, 'Conflict', `${stored.kind} ${stored.metadata.name}: ${field} is another`);
    }
  }

  /** Changes an object by a merge patch, of everything but status, or of status alone. */
  patch(kind: string, key: string, patch: JsonObject, part: 'main' | 'status'): Stored {
    const stored = this.#existing(kind, key);
    this.#precondition(stored, patch.metadata as JsonObject | undefined);
    if (part === 'status') {
      const status = merged(stored.status ?? {}, patch.status ?? {}) as JsonObject;
      if (JSON.stringify(status) === JSON.stringify(stored.status)) return stored;
      return this.#put(kind, key, { ...stored, status });
    }
    const { status: _, metadata, ...rest } = patch;
    const { resourceVersion: __, uid: ___, ...meta } = (metadata ?? {}) as JsonObject;
    const next = merged(stored, { ...rest, metadata: meta }) as Stored;
    return this.#store(kind, key, stored, next);
  }

  /** Puts an object in the place of the one that is there. */
  replace(kind: string, object: { metadata?: object }): Stored {
    const next = copy(object) as Stored;
    const key = keyOf(next.metadata);
    const stored = this.#existing(kind, key);
    this.#precondition(stored, next.metadata);
    return this.#store(kind, key, stored, { ...next, status: stored.status } as Stored);
  }

  #store(kind: string, key: string, before: Stored, next: Stored): Stored {
    if (JSON.stringify(before) === JSON.stringify(next)) return before;
    const isNewSpec = JSON.stringify(before.spec) !== JSON.stringify(next.spec);
    const { uid, generation, creationTimestamp } = before.metadata;
    const metadata = {
      ...next.metadata,
      uid,
      creationTimestamp,
      generation: generation + (isNewSpec ? 1 : 0),
    };
    return this.#put(kind, key, { ...next, metadata });
  }

  /** Deletes an object; a Pod ends first. */
  erase(kind: string, key: string, uid?: string): void {
    const stored = this.#existing(kind, key);
    this.#precondition(stored, { uid });
    if (kind === 'Pod' && stored.status?.phase !== 'Succeeded' && stored.status?.phase !== 'Failed') {
      if (stored.metadata.deletionTimestamp === undefined)
        this.#put(kind, key, {
          ...stored,
          metadata: { ...stored.metadata, deletionTimestamp: this.#nowIso() },
        });
      return;
    }
    this.#remove(kind, key);
  }

  /** The kubelet's last word on a Pod that is being deleted. */
  finalize(kind: string, key: string): void {
    this.#remove(kind, key);
  }

  /** What the garbage collector does: removes objects all of whose owners are gone. */
  collectGarbage(): void {
    const uids = new Set(
      [...this.#objects.values()].flatMap((kind) => [...kind.values()].map(({ metadata }) => metadata.uid)),
    );
    for (const [kind, objects] of this.#objects)
      for (const [key, { metadata }] of [...objects]) {
        const owners = metadata.ownerReferences ?? [];
        if (owners.length > 0 && owners.every(({ uid }) => !uids.has(uid))) this.#remove(kind, key);
      }
  }

  /** Reads and writes of one kind as the operator makes them. */
  client<T extends object>(kind: string): ObjectClient<T> {
    const call = <R>(verb: string, work: () => R): Promise<R> => {
      const interference = this.interference({ kind, verb });
      if (interference === 'refuse') return Promise.reject(apiError(403, 'Forbidden', 'not so'));
      if (interference === 'fail-before')
        return Promise.reject(apiError(503, 'ServiceUnavailable', 'try again'));
      try {
        const result = work();
        return interference === 'fail-after'
          ? Promise.reject(apiError(504, 'Timeout', 'done, but nobody said so'))
          : Promise.resolve(result);
      } catch (error) {
        return Promise.reject(error as Error);
      }
    };
    return {
      get: (name, { namespace } = {}) =>
        call(
          'get',
          () => this.#existing(kind, keyOf({ name, ...(namespace === undefined ? {} : { namespace }) })) as T,
        ),
      create: (object) => call('create', () => this.make(kind, object as { metadata?: object }) as T),
      update: (object) => call('update', () => this.replace(kind, object as { metadata?: object }) as T),
      mergePatch: (name, patch) =>
        call('patch', () => this.patch(kind, keyOf(name), copy(patch) as JsonObject, 'main') as T),
      mergePatchStatus: (name, patch) =>
        call('status', () => this.patch(kind, keyOf(name), copy(patch) as JsonObject, 'status') as T),
      delete: (name, { uid } = {}) => call('delete', () => this.erase(kind, keyOf(name), uid)),
    };
  }
}

/** A watch of one kind that shows changes when it is told to, in their order. */
export class LaggingCache<T> implements ObjectCache<T> {
  readonly #api: MemoryApi;
  readonly #kind: string;
  readonly #filter: (object: T) => boolean;
  readonly #objects = new Map<string, T>();
  #seen: number;

  constructor(api: MemoryApi, kind: string, filter: (object: T) => boolean = () => true) {
    this.#api = api;
    this.#kind = kind;
    this.#filter = filter;
    this.#seen = api.changes.length;
    for (const object of api.list<T>(kind))
      this.#show(keyOf((object as { metadata: ObjectName }).metadata), object);
  }

  #show(key: string, object: T | undefined): void {
    if (object === undefined || !this.#filter(object)) this.#objects.delete(key);
    else this.#objects.set(key, object);
  }

  /** Shows at most so many more changes (of any kind) than before. */
  catchUp(most = Number.POSITIVE_INFINITY): void {
    const end = Math.min(this.#api.changes.length, this.#seen + most);
    for (; this.#seen < end; this.#seen += 1) {
      const change = this.#api.changes[this.#seen]!;
      if (change.kind === this.#kind) this.#show(change.key, change.object as T | undefined);
    }
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  list(): readonly T[] {
    return [...this.#objects.values()];
  }
}
