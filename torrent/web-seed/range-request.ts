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

/** A failure; `retryInSeconds` where the server said when to come back. */
export class WebSeedFailure extends TorrentError {
  readonly retryInSeconds: number | undefined;

  constructor(message: string, options: { cause?: unknown; retryInSeconds?: number } = {}) {
    super('WebSeedFailed', message, options);
    this.retryInSeconds = options.retryInSeconds;
  }
}

function readRetryAfter(value: string | string[] | undefined): number | undefined {
  if (typeof value !== 'string' || !/^[0-9]{1,6}$/.test(value)) return undefined;
  return Math.min(Number(value), MAX_RETRY_AFTER_SECONDS);
}

/** Bytes before the ones we want. */
function skippedBytes(origin: string, reply: Dispatcher.ResponseData, span: FileSpan): number {
  const encoding = reply.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new WebSeedFailure(`${origin} compresses what was asked for as it is`);
  }
  if (reply.statusCode === 206) {
    const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(String(reply.headers['content-range']));
    const [start, end, total] = [Number(match?.[1]), Number(match?.[2]), match?.[3]];
    const isAsked = start === span.start && end + 1 >= span.start + span.length;
    if (!isAsked) throw new WebSeedFailure(`${origin} gives another range than the one asked for`);
    if (total !== '*' && Number(total) !== span.fileBytes) {
      throw new WebSeedFailure(`${origin} has a file of ${total} bytes instead of ${span.fileBytes}`);
    }
    return 0;
  }
  if (reply.statusCode !== 200) {
    const retryInSeconds = readRetryAfter(reply.headers['retry-after']);
    throw new WebSeedFailure(`${origin} answers HTTP ${reply.statusCode}`, { retryInSeconds });
  }
  const length = reply.headers['content-length'];
  if (length !== undefined && Number(length) !== span.fileBytes) {
    throw new WebSeedFailure(`${origin} has a file of ${length} bytes instead of ${span.fileBytes}`);
  }
  if (span.start > MAX_SKIPPED_BYTES) throw new WebSeedFailure(`${origin} knows no ranges`);
  return span.start;
}

async function open(span: FileSpan, signal: AbortSignal, dispatcher: Dispatcher) {
  let url = new URL(span.url ?? '');
  for (let redirects = 0; ; redirects++) {
    const reply = await dispatcher.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: 'GET',
      headers: {
        'user-agent': 'enxame',
        'accept-encoding': 'identity',
        range: `bytes=${span.start}-${span.start + span.length - 1}`,
      },
      signal,
    });
    const { location } = reply.headers;
    if (reply.statusCode < 300 || reply.statusCode >= 400 || typeof location !== 'string') {
      return { origin: url.origin, reply };
    }
    reply.body.on('error', () => undefined).destroy();
    const target = URL.canParse(location, url.href) ? new URL(location, url.href) : undefined;
    const isHttp = target?.protocol === 'http:' || target?.protocol === 'https:';
    if (target === undefined || !isHttp || redirects === MAX_REDIRECTS) {
      throw new WebSeedFailure(`${url.origin} redirects in a circle, or to what is no web server`);
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
    const { origin, reply } = await open(span, signal, dispatcher ?? (await defaultDispatcher()));
    // Whoever stops reading destroys the body, which is an error to nobody.
    reply.body.on('error', () => undefined);
    try {
      let skip = skippedBytes(origin, reply, span);
      let left = span.length;
      for await (const chunk of reply.body as AsyncIterable<Buffer>) {
        const wanted = chunk.subarray(Math.min(skip, chunk.length)).subarray(0, left);
        skip = Math.max(0, skip - chunk.length);
        left -= wanted.length;
        if (wanted.length > 0) yield wanted;
        if (left === 0) return;
      }
      throw new WebSeedFailure(`${origin} ends ${left} bytes early`);
    } finally {
      reply.body.destroy();
    }
  } catch (cause) {
    if (cause instanceof WebSeedFailure) throw cause;
    const reason = types.isNativeError(cause) ? cause.message : String(cause);
    throw new WebSeedFailure(`a web seed gives no answer: ${reason}`, { cause });
  }
}
