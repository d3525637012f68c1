/**
 * Runs the program again on a newer Node, as the same process would be run: the terminal, the exit code and signals
 * are the program's. An older Node has to understand this module.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';

/** Signals that end a program. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Stands for any of them: the terminal sends Ctrl-C to both processes by itself, whoever calls kill to one, and what is
 * passed on must not count as a second signal. cli/run.ts knows it.
 */
export const FORWARDED_SIGNAL = 'SIGUSR2';

/**
 * Runs a script on a Node. The first signal is passed on as FORWARDED_SIGNAL; a second one ends it at once.
 *
 * @returns its exit code; 128 and the signal's number if a signal ended it, as a shell has it
 * @throws if that Node cannot be started
 */
export async function runOnNode(node: string, script: string, args: readonly string[]): Promise<number> {
  const child = spawn(node, [script, ...args], { stdio: 'inherit' });
  let isTold = false;
  const forward = () => {
    child.kill(isTold ? 'SIGKILL' : FORWARDED_SIGNAL);
    isTold = true;
  };
  for (const signal of SIGNALS) process.on(signal, forward);
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
      });
    });
  } finally {
    for (const signal of SIGNALS) process.off(signal, forward);
  }
}
