/**
 * A server of the control plane as a child process: it dies with this process, is ended only through the
 * handle that started it, and can be started again.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { bound } from './bound-process.ts';
import { ClusterError } from './errors.ts';

/** How many of the last lines of its log an error repeats. */
const LOG_LINES = 15;
/** How long a program that was asked to end may take before it is killed. */
const GRACE_MILLISECONDS = 20_000;

export class ServerProcess {
  readonly #program: string;
  readonly #args: readonly string[];
  readonly #logFile: string;
  #child: ChildProcess | undefined;
  #startError: Error | undefined;

  /** @param options.logFile gets everything the program prints, of all its runs */
  constructor(options: { program: string; args: readonly string[]; logFile: string }) {
    this.#program = options.program;
    this.#args = options.args;
    this.#logFile = options.logFile;
  }

  get running(): boolean {
    const child = this.#child;
    return child?.pid !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** Starts the program, unless it runs. That it is ready is for the caller to find out. */
  start(): void {
    if (this.running) return;
    const { program, args } = bound(this.#program, this.#args);
    const log = openSync(this.#logFile, 'a');
    try {
      this.#startError = undefined;
      this.#child = spawn(program, args, { stdio: ['ignore', log, log] }).on('error', (error) => {
        this.#startError = error;
      });
      // It dies with this process, and so must not keep it alive.
      this.#child.unref();
    } finally {
      closeSync(log);
    }
  }

  /** Ends the program, and returns when it is gone. One that does not heed the signal is killed. */
  async stop(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.running) return;
    const gone = once(child, 'exit');
    child.ref();
    child.kill(signal);
    const kill = setTimeout(() => child.kill('SIGKILL'), GRACE_MILLISECONDS);
    await gone;
    clearTimeout(kill);
  }

  /** An error that says what is wrong with the program, and the end of its log. */
  async failure(what: string): Promise<ClusterError> {
    const log = await readFile(this.#logFile, 'utf8').catch(() => '');
    const last = log.trimEnd().split('\n').slice(-LOG_LINES).join('\n');
    return new ClusterError('NotReady', `${basename(this.#program)} ${what}\n${last}`, {
      cause: this.#startError,
    });
  }
}
