// Requests to the API server over HTTPS. Invariant: every request ends, with an answer or a KubeError, within
// its time; a watch's body may last, but not be silent for longer than it is told.
import { Agent, type Dispatcher } from 'undici';
import type { Logger } from '../base/index.ts';
import type { ApiAccess } from './access.ts';
import { errorOfStatus, KubeError, NO_ANSWER } from './errors.ts';

/** A request, its path relative to the server's address. */
export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: { readonly [name: string]: string | number | boolean | undefined };
  readonly body?: unknown;
  /** Defaults to JSON. */
  readonly contentType?: string;
  /** The whole call, headers and body. */
  readonly timeoutMilliseconds?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Answers greater than this are not read: no list page of ours comes near it. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;
const DEFAULT_TIMEOUT_MILLISECONDS = 30_000;
const CONNECT_TIMEOUT_MILLISECONDS = 10_000;
/** Shorter than any load balancer drops an idle connection after. */
const KEEP_ALIVE_MILLISECONDS = 30_000;

export class Transport {
  readonly #access: ApiAccess;
  readonly #userAgent: string;
  readonly #logger: Logger;
  #pool: Promise<{ url: string; dispatcher: Agent }> | undefined;
  #isClosed = false;

  constructor(access: ApiAccess, options: { userAgent: string; logger: Logger }) {
    this.#access = access;
    this.#userAgent = options.userAgent;
    this.#logger = options.logger;
  }

  #open(): Promise<{ url: string; dispatcher: Agent }> {
    this.#pool ??= this.#access.endpoint().then(
      ({ url, tls }) => ({
        url,
        dispatcher: new Agent({
          connect: { ...tls, timeout: CONNECT_TIMEOUT_MILLISECONDS },
          keepAliveTimeout: KEEP_ALIVE_MILLISECONDS,
          pipelining: 1,
        }),
      }),
      (error: unknown) => {
        this.#pool = undefined;
        throw error;
      },
    );
    return this.#pool;
  }

  /** Drops the pool after a failed handshake: the authority that signs the server may have been replaced. */
  async #reopenIfUntrusted(error: unknown): Promise<void> {
    const code = String((error as { code?: unknown } | null)?.code ?? '');
    if (!/CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS|ERR_SSL/.test(code) || this.#pool === undefined) return;
    const { dispatcher } = await this.#pool;
    this.#pool = undefined;
    this.#logger.warn({ code }, 'the API server is not trusted; its authority is read anew');
    await dispatcher.destroy();
  }

  /**
   * Makes a request and reads its answer.
   *
   * @returns the parsed JSON body
   * @throws KubeError
   */
  async json(request: KubeRequest): Promise<unknown> {
    const { timeoutMilliseconds = DEFAULT_TIMEOUT_MILLISECONDS } = request;
    const deadline = AbortSignal.timeout(timeoutMilliseconds);
    const signal = request.signal === undefined ? deadline : AbortSignal.any([deadline, request.signal]);
    try {
      const answer = await this.#send(request, signal, timeoutMilliseconds);
      return await readAnswer(answer);
    } catch (error) {
      throw this.#failure(error, request, deadline.aborted ? timeoutMilliseconds : undefined);
    }
  }

  /**
   * Opens a watch and gives its body.
   *
   * @param idleMilliseconds the body fails with a Timeout after such a silence
   * @throws KubeError, also while the body is read
   */
  async *stream(request: KubeRequest, idleMilliseconds: number): AsyncGenerator<Uint8Array, void> {
    const ended = new AbortController();
    const signal = AbortSignal.any([ended.signal, ...(request.signal === undefined ? [] : [request.signal])]);
    let body: Dispatcher.ResponseData['body'] | undefined;
    try {
      const answer = await this.#send(request, signal, idleMilliseconds);
      if (answer.statusCode !== 200) await readAnswer(answer);
      body = answer.body;
      for await (const chunk of body) yield chunk as Uint8Array;
    } catch (error) {
      throw this.#failure(error, request, undefined);
    } finally {
      // The consumer may have left early: the connection is of no more use.
      body?.on('error', () => {});
      ended.abort();
    }
  }

  async #send(
    { method, path, query = {}, body, contentType = 'application/json' }: KubeRequest,
    signal: AbortSignal,
    silenceMilliseconds: number,
  ): Promise<Dispatcher.ResponseData> {
    if (this.#isClosed) throw new KubeError(NO_ANSWER, 'Closed', 'this client was closed');
    const { url, dispatcher } = await this.#open();
    const address = new URL(`${url}${path}`);
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) address.searchParams.set(name, String(value));
    const credentials = await this.#access.credentials();
    try {
      return await dispatcher.request({
        origin: address.origin,
        path: `${address.pathname}${address.search}`,
        method,
        signal,
        headersTimeout: silenceMilliseconds,
        bodyTimeout: silenceMilliseconds,
        headers: {
          ...credentials,
          accept: 'application/json',
          'user-agent': this.#userAgent,
          ...(body === undefined ? {} : { 'content-type': contentType }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (error) {
      await this.#reopenIfUntrusted(error);
      throw error;
    }
  }

  #failure(error: unknown, request: KubeRequest, timedOutAfter: number | undefined): unknown {
    if (error instanceof KubeError || request.signal?.aborted) return error;
    const what = `${request.method} ${request.path}`;
    if (timedOutAfter !== undefined) {
      const message = `${what}: no answer within ${timedOutAfter / 1000} s`;
      return new KubeError(NO_ANSWER, 'Timeout', message, { cause: error });
    }
    const { code, message } = error as { code?: string; message?: string };
    const isTimeout = code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT';
    return new KubeError(
      NO_ANSWER,
      isTimeout ? 'Timeout' : 'Unreachable',
      `${what}: the API server cannot be reached (${message || code || 'no reason given'})`,
      { cause: error },
    );
  }

  /** Ends all connections; watches end with them. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const pool = await this.#pool?.catch(() => undefined);
    await pool?.dispatcher.destroy();
  }
}

async function readAnswer({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES)
      throw new KubeError(statusCode, 'InvalidAnswer', `the answer has more than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (statusCode < 300)
      throw new KubeError(statusCode, 'InvalidAnswer', `the answer is not JSON: ${text.slice(0, 100)}`, {
        cause: error,
      });
    value = text;
  }
  if (statusCode >= 200 && statusCode < 300) return value;
  const retryAfter = headers['retry-after'];
  throw errorOfStatus(value, statusCode, Array.isArray(retryAfter) ? retryAfter[0] : retryAfter);
}
