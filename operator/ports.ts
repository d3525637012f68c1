// What the operator needs of the API: objects as it last saw them, and writes. kube/'s informers and clients
// fit; so does the small API of the tests.

/** Objects of one kind as they were last seen; keys are `namespace/name`, or `name` for what has no namespace. */
export interface ObjectCache<T> {
  get(key: string): T | undefined;
  list(): readonly T[];
}

/** Which object. */
export interface ObjectName {
  readonly name: string;
  readonly namespace?: string;
}

/** Reads and writes of one kind. Every call fails with kube/'s KubeError. */
export interface ObjectClient<T> {
  get(name: string, options?: { readonly namespace?: string }): Promise<T>;
  create(object: T): Promise<T>;
  /** Replaces the object; a conflict if its resourceVersion is not the present one. */
  update(object: T): Promise<T>;
  /** RFC 7386; a conflict if the patch names another resourceVersion or UID. */
  mergePatch(object: ObjectName, patch: object): Promise<T>;
  mergePatchStatus(object: ObjectName, patch: object): Promise<T>;
  delete(object: ObjectName, options?: { readonly uid?: string }): Promise<unknown>;
}

/** Metadata as far as the operator looks at it; core types and ours have it in common. */
export interface AnyObject {
  readonly metadata?: {
    readonly name?: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
  };
}

/** The key of an object in a cache. */
export function keyOf({ metadata }: AnyObject): string {
  const name = metadata?.name ?? '';
  return metadata?.namespace === undefined ? name : `${metadata.namespace}/${name}`;
}
