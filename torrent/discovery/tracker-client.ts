// One announce to one HTTP tracker (BEP 3, 7, 23). Invariant: whatever answers, an announce ends within its time,
// reads at most 1 MiB (also of what that decompresses to), follows at most 3 redirects, and is a reply, a refusal
// or a TorrentError.
import type { Agent, IncomingMessage } from 'node:http';
import { promisify, types } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { TorrentError } from '../errors.ts';
import {
  type AnnounceRefusal,
  type AnnounceReply,
  MAX_REPLY_BYTES,
  parseAnnounceReply,
} from './announce-reply.ts';
import type { TransferTotals } from './discovery.ts';
import { get } from './http-get.ts';
import { CLIENT_WORD } from './own-client.ts';
import { percentEncode } from './percent.ts';

/** Redirects that are followed. */
const MAX_REDIRECTS = 3;

/** Time for one announce, redirects included. */
const ANNOUNCE_TIMEOUT_MILLISECONDS = 15_000;

/** Longest `Retry-After` that is obeyed, in seconds. */
const MAX_RETRY_AFTER_SECONDS = 60 * 60;

/** What an announce tells. */
export interface AnnounceRequest {
  /** The tracker's announce URL; a query in it is kept. */
  url: string;
  /** 20 bytes each. */
  infoHash: Uint8Array;
  peerId: Uint8Array;
  /** Where we listen. */
  port: number;
  /** The address to announce from: trackers tell others the one they see. The system chooses where it is undefined. */
  localAddress?: string | undefined;
  totals: TransferTotals;
  event?: 'started' | 'completed' | 'stopped';
  /** Peers wanted. */
  numwant: number;
  /** Proves that it is us, should our address change (BEP 7). */
  key: string;
  trackerId?: Uint8Array;
  /** Further parameters of the query. */
  parameters?: Readonly<Record<string, string>>;
  /** Sent to the tracker's own origin only, dropped on redirects elsewhere. */
  headers?: Readonly<Record<string, string>>;
}

/** Speaks to trackers of one kind; a client for UDP trackers (BEP 15) has the same shape. */
export interface TrackerClient {
  /**
   * Makes one announce.
   * @throws TorrentError TrackerUnreachable or InvalidTrackerReply.
   */
  announce(request: AnnounceRequest, signal: AbortSignal): Promise<AnnounceReply | AnnounceRefusal>;
}

/** The URL of an announce. Info hash and peer id are encoded byte by byte. */
export function announceUrl(request: AnnounceRequest): URL {
  let url: URL;
  try {
    url = new URL(request.url);
  } catch (cause) {
    throw new TorrentError('TrackerUnreachable', `${JSON.stringify(request.url)} is not a URL`, { cause });
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new TorrentError('TrackerUnreachable', `trackers of the kind ${url.protocol} are not supported`);
  }
  const { totals } = request;
  const parts = [
    `info_hash=${percentEncode(request.infoHash)}`,
    `peer_id=${percentEncode(request.peerId)}`,
    `port=${request.port}`,
    `uploaded=${totals.uploaded}`,
    `downloaded=${totals.downloaded}`,
    `left=${totals.left}`,
    `key=${encodeURIComponent(request.key)}`,
    `numwant=${request.numwant}`,
    'compact=1',
    'no_peer_id=1',
    CLIENT_WORD,
  ];
  if (request.event !== undefined) parts.push(`event=${request.event}`);
  if (request.trackerId !== undefined) parts.push(`trackerid=${percentEncode(request.trackerId)}`);
  for (const [name, value] of Object.entries(request.parameters ?? {})) {
    parts.push(`${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  }
  url.hash = '';
  url.search = url.search === '' ? parts.join('&') : `${url.search}&${parts.join('&')}`;
  return url;
}

/** Options of the HTTP client, all for tests and special networks. */
export interface HttpTrackerClientOptions {
  /** Makes the connections: the seam for proxies and private certificate authorities. */
  agent?: Agent;
  timeoutMilliseconds?: number;
}

/** Announces over HTTP and HTTPS. */
export class HttpTrackerClient implements TrackerClient {
  readonly #agent: Agent | undefined;
  readonly #timeoutMilliseconds: number;

  constructor(options: HttpTrackerClientOptions = {}) {
    this.#agent = options.agent;
    this.#timeoutMilliseconds = options.timeoutMilliseconds ?? ANNOUNCE_TIMEOUT_MILLISECONDS;
  }

  async announce(request: AnnounceRequest, signal: AbortSignal): Promise<AnnounceReply | AnnounceRefusal> {
    const url = announceUrl(request);
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(this.#timeoutMilliseconds)]);
    try {
      return await this.#follow(url, request, bounded);
    } catch (cause) {
      if (cause instanceof TorrentError) throw cause;
      const reason = types.isNativeError(cause) ? cause.message : String(cause);
      // The query says who we are and may hold a passkey: it is no matter for a message.
      const to = request.localAddress === undefined ? '' : ` to ${request.localAddress}`;
      throw new TorrentError('TrackerUnreachable', `${url.origin} gives no answer${to}: ${reason}`, {
        cause,
      });
    }
  }

  async #follow(
    first: URL,
    { headers = {}, localAddress }: AnnounceRequest,
    signal: AbortSignal,
  ): Promise<AnnounceReply | AnnounceRefusal> {
    let url = first;
    for (let redirects = 0; ; redirects++) {
      const reply = await get(url, {
        // Ask for no compression: a compressed answer is read all the same, within the same bound.
        headers: {
          'user-agent': 'enxame',
          accept: 'text/plain, */*',
          'accept-encoding': 'identity',
          ...(url.origin === first.origin ? headers : {}),
        },
        agent: this.#agent,
        localAddress,
        signal,
      });
      const { location } = reply.headers;
      if (isRedirect(reply.statusCode) && location !== undefined) {
        // Nobody wants to know what was behind a redirect, nor that it was not read.
        reply.on('error', () => undefined).destroy();
        if (redirects === MAX_REDIRECTS) {
          throw new TorrentError(
            'InvalidTrackerReply',
            `${first.origin} redirects more than ${MAX_REDIRECTS} times`,
          );
        }
        url = redirectTarget(location, url);
        continue;
      }
      return await readReply(url, reply);
    }
  }
}

const isRedirect = (status = 0) => status >= 300 && status < 400;

function redirectTarget(location: string, from: URL): URL {
  if (!URL.canParse(location, from.href)) {
    throw new TorrentError('InvalidTrackerReply', `${from.origin} redirects to what is not a URL`);
  }
  const target = new URL(location, from.href);
  if (target.protocol === 'http:' || target.protocol === 'https:') return target;
  throw new TorrentError(
    'InvalidTrackerReply',
    `${from.origin} redirects to ${target.protocol}, which is no HTTP`,
  );
}

/** A body up to the bound; what is longer is given up, and its connection with it. */
async function readBody(url: URL, reply: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of reply as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_REPLY_BYTES) {
      throw new TorrentError('InvalidTrackerReply', `${url.origin} sends more than ${MAX_REPLY_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const decoders: { [encoding: string]: ((bytes: Buffer) => Promise<Buffer>) | undefined } = {
  gzip: (bytes) => promisify(gunzip)(bytes, { maxOutputLength: MAX_REPLY_BYTES }),
  'x-gzip': (bytes) => promisify(gunzip)(bytes, { maxOutputLength: MAX_REPLY_BYTES }),
  deflate: (bytes) => promisify(inflate)(bytes, { maxOutputLength: MAX_REPLY_BYTES }),
};

async function decompress(url: URL, body: Buffer, encoding: unknown): Promise<Buffer> {
  if (encoding === undefined || encoding === 'identity' || encoding === '') return body;
  const decode =
    typeof encoding === 'string' && Object.hasOwn(decoders, encoding) ? decoders[encoding] : undefined;
  if (decode === undefined) {
    throw new TorrentError('InvalidTrackerReply', `${url.origin} sends an unknown compression`);
  }
  try {
    return await decode(body);
  } catch (cause) {
    throw new TorrentError(
      'InvalidTrackerReply',
      `${url.origin} sends a compressed reply that is broken or too long`,
      {
        cause,
      },
    );
  }
}

async function readReply(url: URL, reply: IncomingMessage): Promise<AnnounceReply | AnnounceRefusal> {
  const body = await decompress(url, await readBody(url, reply), reply.headers['content-encoding']);
  const { statusCode = 0 } = reply;
  if (statusCode >= 200 && statusCode < 300) return parseAnnounceReply(body);

  const status = `${url.origin} answers HTTP ${statusCode}`;
  const retryInSeconds = readRetryAfter(reply.headers['retry-after']);
  try {
    // Some trackers put a status on their refusals.
    const parsed = parseAnnounceReply(body);
    if (parsed.kind === 'refusal')
      return { ...parsed, retryInSeconds: parsed.retryInSeconds ?? retryInSeconds };
  } catch {
    // An error page is what one expects here; the status says it all.
  }
  if (retryInSeconds !== undefined) return { kind: 'refusal', reason: status, retryInSeconds };
  throw new TorrentError('TrackerUnreachable', status);
}

function readRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined || !/^[0-9]{1,6}$/.test(value)) return undefined;
  return Math.min(Number(value), MAX_RETRY_AFTER_SECONDS);
}
