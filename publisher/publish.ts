// The pump: source in, agent out, a file at a time in byte order of path.
//
// Invariant: a byte that the agent has is not read again, unless the source changed or the agent lost it.
// Memory stays flat: the agent takes a chunk before the next one is read.
import {
  checkPaths,
  comparePaths,
  formatBytes,
  type IngestStatus,
  type PlanFile,
  SourceReason,
} from '../api/index.ts';
import { backoffMilliseconds, sleep } from '../base/index.ts';
import { AGENT_BACKOFF, type AgentClient, AgentError, finalError } from './agent-client.ts';
import { PublishError, type PublishErrorCode } from './errors.ts';
import { type RetryContext, readToEnd, withRetries } from './retry.ts';
import type { Source, SourceFile } from './sources/source.ts';

/** A source that changes under our hands is resolved anew this often in all. */
const MAX_PLANS = 3;
/** Attempts in a row at giving the agent a file, none of which it took a byte of. */
const MAX_SEND_FAILURES = 8;
const POLL_MS = 1000;
const PROGRESS_LOG_MS = 10_000;

/** What is published, and with what. */
export interface PublishOptions extends RetryContext {
  source: Source;
  agent: AgentClient;
  sourceState: string;
  /** The most bytes there may be. */
  sizeLimitBytes?: number;
}

function tooLarge(bytes: number, limit: number): PublishError {
  return new PublishError(
    SourceReason.TooLarge,
    `the source has at least ${formatBytes(bytes)} (${bytes} bytes), and source.sizeLimit is ${formatBytes(limit)} (${limit} bytes)`,
  );
}

function judgeFiles(files: readonly SourceFile[], sizeLimitBytes: number | undefined): void {
  try {
    checkPaths(files.map(({ path }) => path));
  } catch (error) {
    throw new PublishError(SourceReason.Invalid, (error as Error).message, { cause: error });
  }
  const known = files.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0);
  if (sizeLimitBytes !== undefined && known > sizeLimitBytes) throw tooLarge(known, sizeLimitBytes);
  const unknown = files.find(({ sizeBytes }) => sizeBytes === null);
  if (unknown !== undefined && sizeLimitBytes === undefined) {
    throw new PublishError(
      SourceReason.SizeUnknown,
      `the source does not state the size of ${unknown.path}, so source.sizeLimit must be set`,
    );
  }
}

/** How far all of it is, for limits and for the log. */
class Meter {
  readonly #context: RetryContext;
  readonly #totalBytes: number | null;
  readonly #startedAtMs: number;
  /** Bytes that the agent has or that are on their way to it. */
  #doneBytes = 0;
  /** Bytes read from the source in this run. */
  #readBytes = 0;
  #loggedAtMs: number;

  constructor(context: RetryContext, totalBytes: number | null) {
    this.#context = context;
    this.#totalBytes = totalBytes;
    this.#startedAtMs = context.clock.monotonic();
    this.#loggedAtMs = this.#startedAtMs;
  }

  setDone(bytes: number): void {
    this.#doneBytes = bytes;
  }

  read(bytes: number): void {
    this.#doneBytes += bytes;
    this.#readBytes += bytes;
    const now = this.#context.clock.monotonic();
    if (now - this.#loggedAtMs < PROGRESS_LOG_MS) return;
    this.#loggedAtMs = now;
    this.log('publishing');
  }

  log(message: string): void {
    const seconds = Math.max(0.001, (this.#context.clock.monotonic() - this.#startedAtMs) / 1000);
    this.#context.logger.info(
      {
        doneBytes: this.#doneBytes,
        ...(this.#totalBytes === null ? {} : { totalBytes: this.#totalBytes }),
        readBytes: this.#readBytes,
        bytesPerSecond: Math.round(this.#readBytes / seconds),
      },
      message,
    );
  }
}

async function* metered(
  chunks: AsyncIterable<Uint8Array>,
  meter: Meter,
  /** Bytes that this file may still have, where a limit is set. */
  room: number | undefined,
  sizeLimitBytes: number | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (room !== undefined && sizeLimitBytes !== undefined && bytes > room) {
      throw tooLarge(sizeLimitBytes - room + bytes, sizeLimitBytes);
    }
    meter.read(chunk.length);
    yield chunk;
  }
}

/**
 * What must be equal for the agent to keep bytes that it has. Where a source says nothing by which a change
 * could be seen, at least the size must be, and bytes from before a change that was seen are dropped.
 */
function planValidator(file: SourceFile, plans: number): string {
  return `${file.validator ?? `plan:${plans}`};size:${file.sizeBytes ?? 'unknown'}`;
}

/** Resolves, plans and streams once. Throws PublishError SourceChanged when the source changed meanwhile. */
async function transfer(options: PublishOptions, plans: number): Promise<void> {
  const { source, agent, logger, sizeLimitBytes, clock, random, signal } = options;
  const files = await withRetries(options, () => source.resolve(signal));
  files.sort((a, b) => comparePaths(a.path, b.path));
  judgeFiles(files, sizeLimitBytes);
  const planFiles: PlanFile[] = files.map((file) => ({
    path: file.path,
    executable: file.executable,
    sizeBytes: file.sizeBytes,
    sha256: file.sha256,
    validator: planValidator(file, plans),
  }));
  const sizesKnown = files.every(({ sizeBytes }) => sizeBytes !== null);
  const totalBytes = sizesKnown ? files.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0) : null;
  logger.info({ files: files.length, totalBytes }, 'source resolved');

  const meter = new Meter(options, totalBytes);
  const plan = () => agent.plan({ sourceState: options.sourceState, files: planFiles });
  let held = (await plan()).files;

  for (const [index, file] of files.entries()) {
    let failures = 0;
    while (held[index]?.complete !== true) {
      const offset = held[index]?.offset ?? 0;
      const others = held.reduce((sum, entry, other) => (other === index ? sum : sum + entry.offset), 0);
      meter.setDone(others + offset);
      try {
        let endsAt = offset;
        if (file.sizeBytes === null || offset < file.sizeBytes) {
          const room = sizeLimitBytes === undefined ? undefined : sizeLimitBytes - others - offset;
          const chunks = readToEnd(source, file, offset, options);
          endsAt = await agent.sendFile(index, offset, metered(chunks, meter, room, sizeLimitBytes));
        }
        const sha256 = await agent.finishFile(index, endsAt);
        logger.debug({ path: file.path, sizeBytes: endsAt, sha256 }, 'file published');
        held[index] = { offset: endsAt, complete: true };
      } catch (error) {
        if (signal.aborted || !(error instanceof AgentError)) throw error;
        if (!error.passing) throw finalError(error);
        failures += 1;
        if (failures >= MAX_SEND_FAILURES) throw finalError(error);
        logger.warn(
          { code: error.code, path: file.path, failures },
          `${error.message}; going on where it stopped`,
        );
        await sleep(clock, backoffMilliseconds(failures, AGENT_BACKOFF, random), signal);
        signal.throwIfAborted();
        // The agent may have ended the publication while it could not answer.
        await expectReceiving(agent);
        held = (await plan()).files;
        if ((held[index]?.offset ?? 0) > offset) failures = 0;
      }
    }
  }
  meter.log('source read');
}

function failedAtAgent(status: IngestStatus): PublishError {
  const reasons: readonly string[] = [...Object.values(SourceReason), 'TooManyFiles', 'InsufficientStorage'];
  const known = reasons.includes(status.reason ?? '');
  return new PublishError(
    known ? (status.reason as PublishErrorCode) : SourceReason.PublisherFailed,
    status.message ?? 'the agent ended the publication without a reason',
  );
}

async function expectReceiving(agent: AgentClient): Promise<void> {
  const status = await agent.status();
  if (status.phase === 'Failed') throw failedAtAgent(status);
}

/** Waits until the agent has published or failed. */
async function waitUntilPublished({
  agent,
  clock,
  logger,
  signal,
}: PublishOptions): Promise<string | undefined> {
  for (let phase = ''; ; ) {
    const status = await agent.status();
    if (status.phase === 'Published') return status.digest;
    if (status.phase === 'Failed') throw failedAtAgent(status);
    if (status.phase !== phase) logger.info({ phase: status.phase }, 'waiting for the agent');
    phase = status.phase;
    await sleep(clock, POLL_MS, signal);
    signal.throwIfAborted();
  }
}

/**
 * Publishes and returns the digest of the content. Throws PublishError, or the signal's reason when it aborts.
 * What another publisher of the same attempt already gave the agent is not read again.
 */
export async function publish(options: PublishOptions): Promise<string | undefined> {
  const { agent, logger, signal } = options;
  const { phase } = await agent.status();
  for (let plans = 1; phase === 'Reserved' || phase === 'Receiving'; plans += 1) {
    try {
      await transfer(options, plans);
      await agent.finish();
      break;
    } catch (error) {
      // The answer to an earlier call was lost and the agent is already beyond it; its status says how far.
      if (error instanceof AgentError && error.code === 'WrongPhase') break;
      const changed = error instanceof PublishError && error.code === SourceReason.Changed;
      if (signal.aborted || !changed || plans >= MAX_PLANS) throw error;
      logger.warn({ reason: error.code, plans }, `${error.message}; resolving it anew`);
    }
  }
  return await waitUntilPublished(options);
}
