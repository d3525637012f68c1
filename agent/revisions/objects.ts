// The ContentRevisions that this node sees, checked field by field where they come in.
import { type ContentRevision, parseContentRevision } from '../../api/index.ts';
import { isRevision, isUid } from '../content-root/layout.ts';

/** An object that says something that no agent may obey. */
interface InvalidRevision {
  uid: string;
  revision: string;
  namespace: string;
  distribution: string;
  message: string;
}

/** Objects, sorted into those that can be obeyed and those that cannot. */
export interface SeenRevisions {
  valid: ContentRevision[];
  /** Only those that say at least whose they are. */
  invalid: InvalidRevision[];
}

function invalidRevision(object: ContentRevision, message: string): InvalidRevision[] {
  const {
    distributionUID: uid,
    revision,
    distribution,
  } = (object.spec ?? {}) as Partial<ContentRevision['spec']>;
  const { namespace } = object.metadata ?? {};
  if (typeof uid !== 'string' || !isUid(uid) || typeof revision !== 'string' || !isRevision(revision))
    return [];
  if (typeof namespace !== 'string' || typeof distribution !== 'string') return [];
  return [{ uid, revision, namespace, distribution, message }];
}

// Parsing 10,000 objects anew for every change of one would be most of the agent's work.
const parsed = new WeakMap<object, ContentRevision | InvalidRevision[]>();

function parse(object: ContentRevision): ContentRevision | InvalidRevision[] {
  let result = parsed.get(object);
  if (result === undefined) {
    try {
      result = parseContentRevision(object);
    } catch (error) {
      result = invalidRevision(object, (error as Error).message);
    }
    parsed.set(object, result);
  }
  return result;
}

/** Sorts objects as they came from the API server. */
export function seenRevisions(objects: readonly ContentRevision[]): SeenRevisions {
  const seen: SeenRevisions = { valid: [], invalid: [] };
  for (const object of objects) {
    const result = parse(object);
    if (Array.isArray(result)) seen.invalid.push(...result);
    else seen.valid.push(result);
  }
  return seen;
}
