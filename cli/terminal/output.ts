/**
 * What becomes of output that cannot be written. Invariant: whatever a command printed has left when it ends, however
 * slow its reader is; a reader that went away ends it without a word, and any other failure is one line and exit
 * code 1. Warnings that nobody can read end nothing.
 */
import { EXIT_FAILURE } from '../errors.ts';

let guard: ((error: NodeJS.ErrnoException) => void) | undefined;

/**
 * Watches stdout and stderr; the last call counts.
 *
 * @param onHangUp the terminal is gone
 */
export function guardOutput(name: string, onHangUp: () => void = () => process.exit(EXIT_FAILURE)): void {
  if (guard === undefined) process.stderr.on('error', ignore);
  else process.stdout.off('error', guard);
  guard = ({ code, message }) => {
    if (code === 'EPIPE') process.exit(EXIT_FAILURE);
    process.exitCode = EXIT_FAILURE;
    if (code === 'EIO') onHangUp();
    else process.stderr.write(`${name}: the output cannot be written: ${code ?? message}\n`);
  };
  process.stdout.on('error', guard);
}

/** What cannot be told cannot be told; the exit code still says how it ended. */
function ignore(): void {}

/** Resolves when all that was printed has left, or cannot leave any more. */
export async function outputDrained(): Promise<void> {
  // What failed at once is told in the next turn.
  await new Promise((resolve) => setImmediate(resolve));
  for (const stream of [process.stdout, process.stderr]) {
    if (stream.writableLength === 0 || stream.destroyed) continue;
    await new Promise<void>((resolve) => {
      stream.once('close', resolve);
      stream.write('', () => resolve());
    });
  }
}
