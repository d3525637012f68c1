// One request to a web server, with its redirects.
//
// Invariants: the declared headers go to the declared origin and, once a redirect has left it, nowhere any
// more; a URL is only ever shown without its query.
import { type Dispatcher, errors } from 'undici';
import { SourceReason } from '../../api/index.ts';
import { PublishError } from '../errors.ts';

const MAX_REDIRECTS = 10;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Longest wait that a server's Retry-After can ask for. */
const MAX_RETRY_AFTER_MS = 60_000;

/** A request of a file. */
export interface HttpRequest {
  method: 'HEAD' | 'GET';
  url: URL;
  /** Sent to the origin of `url` only. */
  declaredHeaders: Record<string, string>;
  /** Sent everywhere: Range and the like. */
  headers: Record<string, string>;
  /** Longest silence, in milliseconds, before and within an answer; time in which nobody reads does not count. */
  stallMs: number;
  signal: AbortSignal;
}

/** A URL as messages show it: no user, no query, no fragment, and not endless. */
export function shownUrl(url: URL): string {
  const text = `${url.protocol}//${url.host}${url.pathname}`;
  return text.length > 200 ? `${text.slice(0, 197)}...` : text;
}

/** The text of a header that is there once. */
export function headerText(response: Dispatcher.ResponseData, name: string): string | undefined {
  const value = response.headers[name];
  return typeof value === 'string' ? value : undefined;
}

/** Reads away what little is left, so that the connection can be used again, or closes it. */
export async function discard(response: Dispatcher.ResponseData): Promise<void> {
  await response.body.dump({ limit: 16_384 }).catch(() => {
    // The connection broke while nothing more was wanted from it.
  });
}

/** Silence, for either half of an answer. */
export function stallError(url: URL, stallMs: number, cause: unknown): PublishError {
  return new PublishError(
    SourceReason.Stalled,
    `${url.host} sent no byte of ${shownUrl(url)} for ${Math.round(stallMs / 100) / 10} s`,
    { cause, passing: true },
  );
}

/** What a failed connection means. */
function connectionError(error: unknown, url: URL): PublishError {
  for (let cause = error; cause instanceof Error; cause = cause.cause as Error) {
    if (cause instanceof PublishError) return cause;
    if (cause instanceof AggregateError && cause.errors[0] instanceof PublishError) return cause.errors[0];
  }
  const aggregate = error instanceof AggregateError ? (error.errors[0] as NodeJS.ErrnoException) : undefined;
  const code = (error as NodeJS.ErrnoException)?.code ?? aggregate?.code ?? 'unknown error';
  const certificate = /CERT|SIGNATURE|SELF_SIGNED|ERR_TLS|ERR_SSL/.test(code);
  return new PublishError(
    SourceReason.Unreachable,
    certificate
      ? `the certificate of ${url.host} is not trusted (${code}); private authorities must be given to publishers`
      : `no connection to ${url.host} (${code}); its name, port and network policies must let publishers through`,
    { cause: error, passing: !certificate },
  );
}

/** What a status that is no success means. Throws nothing, returns the error. */
export function statusError(response: Dispatcher.ResponseData, url: URL): PublishError {
  const { statusCode } = response;
  const answered = `${shownUrl(url)} answered ${statusCode}`;
  if (statusCode === 404 || statusCode === 410) return new PublishError(SourceReason.NotFound, answered);
  if (statusCode === 401 || statusCode === 403 || statusCode === 407) {
    return new PublishError(
      SourceReason.Unauthorized,
      `${answered}; headersSecretRef must name a Secret with headers that this server accepts`,
    );
  }
  if (statusCode === 408 || statusCode === 425 || statusCode === 429 || statusCode >= 500) {
    const retryAfterMs = Number(headerText(response, 'retry-after')) * 1000;
    return new PublishError(SourceReason.ServerError, answered, {
      passing: true,
      ...(retryAfterMs > 0 ? { retryAfterMs: Math.min(retryAfterMs, MAX_RETRY_AFTER_MS) } : {}),
    });
  }
  return new PublishError(SourceReason.BadResponse, answered);
}

/**
 * The first answer that is no redirect, whatever its status, and the URL that gave it. The caller has to read
 * or discard its body. Throws PublishError when there is no answer, when redirects go on and on, or when one
 * leads to something else than http and https. Addresses are judged by the dispatcher's connector, hop by hop.
 */
export async function request(
  dispatcher: Dispatcher,
  { method, url, declaredHeaders, headers, stallMs, signal }: HttpRequest,
): Promise<{ response: Dispatcher.ResponseData; url: URL }> {
  let current = url;
  let atHome = true;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop += 1) {
    let response: Dispatcher.ResponseData;
    try {
      response = await dispatcher.request({
        method,
        origin: current.origin,
        path: `${current.pathname}${current.search}`,
        headers: {
          'user-agent': 'enxame',
          accept: '*/*',
          ...(atHome ? declaredHeaders : {}),
          ...headers,
          'accept-encoding': 'identity',
        },
        signal,
        headersTimeout: stallMs,
        bodyTimeout: stallMs,
      });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof errors.HeadersTimeoutError) throw stallError(current, stallMs, error);
      throw connectionError(error, current);
    }
    if (!REDIRECTS.has(response.statusCode)) return { response, url: current };

    const location = headerText(response, 'location');
    await discard(response);
    const next = location === undefined ? null : URL.parse(location, current.href);
    if (next === null || (next.protocol !== 'http:' && next.protocol !== 'https:')) {
      throw new PublishError(
        SourceReason.BadResponse,
        `${shownUrl(current)} redirects to something that is no http or https URL`,
      );
    }
    next.username = '';
    next.password = '';
    if (next.origin !== url.origin) atHome = false;
    current = next;
  }
  throw new PublishError(
    SourceReason.BadResponse,
    `${shownUrl(url)} redirects more than ${MAX_REDIRECTS} times`,
  );
}
