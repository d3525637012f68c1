/**
 * How the program ends: 0 when it did what was asked, 1 when that failed, 2 when what was asked makes no sense.
 * Whatever goes wrong is told in one line on stderr: what, where, and what to do.
 */
import { types } from 'node:util';
import { CodedError } from '../base/index.ts';
import { printable } from './terminal/printable.ts';

/** Exit code of a command that understood what was asked and could not do it. */
export const EXIT_FAILURE = 1;
/** Exit code of a command that was called wrongly or given bad input. */
export const EXIT_USAGE = 2;

/** What a command throws when it was called wrongly or given bad input. The message says what is wrong and what would be right. */
export class UsageError extends CodedError<'BadUsage'> {
  override readonly name = 'UsageError';

  constructor(message: string, options?: ErrorOptions) {
    super('BadUsage', message, options);
  }
}

/** An error in one line that a terminal shows as it is: messages of libraries sometimes hold several. */
export function inOneLine(error: unknown): string {
  const message = types.isNativeError(error) ? error.message || error.name : String(error);
  return printable(message.replace(/\s*[\r\n]+\s*/g, '; '));
}
