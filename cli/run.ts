/**
 * Runs one long-lived program (agent, operator, tracker, publisher, wait) from its first line to its exit code.
 * SIGTERM, SIGINT and SIGHUP ask it to end gracefully; a second signal ends the process at once. The process ends when
 * the program's promise does and all that it printed has left, whatever timers or sockets it left behind.
 */
import { pino } from 'pino';
import { EXIT_FAILURE, EXIT_USAGE, inOneLine, UsageError } from './errors.ts';
import { FORWARDED_SIGNAL } from './newer-node.ts';
import { guardOutput, outputDrained } from './terminal/output.ts';
import { VERSION } from './version.ts';

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'];
/** A shell's exit code for a process that a signal ended is 128 and the signal's number. */
const SIGNAL_EXIT_CODES = { SIGTERM: 143, SIGINT: 130, SIGHUP: 129 };

/** Any time will do: the timer only has to be there. */
const KEEP_RUNNING_MILLISECONDS = 3_600_000;

/** What a program is given. */
export interface ProgramContext {
  readonly env: NodeJS.ProcessEnv;
  /** Aborts when the program shall end gracefully. */
  readonly signal: AbortSignal;
  readonly logger: pino.Logger;
}

/** A program; resolves with its exit code. */
export type Program = (context: ProgramContext) => Promise<number>;

/**
 * The logger of a program: JSON lines, level by ENXAME_LOG_LEVEL (info, or none for a quiet one).
 *
 * @throws UsageError if the level is none of pino's
 */
function programLogger(name: string, env: NodeJS.ProcessEnv, { logTo, quiet }: RunOptions): pino.Logger {
  const level = env.ENXAME_LOG_LEVEL || (quiet ? 'silent' : 'info');
  if (!LOG_LEVELS.includes(level))
    throw new UsageError(`ENXAME_LOG_LEVEL is '${level}'; it must be one of ${LOG_LEVELS.join(', ')}`);
  return pino(
    {
      level,
      base: { program: name, version: VERSION },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    // Synchronous: the last lines before an exit are the ones that matter, and there are few.
    pino.destination({ dest: logTo === 'stderr' ? 2 : 1, sync: true }),
  );
}

/** How a program is run. */
export interface RunOptions {
  /** Where log lines go; stderr where stdout carries the command's own output. */
  readonly logTo?: 'stdout' | 'stderr';
  /**
   * A person reads what the program prints: nothing is logged unless ENXAME_LOG_LEVEL says so, what ends the program
   * is one line, and a reader that goes away (`enxame inspect … | head`) ends it without a word (see output.ts).
   */
  readonly quiet?: boolean;
}

/** Ends the process once all that it printed has left; with 1 if that could not be written. */
async function exit(code: number): Promise<never> {
  await outputDrained();
  process.exit(process.exitCode ?? code);
}

/** Runs a program and ends the process with its exit code. */
export async function runProgram(name: string, program: Program, options: RunOptions = {}): Promise<never> {
  const controller = new AbortController();
  // A promise alone does not keep Node running: a program that waits for nothing but a timer of its own, which
  // may be one that does not count, would end in the middle.
  setInterval(() => {}, KEEP_RUNNING_MILLISECONDS);
  let exitCode: number | undefined;
  try {
    const logger = programLogger(name, process.env, options);
    const end = (signal: string) => {
      if (controller.signal.aborted) return;
      logger.info({ signal }, 'ending; a second signal ends at once');
      controller.abort();
    };
    let isTold = false;
    for (const [signal, code] of Object.entries(SIGNAL_EXIT_CODES)) {
      process.on(signal, () => {
        // Also while what it printed waits for a reader.
        if (isTold || exitCode !== undefined) process.exit(code);
        isTold = true;
        end(signal);
      });
    }
    // From the door, which may have been told besides us: it never counts as the second one.
    process.on(FORWARDED_SIGNAL, end);
    const crash = (error: unknown) => {
      logger.fatal({ err: error }, 'unexpected error, the program ends');
      if (options.quiet)
        process.stderr.write(
          `enxame ${name}: unexpected error: ${inOneLine(error)}; with ENXAME_LOG_LEVEL=fatal it says where\n`,
        );
      void exit(EXIT_FAILURE);
    };
    process.on('uncaughtException', crash);
    process.on('unhandledRejection', crash);
    // With a terminal that is gone comes SIGHUP: it ends as that asks for.
    if (options.quiet) guardOutput(`enxame ${name}`, () => controller.abort());
    logger.debug({}, 'begun');
    exitCode = await program({ env: process.env, signal: controller.signal, logger });
  } catch (error) {
    process.stderr.write(`enxame ${name}: ${inOneLine(error)}\n`);
    exitCode = error instanceof UsageError ? EXIT_USAGE : EXIT_FAILURE;
  }
  return exit(exitCode);
}
