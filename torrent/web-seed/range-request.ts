// One range of one file over HTTP. Invariant: it hands out exactly the bytes asked for, in order, or fails within its
// time with a TorrentError; nothing that a server sends is kept beyond one chunk.
import { types } from 'node:util';
import type { Dispatcher } from 'undici';
import { TorrentError } from '../errors.ts';
import type { FileSpan } from './urls.ts';

const MAX_REDIRECTS = 3;
/** A server without ranges gives the file from its start: so much of it is read for nothing at most. */
const MAX_SKIPPED_BYTES = 1024 * 1024;

/** Longest `Retry-After` that is obeyed, in seconds. */
const MAX_RETRY_AFTER_SECONDS = 60 * 60;

/** Loaded when a web seed is first used: most torrents have none, and every start would wait for it. */
async function defaultDispatcher(): Promise<Dispatcher> {
  const { webSeedDispatcher } = await import('./http-agent.ts');
  return webSeedDispatcher;
}

/** Statuses that tell of the one file that was asked for. */
const FILE_STATUSES: readonly number[] = [403, 404, 410, 451];
/** Statuses below 500 that tell of the server. */
const BUSY_STATUSES: readonly number[] = [408, 425, 429];

function scopeOf(status: number): FailureScope {
  if (FILE_STATUSES.includes(status)) return 'file';
  return status >= 500 || BUSY_STATUSES.includes(status) ? 'server' : 'way';
}

/** What a failure tells of: the server, the file, or a way of the server that shows in one file and may in others. */
export type FailureScope = 'server' | 'file' | 'way';

/** A failure, in words that follow the name of the server. */
export class WebSeedFailure extends TorrentError {
  readonly scope: FailureScope;
  /** Where the server said when to come back. */
  readonly retryInSeconds: number | undefined;

  constructor(
    message: string,
    options: { cause?: unknown; scope?: FailureScope; retryInSeconds?: number } = {},
  ) {
    super('WebSeedFailed', message, options);
    this.scope = options.scope ?? 'server';
    this.retryInSeconds = options.retryInSeconds;
  }
}

/** In seconds or as a date (RFC 9110), which counts from the server's own. */
function readRetryAfter({
  'retry-after': value,
  date,
}: Dispatcher.ResponseData['headers']): number | undefined {
  if (typeof value !== 'string') return undefined;
  const isSeconds = /^[0-9]{1,9}$/.test(value);
  const seconds = isSeconds ? Number(value) : (Date.parse(value) - Date.parse(String(date))) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.min(Math.max(seconds, 0), MAX_RETRY_AFTER_SECONDS);
}

/** Bytes before the ones we want. */
function skippedBytes(reply: Dispatcher.ResponseData, span: FileSpan): number {
  const { statusCode, headers } = reply;
  if (statusCode !== 206 && statusCode !== 200) {
    const retryInSeconds = readRetryAfter(headers);
    throw new WebSeedFailure(`answers HTTP ${statusCode}`, { scope: scopeOf(statusCode), retryInSeconds });
  }
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity')
    throw new WebSeedFailure('sends compressed bytes', { scope: 'way' });
  if (statusCode === 206) {
    const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(String(headers['content-range']));
    const [start, end, total] = [Number(match?.[1]), Number(match?.[2]), match?.[3]];
    const isAsked = start === span.start && end + 1 >= span.start + span.length;
    // The length first: what a shorter file has of a range is another one.
    if (total !== undefined && total !== '*' && Number(total) !== span.fileBytes)
      throw new WebSeedFailure(`has ${total} bytes instead of ${span.fileBytes}`, { scope: 'file' });
    if (!isAsked) throw new WebSeedFailure('gives another range', { scope: 'way' });
    return 0;
  }
  const length = headers['content-length'];
  if (length !== undefined && Number(length) !== span.fileBytes)
    throw new WebSeedFailure(`has ${length} bytes instead of ${span.fileBytes}`, { scope: 'file' });
  if (span.start > MAX_SKIPPED_BYTES)
    throw new WebSeedFailure(`gives no ranges beyond ${MAX_SKIPPED_BYTES >> 20} MiB`, { scope: 'way' });
  return span.start;
}

/** The authorization that a URL names: for its own origin alone. */
function authorization({ username, password }: URL): Record<string, string> {
  if (username === '' && password === '') return {};
  const pair = [username, password].map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  return { authorization: `Basic ${Buffer.from(pair.join(':')).toString('base64')}` };
}

async function open(span: FileSpan, signal: AbortSignal, dispatcher: Dispatcher) {
  const first = new URL(span.url ?? '');
  let url = first;
  for (let redirects = 0; ; redirects++) {
    const reply = await dispatcher.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: 'GET',
      headers: {
        'user-agent': 'enxame',
        'accept-encoding': 'identity',
        ...(url.origin === first.origin ? authorization(first) : {}),
        range: `bytes=${span.start}-${span.start + span.length - 1}`,
      },
      signal,
    });
    const { location } = reply.headers;
    if (reply.statusCode < 300 || reply.statusCode >= 400 || typeof location !== 'string') {
      return reply;
    }
    reply.body.on('error', () => undefined).destroy();
    const target = URL.canParse(location, url.href) ? new URL(location, url.href) : undefined;
    const isHttp = target?.protocol === 'http:' || target?.protocol === 'https:';
    if (target === undefined || !isHttp || redirects === MAX_REDIRECTS) {
      throw new WebSeedFailure('redirects in a circle or to what is no web server', { scope: 'way' });
    }
    url = target;
  }
}

/**
 * Reads a span; the chunks are valid until the next one is asked for.
 * @throws WebSeedFailure
 */
export async function* readSpan(
  span: FileSpan,
  signal: AbortSignal,
  dispatcher?: Dispatcher,
): AsyncGenerator<Buffer> {
  try {
    const reply = await open(span, signal, dispatcher ?? (await defaultDispatcher()));
    // Whoever stops reading destroys the body, which is an error to nobody.
    reply.body.on('error', () => undefined);
    try {
      let skip = skippedBytes(reply, span);
      let left = span.length;
      for await (const chunk of reply.body as AsyncIterable<Buffer>) {
        const wanted = chunk.subarray(Math.min(skip, chunk.length)).subarray(0, left);
        skip = Math.max(0, skip - chunk.length);
        left -= wanted.length;
        if (wanted.length > 0) yield wanted;
        if (left === 0) return;
      }
      throw new WebSeedFailure(`ends ${left} bytes early`);
    } finally {
      reply.body.destroy();
    }
  } catch (cause) {
    if (cause instanceof WebSeedFailure) throw cause;
    const reason = types.isNativeError(cause) ? cause.message : String(cause);
    throw new WebSeedFailure(`gives no answer: ${reason}`, { cause });
  }
}
