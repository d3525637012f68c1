// The one error class of this room. Invariant: whatever the API server or the way to it does to a call ends as
// a KubeError; callers branch on its code and reason and never read its message.
import { CodedError } from '../base/index.ts';

/** `code` of an error that no answer of the API server caused: not reached, timed out, cut short. */
export const NO_ANSWER = 0;

/** A call that did not succeed. */
export class KubeError extends CodedError<number> {
  override readonly name = 'KubeError';
  /** The Status' reason (`NotFound`, `Conflict`, `Expired` …), or `Unreachable`, `Timeout`, `InvalidAnswer`. */
  readonly reason: string;
  /** How long the server asks to wait before the next try. */
  readonly retryAfterSeconds: number | undefined;
  /** Reasons of the Status' causes, such as `NamespaceTerminating`. */
  readonly causes: readonly string[];

  /** @param code HTTP status, or NO_ANSWER */
  constructor(
    code: number,
    reason: string,
    message: string,
    options: { cause?: unknown; retryAfterSeconds?: number; causes?: readonly string[] } = {},
  ) {
    super(code, message, options.cause === undefined ? {} : { cause: options.cause });
    this.reason = reason;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.causes = options.causes ?? [];
  }
}

const has = (error: unknown, code: number) => error instanceof KubeError && error.code === code;

/** The object, or the kind, does not exist. */
export const isNotFound = (error: unknown): boolean => has(error, 404);

/** An object of that name is there already. */
export const isAlreadyExists = (error: unknown): boolean =>
  has(error, 409) && (error as KubeError).reason === 'AlreadyExists';

/** Somebody wrote in between, or the object is not the one that was meant. */
export const isConflict = (error: unknown): boolean =>
  has(error, 409) && (error as KubeError).reason !== 'AlreadyExists';

/** The object breaks its schema, a rule of it, or an admission policy. */
export const isInvalid = (error: unknown): boolean => has(error, 422);

/** The resource version or the continue token is older than what the server still knows. */
export const isExpired = (error: unknown): boolean => has(error, 410);

/** The namespace is being deleted: nothing can be made in it any more. */
export const isNamespaceEnding = (error: unknown): boolean =>
  has(error, 403) && (error as KubeError).causes.includes('NamespaceTerminating');

interface StatusBody {
  kind?: unknown;
  code?: unknown;
  reason?: unknown;
  message?: unknown;
  details?: { retryAfterSeconds?: unknown; causes?: unknown };
}

/**
 * The error that a Status object tells of (API conventions, "Response Status Kind").
 *
 * @param body what the server sent; anything but a Status is quoted, shortened
 * @param httpCode taken where the Status has no code
 * @param retryAfter value of the Retry-After header, in seconds
 */
export function errorOfStatus(body: unknown, httpCode: number, retryAfter?: string | undefined): KubeError {
  const status = (typeof body === 'object' && body !== null ? body : {}) as StatusBody;
  const isStatus = status.kind === 'Status';
  const code = isStatus && typeof status.code === 'number' ? status.code : httpCode;
  const reason = isStatus && typeof status.reason === 'string' ? status.reason : `Http${code}`;
  const text = isStatus && typeof status.message === 'string' ? status.message : quoted(body);
  const asked = Number(status.details?.retryAfterSeconds ?? retryAfter);
  return new KubeError(code, reason, text === '' ? `the API server answered ${code}` : text, {
    ...(Number.isFinite(asked) && asked > 0 ? { retryAfterSeconds: asked } : {}),
    causes: causesOf(status),
  });
}

function causesOf({ details }: StatusBody): string[] {
  const causes: unknown[] = Array.isArray(details?.causes) ? details.causes : [];
  return causes.flatMap((cause) => {
    const { reason } = (typeof cause === 'object' && cause !== null ? cause : {}) as { reason?: unknown };
    return typeof reason === 'string' ? [reason] : [];
  });
}

function quoted(body: unknown): string {
  const text = typeof body === 'string' ? body : (JSON.stringify(body) ?? '');
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}
