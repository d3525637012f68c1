// The protocol by which a publisher streams content to an agent: HTTP on the agent's port, files in the byte
// order of their paths, resumable by offset. Both sides take its words from here.
//
// Every call carries `Authorization: Bearer TOKEN`, a projected service account token of the publisher Pod
// for INGEST_AUDIENCE; the agent checks it by TokenReview and its Pod against the reservation.
import { join } from 'node:path/posix';
import {
  Array as ArrayOf,
  Boolean as BooleanOf,
  Integer,
  Null,
  Object as ObjectOf,
  Optional,
  type Static,
  String as StringOf,
  type TSchema,
  Union,
} from 'typebox';
import { Check } from 'typebox/value';
import { ApiError } from './errors.ts';
import { MAX_FILES } from './kinds/content-revision.ts';

/** Audience of the publisher's token. */
export const INGEST_AUDIENCE = 'enxame.dev/ingest';
/** Audience of the tokens by which agents may announce to the cluster's trackers. */
export const ANNOUNCE_AUDIENCE = 'enxame-tracker';
/** Where the publisher's token is mounted; read anew for each use, because the kubelet rotates it. */
export const INGEST_TOKEN_PATH = '/var/run/enxame/token/token';
/** Where the headers Secret is mounted; it holds the one key HEADERS_SECRET_KEY. */
export const HEADERS_MOUNT_PATH = '/var/run/enxame/headers';
/** Where the ConfigMap of a source is mounted. */
export const CONFIG_MAP_MOUNT_PATH = '/var/run/enxame/config-map';

/** Environment variables of a publisher. */
export const PublisherEnv = {
  /** `http://POD_IP:9100` of the elected agent; IPv6 in brackets. */
  IngestUrl: 'ENXAME_INGEST_URL',
  /** UID of the distribution. */
  Uid: 'ENXAME_UID',
  Attempt: 'ENXAME_ATTEMPT',
  SourceState: 'ENXAME_SOURCE_STATE',
  /** JSON of spec.source, in parts: see source-variables.ts. */
  Source: 'ENXAME_SOURCE',
  /** Bytes. */
  SizeLimit: 'ENXAME_SIZE_LIMIT',
  /** CIDRs, comma between them. */
  DeniedCidrs: 'ENXAME_DENIED_CIDRS',
  AllowedCidrs: 'ENXAME_ALLOWED_CIDRS',
  SourceStallSeconds: 'ENXAME_SOURCE_STALL_SECONDS',
} as const;

/** Error codes of the agent's answers, with their HTTP status. */
export const IngestErrorStatus = {
  InvalidRequest: 400,
  Unauthenticated: 401,
  WrongPod: 403,
  NoReservation: 404,
  ReservationPending: 409,
  OffsetMismatch: 409,
  /** The call does not fit the phase the publication is in, such as a file before the plan. */
  WrongPhase: 409,
  SizeLimitExceeded: 413,
  ChecksumMismatch: 422,
  TooManyFiles: 422,
  Internal: 500,
  /** Not able to check the token or to write just now; try again. */
  Unavailable: 503,
  InsufficientStorage: 507,
} as const;
export type IngestErrorCode = keyof typeof IngestErrorStatus;

/** Body of every answer that is not 2xx. */
export interface IngestError {
  code: IngestErrorCode;
  message: string;
  /** With OffsetMismatch: where the agent wants to go on. */
  offset?: number;
}

/** Paths of the protocol. `file` is the index of the file in the plan. */
export const ingestPath = {
  status: (uid: string, attempt: number) => join('/ingest', uid, String(attempt)),
  plan: (uid: string, attempt: number) => join('/ingest', uid, String(attempt), 'plan'),
  file: (uid: string, attempt: number, file: number) =>
    join('/ingest', uid, String(attempt), 'files', String(file)),
  fileFinish: (uid: string, attempt: number, file: number) =>
    join('/ingest', uid, String(attempt), 'files', String(file), 'finish'),
  finish: (uid: string, attempt: number) => join('/ingest', uid, String(attempt), 'finish'),
  fail: (uid: string, attempt: number) => join('/ingest', uid, String(attempt), 'fail'),
};

const size = Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const sha256Text = StringOf({ pattern: '^[0-9a-f]{64}$' });

const planRequestSchema = ObjectOf({
  sourceState: StringOf({ pattern: '^[0-9a-f]{16}$' }),
  files: ArrayOf(
    ObjectOf({
      path: StringOf({ minLength: 1, maxLength: 1024 }),
      executable: BooleanOf(),
      sizeBytes: Union([size, Null()]),
      sha256: Union([sha256Text, Null()]),
      validator: Union([StringOf({ maxLength: 1024 }), Null()]),
    }),
    { minItems: 1, maxItems: MAX_FILES },
  ),
});
/** `PUT …/plan`: what is going to come, in byte order of path. */
export type PlanRequest = Static<typeof planRequestSchema>;
/** One file of a plan; `validator` is the source's ETag or Last-Modified: bytes of another are not kept. */
export type PlanFile = PlanRequest['files'][number];

const planResponseSchema = ObjectOf({ files: ArrayOf(ObjectOf({ offset: size, complete: BooleanOf() })) });
/** Answer to a plan: what the agent already has of each file. */
export type PlanResponse = Static<typeof planResponseSchema>;

const offsetResponseSchema = ObjectOf({ offset: size });
/** Answer to `PUT …/files/INDEX?offset=N`: how much of the file the agent now has. */
export type OffsetResponse = Static<typeof offsetResponseSchema>;

/** `POST …/files/INDEX/finish`: the file ends here. */
const fileFinishRequestSchema = ObjectOf({ sizeBytes: size });

const fileFinishResponseSchema = ObjectOf({ sha256: sha256Text });
/** Answer to it: what the agent hashed. */
export type FileFinishResponse = Static<typeof fileFinishResponseSchema>;

const failRequestSchema = ObjectOf({
  reason: StringOf({ minLength: 1, maxLength: 128, pattern: '^[A-Za-z][A-Za-z0-9]*$' }),
  message: StringOf({ maxLength: 4096 }),
});
/** `POST …/fail`: the source cannot be published. */
export type FailRequest = Static<typeof failRequestSchema>;

const ingestStatusSchema = ObjectOf({
  phase: StringOf({ pattern: '^(Reserved|Receiving|Hashing|Published|Failed)$' }),
  reason: Optional(StringOf({ maxLength: 128 })),
  message: Optional(StringOf({ maxLength: 4096 })),
  digest: Optional(StringOf({ maxLength: 71 })),
});
/** Answer to `GET …`: how the publication goes. */
export type IngestStatus = Static<typeof ingestStatusSchema>;

function parser<S extends TSchema>(schema: S, what: string): (value: unknown) => Static<S> {
  return (value) => {
    if (!Check(schema, value))
      throw new ApiError('InvalidRequest', `${what} is not what the ingest protocol says`);
    return value as Static<S>;
  };
}

/** Parsers of the bodies; each throws ApiError InvalidRequest. Paths of a plan are judged by checkPaths. */
export const parseIngest = {
  planRequest: parser(planRequestSchema, 'the plan'),
  planResponse: parser(planResponseSchema, 'the answer to the plan'),
  offsetResponse: parser(offsetResponseSchema, 'the answer to a file'),
  fileFinishRequest: parser(fileFinishRequestSchema, 'the end of a file'),
  fileFinishResponse: parser(fileFinishResponseSchema, 'the answer to the end of a file'),
  failRequest: parser(failRequestSchema, 'the failure'),
  status: parser(ingestStatusSchema, 'the status'),
};

const terminationSchema = ObjectOf({
  reason: StringOf({ minLength: 1, maxLength: 128, pattern: '^[A-Za-z][A-Za-z0-9]*$' }),
  message: StringOf({ maxLength: 4096 }),
});
/** What a publisher that failed leaves as its container's termination message, as JSON. */
export type PublisherTermination = Static<typeof terminationSchema>;

/** A termination message as a publisher left it; undefined when it is something else (an OOM kill, an image). */
export function parseTermination(text: string | undefined): PublisherTermination | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return Check(terminationSchema, value) ? value : undefined;
  } catch {
    return undefined;
  }
}
