// What is remembered of a publication in state/ingest/UID.json. Invariant: what a record calls complete is
// flushed; of the rest a restart of the agent may trust what is in the file, a restart of the machine may not.
import type { PlanFile } from '../../api/index.ts';

/** A file of a publication. */
export interface IngestFile extends PlanFile {
  /** Set once the file is complete, flushed and checked. */
  complete?: { sha256: string; sizeBytes: number };
}

/** What came of a publication. */
export interface IngestResult {
  digest: string;
  revision: string;
  infoHash: string;
  sizeBytes: number;
  metainfoBytes: number;
  files: number;
  pieceLength: number;
}

/** A publication. */
export interface IngestRecord {
  uid: string;
  attempt: number;
  sourceState: string;
  /** Which start of the machine wrote it. */
  bootId: string;
  phase: 'Receiving' | 'Hashing' | 'Published' | 'Failed';
  reason?: string;
  message?: string;
  files: IngestFile[];
  result?: IngestResult;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseFile(value: unknown): IngestFile | undefined {
  if (!isObject(value)) return undefined;
  const { path, executable, sizeBytes, sha256, validator, complete } = value;
  if (typeof path !== 'string' || typeof executable !== 'boolean') return undefined;
  const done = isObject(complete) ? complete : {};
  return {
    path,
    executable,
    sizeBytes: typeof sizeBytes === 'number' ? sizeBytes : null,
    sha256: typeof sha256 === 'string' ? sha256 : null,
    validator: typeof validator === 'string' ? validator : null,
    ...(typeof done.sha256 === 'string' && typeof done.sizeBytes === 'number'
      ? { complete: { sha256: done.sha256, sizeBytes: done.sizeBytes } }
      : {}),
  };
}

function parseResult(value: unknown): IngestResult | undefined {
  if (!isObject(value)) return undefined;
  const { digest, revision, infoHash, sizeBytes, metainfoBytes, files, pieceLength } = value;
  if (typeof digest !== 'string' || typeof revision !== 'string' || typeof infoHash !== 'string')
    return undefined;
  if (typeof sizeBytes !== 'number' || typeof metainfoBytes !== 'number') return undefined;
  if (typeof files !== 'number' || typeof pieceLength !== 'number') return undefined;
  return { digest, revision, infoHash, sizeBytes, metainfoBytes, files, pieceLength };
}

/** Reads a record; undefined for what is none, and then the publication begins anew. */
export function parseIngestRecord(bytes: Uint8Array | undefined): IngestRecord | undefined {
  if (bytes === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  const { uid, attempt, sourceState, bootId, phase, reason, message, files, result } = value;
  if (typeof uid !== 'string' || typeof attempt !== 'number' || typeof sourceState !== 'string')
    return undefined;
  if (phase !== 'Receiving' && phase !== 'Hashing' && phase !== 'Published' && phase !== 'Failed')
    return undefined;
  if (!Array.isArray(files)) return undefined;
  const parsed = files.flatMap((file) => parseFile(file) ?? []);
  if (parsed.length !== files.length) return undefined;
  const parsedResult = parseResult(result);
  if (phase === 'Published' && parsedResult === undefined) return undefined;
  return {
    uid,
    attempt,
    sourceState,
    bootId: typeof bootId === 'string' ? bootId : '',
    phase,
    ...(typeof reason === 'string' ? { reason } : {}),
    ...(typeof message === 'string' ? { message } : {}),
    files: parsed,
    ...(parsedResult === undefined ? {} : { result: parsedResult }),
  };
}
