/**
 * Runs the program again on a newer Node, as the same process would be run: the terminal, the exit code and signals
 * are the program's. An older Node has to understand this module.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';

/** Signals that somebody may send to the process that was started, and that the one that works must get. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'] as const;

/**
 * Runs a script on a Node, and hands it every signal.
 *
 * @returns its exit code; 128 and the signal's number if a signal ended it, as a shell has it
 * @throws if that Node cannot be started
 */
export async function runOnNode(node: string, script: string, args: readonly string[]): Promise<number> {
  const child = spawn(node, [script, ...args], { stdio: 'inherit' });
  const forward = (signal: NodeJS.Signals) => {
    // A terminal sends Ctrl-C to all of its foreground group by itself.
    if (signal !== 'SIGINT' || process.stdin.isTTY !== true) child.kill(signal);
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
