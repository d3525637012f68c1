/** Numbers as the options of the command line take them. */
import { InvalidArgumentError } from 'commander';
import { parseQuantity } from '../../api/quantity.ts';

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

/** A whole number of at least 0. @throws InvalidArgumentError */
export function parseWhole(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError('it must be a whole number');
  return value;
}

/** Milliseconds from 0 to an hour. @throws InvalidArgumentError */
export function parseMilliseconds(text: string): number {
  const value = Number(text.replace(/ms$/, ''));
  if (text.trim() === '' || !(value >= 0 && value <= 3_600_000))
    throw new InvalidArgumentError('it must be a number of milliseconds from 0 to 3600000, such as 0.5');
  return value;
}

/** A share from 0 to 0.9, or in per cent. @throws InvalidArgumentError */
export function parseShare(text: string): number {
  const value = text.endsWith('%') ? Number(text.slice(0, -1)) / 100 : Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 0.9))
    throw new InvalidArgumentError('it must be a share from 0 to 0.9, or from 0% to 90%');
  return value;
}
