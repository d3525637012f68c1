// Reads and writes of objects of one kind. What a call sends and gets are the API's own objects; a call fails
// with a KubeError and is never repeated here: who calls knows whether that makes sense.
import type { Logger } from '../base/index.ts';
import type { ApiAccess } from './access.ts';
import { isExpired, KubeError } from './errors.ts';
import { apiVersionOf, type ResourceType } from './resource-types.ts';
import { type KubeRequest, Transport } from './transport.ts';
import { type WatchEvent, watchEvents } from './watch-stream.ts';

/** Anything with metadata: the core kinds' types have all of it optional. */
export interface KubeObject {
  metadata?: object;
}

/** Which object. */
export interface ObjectRef {
  readonly name: string;
  readonly namespace?: string;
}

/** What a list or a watch is limited to. */
export interface Selection {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

/** Objects as they were at one resource version. */
export interface ObjectList<T> {
  readonly items: T[];
  readonly resourceVersion: string;
}

/** How a watch begins and ends. */
export interface WatchOptions extends Selection {
  readonly resourceVersion: string;
  /** After which the server ends the watch in good order. */
  readonly timeoutSeconds: number;
  /** After which a silent watch counts as dead. */
  readonly idleMilliseconds: number;
  readonly signal?: AbortSignal;
}

/** Server-side apply: under whose name, and whether fields of others are taken over. */
export interface ApplyOptions {
  readonly fieldManager: string;
  readonly force: boolean;
}

const PAGE_OBJECTS = 500;
const LIST_TIMEOUT_MILLISECONDS = 60_000;
const MERGE_PATCH = 'application/merge-patch+json';
/** Declared to be YAML, of which JSON is a part. */
const APPLY_PATCH = 'application/apply-patch+yaml';

interface RawList {
  items?: unknown;
  metadata?: { resourceVersion?: string; continue?: string };
}

function metaOf(object: KubeObject): { name?: string; namespace?: string } {
  return (object.metadata ?? {}) as { name?: string; namespace?: string };
}

/** The objects of one kind. */
export class ResourceClient<T extends KubeObject> {
  readonly type: ResourceType;
  readonly #transport: Transport;

  constructor(transport: Transport, type: ResourceType) {
    this.#transport = transport;
    this.type = type;
  }

  #path(namespace: string | undefined, name?: string, subresource?: string): string {
    const { group, version, plural, namespaced } = this.type;
    const parts = group === '' ? ['api', version] : ['apis', group, version];
    if (namespaced && namespace !== undefined) parts.push('namespaces', namespace);
    parts.push(plural);
    if (name !== undefined) parts.push(name);
    if (subresource !== undefined) parts.push(subresource);
    return `/${parts.map(encodeURIComponent).join('/')}`;
  }

  async #send(request: KubeRequest): Promise<T> {
    return (await this.#transport.json(request)) as T;
  }

  /** @throws KubeError 404 when there is none */
  get(name: string, { namespace }: { readonly namespace?: string } = {}): Promise<T> {
    return this.#send({ method: 'GET', path: this.#path(namespace, name) });
  }

  /** Reads all objects, page by page, as they are now (never from a cache that may be behind). */
  async list(selection: Selection & { readonly signal?: AbortSignal } = {}): Promise<ObjectList<T>> {
    try {
      return await this.#list(selection, PAGE_OBJECTS);
    } catch (error) {
      // The pages after the first were compacted away meanwhile: ask for all at once.
      if (isExpired(error)) return await this.#list(selection, undefined);
      throw error;
    }
  }

  async #list(
    { namespace, labelSelector, fieldSelector, signal }: Selection & { readonly signal?: AbortSignal },
    limit: number | undefined,
  ): Promise<ObjectList<T>> {
    const items: T[] = [];
    let token: string | undefined;
    for (;;) {
      const page = (await this.#transport.json({
        method: 'GET',
        path: this.#path(namespace),
        query: { labelSelector, fieldSelector, limit, continue: token },
        timeoutMilliseconds: LIST_TIMEOUT_MILLISECONDS,
        signal,
      })) as RawList;
      const { resourceVersion, continue: next } = page.metadata ?? {};
      if (!Array.isArray(page.items) || resourceVersion === undefined)
        throw new KubeError(200, 'InvalidAnswer', `the answer to a list of ${this.type.plural} is no list`);
      for (const item of page.items) items.push(this.#whole(item as T));
      if (!next) return { items, resourceVersion };
      token = next;
    }
  }

  /** Items of a list lack apiVersion and kind, which every other object carries. */
  #whole(item: T): T {
    return { apiVersion: apiVersionOf(this.type), kind: this.type.kind, ...item };
  }

  /** @throws KubeError 409 AlreadyExists, 422 for an object that breaks a rule */
  create(object: T): Promise<T> {
    return this.#send({ method: 'POST', path: this.#path(metaOf(object).namespace), body: object });
  }

  /** Replaces the object. @throws KubeError 409 if its resourceVersion is not the present one */
  update(object: T): Promise<T> {
    const { name, namespace } = metaOf(object);
    return this.#send({ method: 'PUT', path: this.#path(namespace, name), body: object });
  }

  /** Server-side apply: makes the object, or the fields that it names, be so. */
  apply(object: T, { fieldManager, force }: ApplyOptions): Promise<T> {
    const { name, namespace } = metaOf(object);
    const body = { apiVersion: apiVersionOf(this.type), kind: this.type.kind, ...object };
    return this.#send({
      method: 'PATCH',
      path: this.#path(namespace, name),
      query: { fieldManager, force },
      contentType: APPLY_PATCH,
      body,
    });
  }

  /**
   * Changes an object by a merge patch (RFC 7386).
   *
   * @throws KubeError 409 if the patch names another resourceVersion or UID than the present one
   */
  mergePatch({ name, namespace }: ObjectRef, patch: object): Promise<T> {
    const path = this.#path(namespace, name);
    return this.#send({ method: 'PATCH', path, contentType: MERGE_PATCH, body: patch });
  }

  mergePatchStatus({ name, namespace }: ObjectRef, patch: object): Promise<T> {
    const path = this.#path(namespace, name, 'status');
    return this.#send({ method: 'PATCH', path, contentType: MERGE_PATCH, body: patch });
  }

  /**
   * Deletes an object.
   *
   * @param options.uid only the object of this UID: one that was made anew under the name is another
   * @throws KubeError 404 when there is none, 409 for another UID
   */
  async delete(
    { name, namespace }: ObjectRef,
    options: {
      readonly uid?: string;
      readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground';
    } = {},
  ): Promise<void> {
    const { uid, propagationPolicy } = options;
    await this.#transport.json({
      method: 'DELETE',
      path: this.#path(namespace, name),
      body: {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        ...(uid === undefined ? {} : { preconditions: { uid } }),
        ...(propagationPolicy === undefined ? {} : { propagationPolicy }),
      },
    });
  }

  /** What happens from a resource version on, bookmarks included. @throws KubeError 410 if that is too old */
  watch(options: WatchOptions): AsyncGenerator<WatchEvent<T>, void> {
    const { namespace, labelSelector, fieldSelector, resourceVersion, timeoutSeconds } = options;
    const body = this.#transport.stream(
      {
        method: 'GET',
        path: this.#path(namespace),
        query: {
          watch: true,
          allowWatchBookmarks: true,
          labelSelector,
          fieldSelector,
          resourceVersion,
          timeoutSeconds,
        },
        signal: options.signal,
      },
      options.idleMilliseconds,
    );
    return watchEvents<T>(body);
  }
}

/** A connection to a cluster. */
export class KubeClient {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The objects of one kind. */
  resource<T extends KubeObject>(type: ResourceType): ResourceClient<T> {
    return new ResourceClient<T>(this.#transport, type);
  }

  /** Ends all connections; calls that are under way fail. */
  close(): Promise<void> {
    return this.#transport.close();
  }
}

/** Makes a client. Nothing is connected before the first call. */
export function createClient(
  access: ApiAccess,
  options: { readonly userAgent: string; readonly logger: Logger },
): KubeClient {
  return new KubeClient(new Transport(access, options));
}
