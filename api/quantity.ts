// Kubernetes quantities and percentages as numbers, and bytes as people read them.
import { ApiError } from './errors.ts';

// Exponents of 2 and 10, as in k8s.io/apimachinery/pkg/api/resource.
const BINARY: Record<string, number> = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 };
const DECIMAL: Record<string, number> = {
  n: -9,
  u: -6,
  m: -3,
  '': 0,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
};
const QUANTITY =
  /^([+-]?)([0-9]{1,30})?(?:\.([0-9]{0,30}))?(?:(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E)|[eE]([+-]?[0-9]{1,3}))?$/;

/**
 * A quantity as a whole number of bytes; fractions are rounded up, as the API server does for bytes.
 * Throws ApiError InvalidQuantity for what is no quantity, is negative, or is 2^53 or more.
 */
export function parseQuantity(quantity: string | number): number {
  const wrong = () =>
    new ApiError(
      'InvalidQuantity',
      `${JSON.stringify(quantity)} must be a quantity of bytes from 0 up to 8Pi, such as 500Mi or 20G`,
    );
  const match = QUANTITY.exec(String(quantity));
  if (match === null) throw wrong();
  const [, sign, whole = '', fraction = '', suffix = '', exponent] = match;
  if (whole === '' && fraction === '') throw wrong();
  const digits = BigInt(whole + fraction);
  if (sign === '-' && digits !== 0n) throw wrong();

  let numerator = digits;
  let denominator = 10n ** BigInt(fraction.length);
  const binary = BINARY[suffix];
  if (binary !== undefined) numerator *= 2n ** BigInt(binary);
  else {
    const power = exponent === undefined ? (DECIMAL[suffix] ?? 0) : Number(exponent);
    if (power >= 0) numerator *= 10n ** BigInt(power);
    else denominator *= 10n ** BigInt(-power);
  }
  const rounded = (numerator + denominator - 1n) / denominator;
  if (rounded > BigInt(Number.MAX_SAFE_INTEGER)) throw wrong();
  return Number(rounded);
}

/** Upload and download limits in bytes per second; undefined is no limit. */
export function parseLimits(limits: { upload?: string | number; download?: string | number } | undefined): {
  uploadBytesPerSecond?: number;
  downloadBytesPerSecond?: number;
} {
  return {
    ...(limits?.upload === undefined ? {} : { uploadBytesPerSecond: parseQuantity(limits.upload) }),
    ...(limits?.download === undefined ? {} : { downloadBytesPerSecond: parseQuantity(limits.download) }),
  };
}

/** `95%` as 95. Throws ApiError InvalidPercent unless it is a whole percentage from 0 to 100. */
export function parsePercent(percent: string): number {
  const match = /^(100|[1-9]?[0-9])%$/.exec(percent);
  if (match === null) {
    throw new ApiError(
      'InvalidPercent',
      `${JSON.stringify(percent)} must be a percentage from 0% to 100%, such as 95%`,
    );
  }
  return Number(match[1]);
}

/**
 * How many of `total` a count or a percentage asks for. A percentage is rounded up (95% of 10 is 10), as for
 * minAvailable of a PodDisruptionBudget; a count stays what it is, also above `total`.
 */
export function requiredCount(countOrPercent: string | number, total: number): number {
  if (typeof countOrPercent === 'number') return countOrPercent;
  return Math.ceil((parsePercent(countOrPercent) * total) / 100);
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** Bytes for people: `512 B`, `15.0 GiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // 1023.95 would be printed as 1024.0, which belongs to the next unit.
  while (value >= (unit === 0 ? 1024 : 1023.95) && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

/** A time span for people, in its two largest units: `45s`, `2m10s`, `3h5m`, `2d4h`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first < 0) return '0s';
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount}${unit}`)
    .join('');
}
