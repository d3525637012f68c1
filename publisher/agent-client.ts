// The publisher's side of the ingest protocol (api/ingest.ts).
import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import {
  type FailRequest,
  type IngestErrorCode,
  IngestErrorStatus,
  type IngestStatus,
  ingestPath,
  type PlanRequest,
  type PlanResponse,
  parseIngest,
  SourceReason,
} from '../api/index.ts';
import {
  type BackoffBounds,
  backoffMilliseconds,
  type Clock,
  CodedError,
  type Logger,
  sleep,
} from '../base/index.ts';
import { PublishError } from './errors.ts';

/** When an agent that does not answer is asked again. */
export const AGENT_BACKOFF: BackoffBounds = { firstMilliseconds: 700, maxMilliseconds: 5000 };
/** How long the agent may be away, or not know of us yet, before the publisher gives up. */
const PATIENCE_MS = 120_000;
/** The same for the report of a failure, which the termination message repeats. */
const FAIL_PATIENCE_MS = 15_000;
/** How long the agent may take to answer, or to take the next bytes. */
const ANSWER_TIMEOUT_MS = 120_000;
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;

/** The agent answered with an error, or (`code` undefined) did not answer. */
export class AgentError extends CodedError<IngestErrorCode | undefined> {
  override readonly name = 'AgentError';
  /** With OffsetMismatch: where the agent wants to go on. */
  readonly offset: number | undefined;

  constructor(
    code: IngestErrorCode | undefined,
    message: string,
    options?: ErrorOptions & { offset?: number },
  ) {
    super(code, message, options);
    this.offset = options?.offset;
  }

  /**
   * Whether the same call may succeed soon: the agent restarts, its cache has not seen the reservation yet, or
   * the reservation still names the Pod that was here before.
   */
  get passing(): boolean {
    switch (this.code) {
      case 'InvalidRequest':
      case 'SizeLimitExceeded':
      case 'ChecksumMismatch':
      case 'TooManyFiles':
      case 'InsufficientStorage':
        return false;
      default:
        return true;
    }
  }
}

/** What an answer of the agent that no attempt will change means for the publication. */
export function finalError(error: AgentError): PublishError {
  switch (error.code) {
    case 'SizeLimitExceeded':
      return new PublishError(SourceReason.TooLarge, error.message, { cause: error });
    case 'ChecksumMismatch':
      return new PublishError(SourceReason.ChecksumMismatch, error.message, { cause: error });
    case 'TooManyFiles':
    case 'InsufficientStorage':
      return new PublishError(error.code, error.message, { cause: error });
    case 'InvalidRequest':
      return new PublishError(SourceReason.Invalid, error.message, { cause: error });
    default:
      return new PublishError(SourceReason.AgentUnreachable, error.message, { cause: error });
  }
}

/** What the client needs. */
export interface AgentClientOptions {
  /** Base URL of the agent. */
  url: URL;
  uid: string;
  attempt: number;
  /** The token, read anew each time. */
  token: () => Promise<string>;
  dispatcher: Dispatcher;
  clock: Clock;
  random: () => number;
  logger: Logger;
  signal: AbortSignal;
}

/** Calls to the agent. All but `sendFile` wait out passing trouble, up to a deadline, and throw PublishError. */
export interface AgentClient {
  status(): Promise<IngestStatus>;
  plan(request: PlanRequest): Promise<PlanResponse>;
  /** One attempt at streaming a file; throws AgentError, or whatever `body` threw. */
  sendFile(file: number, offset: number, body: AsyncIterable<Uint8Array>): Promise<number>;
  /** The SHA-256 of the file that the agent has. */
  finishFile(file: number, sizeBytes: number): Promise<string>;
  finish(): Promise<void>;
  /** Reports a failure, with little patience. */
  fail(failure: FailRequest): Promise<void>;
}

function parseError(status: number, text: string): AgentError {
  try {
    const value = JSON.parse(text) as { code?: unknown; message?: unknown; offset?: unknown } | null;
    if (typeof value?.code === 'string' && Object.hasOwn(IngestErrorStatus, value.code)) {
      return new AgentError(
        value.code as IngestErrorCode,
        String(value.message ?? value.code).slice(0, 2000),
        {
          ...(Number.isSafeInteger(value.offset) ? { offset: value.offset as number } : {}),
        },
      );
    }
  } catch {
    // Not ours: something between us and the agent answered. Its body is not shown.
  }
  return new AgentError(undefined, `the agent answered ${status}`);
}

/** A client of one publication at one agent. */
export function createAgentClient(options: AgentClientOptions): AgentClient {
  const { url, uid, attempt, dispatcher, clock, logger, signal } = options;

  async function call(
    method: 'GET' | 'PUT' | 'POST',
    path: string,
    body: string | Readable | undefined,
    contentType: string,
  ): Promise<unknown> {
    const ended = new AbortController();
    try {
      const response = await dispatcher.request({
        method,
        origin: url.origin,
        path,
        headers: {
          authorization: `Bearer ${await options.token()}`,
          ...(body === undefined ? {} : { 'content-type': contentType }),
        },
        body,
        signal: AbortSignal.any([signal, ended.signal]),
        headersTimeout: ANSWER_TIMEOUT_MS,
        bodyTimeout: ANSWER_TIMEOUT_MS,
      });
      const length = Number(response.headers['content-length'] ?? 0);
      if (length > MAX_ANSWER_BYTES) throw new AgentError(undefined, 'the answer of the agent is too long');
      const text = await response.body.text();
      if (response.statusCode < 200 || response.statusCode > 299) throw parseError(response.statusCode, text);
      return text === '' ? undefined : JSON.parse(text);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof AgentError) throw error;
      const code = (error as NodeJS.ErrnoException).code ?? (error as Error).name;
      throw new AgentError(undefined, `the agent at ${url.host} does not answer (${code})`, { cause: error });
    } finally {
      // An answer before the end of the body ends the body too.
      ended.abort();
    }
  }

  async function patiently<T>(what: string, waitMs: number, once: () => Promise<T>): Promise<T> {
    const deadline = clock.monotonic() + waitMs;
    for (let failures = 1; ; failures += 1) {
      try {
        return await once();
      } catch (error) {
        if (signal.aborted || !(error instanceof AgentError)) throw error;
        if (!error.passing) throw finalError(error);
        // These do not pass with time; the caller knows what to do about them.
        if (error.code === 'WrongPhase' || error.code === 'OffsetMismatch') throw error;
        const pauseMs = backoffMilliseconds(failures, AGENT_BACKOFF, options.random);
        if (clock.monotonic() + pauseMs > deadline) throw finalError(error);
        logger.info(
          { code: error.code, call: what, waitMs: Math.round(pauseMs) },
          `${error.message}; trying again`,
        );
        await sleep(clock, pauseMs, signal);
        signal.throwIfAborted();
      }
    }
  }

  function json(
    what: string,
    method: 'GET' | 'PUT' | 'POST',
    path: string,
    body?: unknown,
    waitMs = PATIENCE_MS,
  ) {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return patiently(what, waitMs, () => call(method, path, text, 'application/json'));
  }

  return {
    async status() {
      return parseIngest.status(await json('status', 'GET', ingestPath.status(uid, attempt)));
    },
    async plan(request) {
      const answer = parseIngest.planResponse(
        await json('plan', 'PUT', ingestPath.plan(uid, attempt), request),
      );
      if (answer.files.length !== request.files.length) {
        throw new PublishError(
          SourceReason.PublisherFailed,
          'the agent answered a plan with another number of files',
        );
      }
      return answer;
    },
    async sendFile(file, offset, body) {
      let failure: { error: unknown } | undefined;
      let complete = false;
      const watched = async function* () {
        try {
          yield* body;
          complete = true;
        } catch (error) {
          failure = { error };
          throw error;
        }
      };
      const stream = Readable.from(watched(), { objectMode: false, highWaterMark: 256 * 1024 });
      // Its errors reach us through the call and through `failure`.
      stream.on('error', () => {});
      try {
        const path = `${ingestPath.file(uid, attempt, file)}?offset=${offset}`;
        const answer = parseIngest.offsetResponse(
          await call('PUT', path, stream, 'application/octet-stream'),
        );
        if (!complete) throw new AgentError(undefined, 'the agent answered before it had the whole file');
        return answer.offset;
      } catch (error) {
        if (failure !== undefined) throw failure.error;
        throw error;
      } finally {
        stream.destroy();
      }
    },
    async finishFile(file, sizeBytes) {
      const path = ingestPath.fileFinish(uid, attempt, file);
      return parseIngest.fileFinishResponse(await json('finish file', 'POST', path, { sizeBytes })).sha256;
    },
    async finish() {
      await json('finish', 'POST', ingestPath.finish(uid, attempt));
    },
    async fail(failure) {
      await json('fail', 'POST', ingestPath.fail(uid, attempt), failure, FAIL_PATIENCE_MS);
    },
  };
}
