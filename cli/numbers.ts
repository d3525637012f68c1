/** Numbers as the options of the command line take them. */
import { InvalidArgumentError } from 'commander';
import { parseQuantity } from '../api/index.ts';

/**
 * Bytes, as in `500000`, `64Ki`, `1.5M` or `20MiB` (units of 1024 with an i, of 1000 without).
 *
 * @throws InvalidArgumentError
 */
export function parseBytes(text: string): number {
  try {
    return parseQuantity(
      text
        .trim()
        .replace(/(?<=[0-9A-Za-z])B$/, '')
        .replace(/K(?=$)/, 'k'),
    );
  } catch {
    throw new InvalidArgumentError('it must be a number of bytes, such as 500000, 64Ki, 1.5M or 20MiB');
  }
}

/**
 * Bytes per second; 0 is no limit.
 *
 * @throws InvalidArgumentError
 */
export function parseRate(text: string): number {
  try {
    return parseBytes(text.replace(/\/s$/, ''));
  } catch {
    throw new InvalidArgumentError(
      'it must be a number of bytes per second, such as 500000, 64Ki, 1.5M or 20MiB; 0 is no limit',
    );
  }
}

/** A positive number of seconds. @throws InvalidArgumentError */
export function parseSeconds(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0)
    throw new InvalidArgumentError('it must be a positive number of seconds');
  return value;
}
