// What is remembered of a distribution on this node, in state/content/UID/content.json. Invariant: what is read
// here was written whole (replaceFile), and anything that is not of the expected form counts as absent.

/** When a revision became active. */
export interface Activation {
  /** '' where nothing was active from then on. */
  revision: string;
  /** ContentRevision.spec.activation.epoch by which it became so. */
  epoch?: number;
  /** Milliseconds since 1970. */
  at: number;
}

/** What is remembered of a revision. */
export interface RevisionRecord {
  infoHash: string;
  digest: string;
  sizeBytes: number;
  /** Since when it is complete and verified, in milliseconds since 1970. */
  heldAt?: number;
}

/** What is remembered of a distribution. */
export interface ContentRecord {
  uid: string;
  namespace: string;
  name: string;
  onDelete: 'Delete' | 'Retain';
  /** When its deletion was decided, in milliseconds since 1970. */
  deletedAt?: number;
  /** Oldest first. */
  activations: Activation[];
  revisions: { [revision: string]: RevisionRecord };
}

/** Activations that are remembered; a Pod that waits to start through more changes pins what it can. */
export const MAX_ACTIVATIONS = 64;

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseActivation(value: unknown): Activation[] {
  if (!isObject(value)) return [];
  const { revision, at, epoch } = value;
  if (typeof revision !== 'string' || typeof at !== 'number') return [];
  return [{ revision, at, ...(typeof epoch === 'number' ? { epoch } : {}) }];
}

function parseRevision(value: unknown): RevisionRecord | undefined {
  if (!isObject(value)) return undefined;
  const { infoHash, digest, sizeBytes, heldAt } = value;
  if (typeof infoHash !== 'string' || typeof digest !== 'string' || typeof sizeBytes !== 'number')
    return undefined;
  return { infoHash, digest, sizeBytes, ...(typeof heldAt === 'number' ? { heldAt } : {}) };
}

/** Reads a record; undefined for what is none. */
export function parseRecord(bytes: Uint8Array | undefined): ContentRecord | undefined {
  if (bytes === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  const { uid, namespace, name, onDelete, deletedAt, activations, revisions } = value;
  if (typeof uid !== 'string' || typeof namespace !== 'string' || typeof name !== 'string') return undefined;
  const record: ContentRecord = {
    uid,
    namespace,
    name,
    onDelete: onDelete === 'Retain' ? 'Retain' : 'Delete',
    ...(typeof deletedAt === 'number' ? { deletedAt } : {}),
    activations: Array.isArray(activations) ? activations.flatMap(parseActivation) : [],
    revisions: {},
  };
  for (const [revision, entry] of Object.entries(isObject(revisions) ? revisions : {})) {
    const parsed = parseRevision(entry);
    if (parsed !== undefined) record.revisions[revision] = parsed;
  }
  return record;
}
