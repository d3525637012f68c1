// How often a source is asked again. Passing trouble is met with a few attempts; an attempt that brought
// bytes counts as a fresh start, so that a flaky line gets through and a dead one is given up.
import { SourceReason } from '../api/index.ts';
import { type BackoffBounds, backoffMilliseconds, type Clock, type Logger, sleep } from '../base/index.ts';
import { PublishError } from './errors.ts';
import type { Source, SourceFile } from './sources/source.ts';

/** Attempts in a row without a single byte. Silence already took its time, so it gets fewer. */
const MAX_FAILURES = 5;
const MAX_STALLS = 2;
/** Attempts at one file in all, lest a server that gives a byte at a time keeps us for ever. */
const MAX_ATTEMPTS = 100;

/** When a source that failed is asked again. */
const SOURCE_BACKOFF: BackoffBounds = { firstMilliseconds: 700, maxMilliseconds: 15_000 };

/** What waiting and telling takes. */
export interface RetryContext {
  clock: Clock;
  random: () => number;
  logger: Logger;
  signal: AbortSignal;
}

function allowedFailures(error: PublishError): number {
  return error.code === SourceReason.Stalled ? MAX_STALLS : MAX_FAILURES;
}

function gaveUp(error: PublishError, failures: number): PublishError {
  const suffix = failures > 1 ? `, ${failures} times in a row` : '';
  return new PublishError(error.code, `${error.message}${suffix}`, { cause: error });
}

async function waitBefore(error: PublishError, failures: number, context: RetryContext): Promise<void> {
  const waitMs = Math.max(
    error.retryAfterMs ?? 0,
    backoffMilliseconds(failures, SOURCE_BACKOFF, context.random),
  );
  context.logger.warn(
    { reason: error.code, failures, waitMs: Math.round(waitMs) },
    `${error.message}; trying again`,
  );
  await sleep(context.clock, waitMs, context.signal);
  context.signal.throwIfAborted();
}

/** Runs `attempt` until it succeeds, fails for good, or has failed too often. */
export async function withRetries<T>(context: RetryContext, attempt: () => Promise<T>): Promise<T> {
  for (let failures = 1; ; failures += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (context.signal.aborted || !(error instanceof PublishError) || !error.passing) throw error;
      if (failures >= allowedFailures(error)) throw gaveUp(error, failures);
      await waitBefore(error, failures, context);
    }
  }
}

/**
 * The bytes of a file from `offset` to its end, over as many requests as it takes, none of them asking for a
 * byte again. Throws PublishError; a file that ends before its size is SourceEndedEarly.
 */
export async function* readToEnd(
  source: Source,
  file: SourceFile,
  offset: number,
  context: RetryContext,
): AsyncGenerator<Uint8Array, void, undefined> {
  let position = offset;
  let failures = 0;
  for (let attempts = 1; ; attempts += 1) {
    const before = position;
    let error: PublishError;
    try {
      for await (const chunk of source.open(file, position, context.signal)) {
        position += chunk.length;
        if (file.sizeBytes !== null && position > file.sizeBytes) {
          throw new PublishError(
            SourceReason.Changed,
            `${file.path} has more than the ${file.sizeBytes} bytes that its source stated`,
          );
        }
        yield chunk;
      }
      if (file.sizeBytes === null || position === file.sizeBytes) return;
      error = new PublishError(
        SourceReason.EndedEarly,
        `${file.path} ended after ${position} of ${file.sizeBytes} bytes`,
        { passing: true },
      );
    } catch (thrown) {
      if (context.signal.aborted || !(thrown instanceof PublishError) || !thrown.passing) throw thrown;
      if (file.sizeBytes === null && file.validator === null && position > 0) {
        // Nothing would vouch for a second answer being the same file.
        throw new PublishError(
          thrown.code,
          `${file.path} broke off after ${position} bytes, and its source states neither size nor validator to go on by: ${thrown.message}`,
          { cause: thrown },
        );
      }
      error =
        thrown.code === SourceReason.EndedEarly && file.sizeBytes !== null
          ? new PublishError(
              SourceReason.EndedEarly,
              `${file.path} ended after ${position} of ${file.sizeBytes} bytes: ${thrown.message}`,
              { cause: thrown, passing: true },
            )
          : thrown;
    }
    failures = position > before ? 1 : failures + 1;
    if (failures >= allowedFailures(error) || attempts >= MAX_ATTEMPTS) throw gaveUp(error, failures);
    await waitBefore(error, failures, context);
  }
}
