// `enxame publish`: reads the source of one distribution once and streams it to one agent. Runs in the user's
// namespace, without access to the API; what it is to do stands in its environment.
import { readFile, writeFile } from 'node:fs/promises';
import { Agent, type Dispatcher } from 'undici';
import {
  ApiError,
  INGEST_TOKEN_PATH,
  PublisherEnv,
  type PublisherTermination,
  readSourceVariables,
  SourceReason,
  type SourceSpec,
} from '../api/index.ts';
import { type Clock, type Logger, systemClock } from '../base/index.ts';
import { createAddressGuard } from './address-guard.ts';
import { AgentError, createAgentClient } from './agent-client.ts';
import { PublishError } from './errors.ts';
import { publish } from './publish.ts';
import { createGuardedDispatcher, createSource } from './sources/select.ts';

const TERMINATION_LOG_PATH = '/dev/termination-log';
const DEFAULT_STALL_SECONDS = 30;
/** The kubelet keeps 4096 bytes of a termination message. */
const MAX_TERMINATION_BYTES = 4000;

/** What a publisher is told to do. */
export interface PublisherSettings {
  ingestUrl: URL;
  uid: string;
  attempt: number;
  sourceState: string;
  source: SourceSpec;
  sizeLimitBytes?: number;
  deniedCidrs: string[];
  allowedCidrs: string[];
  stallMs: number;
}

/** Reads the environment of a publisher. Throws PublishError that names the variable. */
export function parsePublisherEnv(env: Readonly<Record<string, string | undefined>>): PublisherSettings {
  const wrong = (name: string, what: string) =>
    new PublishError(SourceReason.PublisherFailed, `environment variable ${name} must be ${what}`);
  const matching = (name: string, pattern: RegExp, what: string): string => {
    const value = env[name] ?? '';
    if (!pattern.test(value)) throw wrong(name, what);
    return value;
  };
  const list = (name: string): string[] =>
    (env[name] ?? '')
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');

  const ingestUrl = URL.parse(env[PublisherEnv.IngestUrl] ?? '');
  if (ingestUrl?.protocol !== 'http:') throw wrong(PublisherEnv.IngestUrl, 'an http URL');
  let source: object;
  try {
    source = readSourceVariables(env);
  } catch {
    throw wrong(PublisherEnv.Source, 'spec.source as JSON');
  }
  const sizeLimit = env[PublisherEnv.SizeLimit] ?? '';
  const stallSeconds = Number(env[PublisherEnv.SourceStallSeconds] || DEFAULT_STALL_SECONDS);
  if (!(stallSeconds > 0 && stallSeconds <= 3600)) {
    throw wrong(PublisherEnv.SourceStallSeconds, 'a number of seconds, up to 3600');
  }
  return {
    ingestUrl,
    uid: matching(PublisherEnv.Uid, /^[0-9a-f-]{36}$/, 'the UID of the distribution'),
    attempt: Number(matching(PublisherEnv.Attempt, /^[1-9][0-9]{0,9}$/, 'a number from 1')),
    sourceState: matching(PublisherEnv.SourceState, /^[0-9a-f]{16}$/, '16 hexadecimal digits'),
    source: source as SourceSpec,
    ...(sizeLimit === ''
      ? {}
      : { sizeLimitBytes: Number(matching(PublisherEnv.SizeLimit, /^[0-9]{1,15}$/, 'a number of bytes')) }),
    deniedCidrs: list(PublisherEnv.DeniedCidrs),
    allowedCidrs: list(PublisherEnv.AllowedCidrs),
    stallMs: stallSeconds * 1000,
  };
}

/** What a publisher takes from outside; the parts with a default are for tests. */
export interface PublisherOptions {
  signal: AbortSignal;
  logger: Logger;
  clock?: Clock;
  random?: () => number;
  /** Connections to http sources; without it, guarded ones. */
  sourceDispatcher?: Dispatcher;
  tokenPath?: string;
  terminationLogPath?: string;
  headersMountPath?: string;
  configMapMountPath?: string;
}

function asPublishError(error: unknown): PublishError {
  if (error instanceof PublishError) return error;
  if (error instanceof AgentError || error instanceof ApiError) {
    return new PublishError(SourceReason.AgentUnreachable, error.message, { cause: error });
  }
  // The message of an error we did not make may hold anything; the log has it, the status does not.
  return new PublishError(SourceReason.PublisherFailed, 'the publisher failed; its log says how', {
    cause: error,
  });
}

/**
 * Publishes as the environment says. Returns the exit code: 0 published, 1 failed (reported to the agent where
 * it can be reached, and left as termination message), 2 the environment cannot be used.
 */
export async function runPublisher(
  env: Readonly<Record<string, string | undefined>>,
  options: PublisherOptions,
): Promise<number> {
  const { logger, signal } = options;
  const clock = options.clock ?? systemClock;
  const random = options.random ?? Math.random;
  const terminationLogPath = options.terminationLogPath ?? TERMINATION_LOG_PATH;

  async function leaveTermination(error: PublishError): Promise<void> {
    const termination: PublisherTermination = {
      reason: error.code,
      message: error.message.slice(0, MAX_TERMINATION_BYTES / 4),
    };
    await writeFile(terminationLogPath, JSON.stringify(termination)).catch((cause: unknown) => {
      logger.warn({ err: cause }, 'no termination message could be left');
    });
  }

  let settings: PublisherSettings;
  let dispatcher: Dispatcher;
  try {
    settings = parsePublisherEnv(env);
    dispatcher = options.sourceDispatcher ?? createGuardedDispatcher(createAddressGuard(settings));
  } catch (thrown) {
    const error = asPublishError(thrown);
    logger.error({ err: thrown }, error.message);
    await leaveTermination(error);
    return 2;
  }

  const agentDispatcher = new Agent({ connections: 2, pipelining: 1, allowH2: false });
  const agent = createAgentClient({
    url: settings.ingestUrl,
    uid: settings.uid,
    attempt: settings.attempt,
    token: async () => (await readFile(options.tokenPath ?? INGEST_TOKEN_PATH, 'utf8')).trim(),
    dispatcher: agentDispatcher,
    clock,
    random,
    logger,
    signal,
  });
  try {
    const source = await createSource({
      spec: settings.source,
      dispatcher,
      stallMs: settings.stallMs,
      logger,
      ...(options.headersMountPath === undefined ? {} : { headersMountPath: options.headersMountPath }),
      ...(options.configMapMountPath === undefined ? {} : { configMapMountPath: options.configMapMountPath }),
    });
    const digest = await publish({
      source,
      agent,
      sourceState: settings.sourceState,
      clock,
      random,
      logger,
      signal,
      ...(settings.sizeLimitBytes === undefined ? {} : { sizeLimitBytes: settings.sizeLimitBytes }),
    });
    logger.info({ digest }, 'published');
    return 0;
  } catch (thrown) {
    if (signal.aborted) {
      // Not a failure of the publication: another publisher goes on where this one stopped.
      logger.info({}, 'told to stop; what the agent has stays');
      return 1;
    }
    const error = asPublishError(thrown);
    logger.error({ reason: error.code, err: thrown }, error.message);
    await leaveTermination(error);
    await agent
      .fail({ reason: error.code, message: error.message.slice(0, 4096) })
      .catch((cause: unknown) => {
        logger.warn({ err: cause }, 'the failure could not be reported to the agent');
      });
    return 1;
  } finally {
    await dispatcher.destroy();
    await agentDispatcher.destroy();
  }
}
