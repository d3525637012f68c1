/**
 * Programs that run to their end, as argument lists and never as shell text. What a program prints is kept
 * whole, so that an error can say it.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { bound } from './bound-process.ts';
import { ClusterError } from './errors.ts';

export interface CommandOptions {
  cwd?: string;
  /** The whole environment; that of this process by default. */
  env?: NodeJS.ProcessEnv;
  /** Text for the program's standard input; empty by default. */
  input?: string;
  /** Gets each line of standard error as it comes. */
  onErrorLine?: (line: string) => void;
  /** What the program gets when this process dies; without it the program runs on to its end. */
  signalOnOurDeath?: 'KILL' | 'TERM';
  /** Ends the program when it aborts. */
  signal?: AbortSignal;
}

/** What a program printed. */
export interface CommandOutput {
  stdout: string;
  stderr: string;
}

/** How many of the last lines of standard error an error message repeats. */
const ERROR_LINES = 20;

/**
 * Runs a program to its end.
 *
 * @throws {ClusterError} CommandFailed if it cannot be started or ends with another exit code than 0
 */
export async function runCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandOutput> {
  const { cwd, env, signal } = options;
  const command =
    options.signalOnOurDeath === undefined
      ? { program, args }
      : bound(program, args, options.signalOnOurDeath);
  const child = spawn(command.program, command.args, { cwd, env, signal, stdio: ['pipe', 'pipe', 'pipe'] });
  const output: CommandOutput = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text;
  });
  if (options.onErrorLine !== undefined) createInterface(child.stderr).on('line', options.onErrorLine);
  // A program may end before it has read all of its input; its exit code says whether that was wrong.
  child.stdin.on('error', () => undefined).end(options.input ?? '');
  const name = `${program} ${args.join(' ')}`;
  const { code, killedBy } = await new Promise<{ code: number | null; killedBy: NodeJS.Signals | null }>(
    (resolve, reject) => {
      child.once('error', (cause) =>
        reject(new ClusterError('CommandFailed', `${name}: ${cause.message}`, { cause })),
      );
      child.once('close', (exitCode, exitSignal) => resolve({ code: exitCode, killedBy: exitSignal }));
    },
  );
  if (code === 0) return output;
  const why = killedBy === null ? `exit code ${code}` : `ended by ${killedBy}`;
  const last = output.stderr.trimEnd().split('\n').slice(-ERROR_LINES).join('\n');
  throw new ClusterError('CommandFailed', `${name}: ${why}\n${last}`, output);
}
