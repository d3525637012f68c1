/** Several runs as a few numbers. */

/** The middle one; of an even number the upper of both. NaN for none. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** `median (least–most)`, each as `show` writes it; the median alone for a single run. */
export function spread(values: readonly number[], show: (value: number) => string): string {
  if (values.length === 0) return '–';
  const middle = show(median(values));
  if (values.length === 1) return middle;
  return `${middle} (${show(Math.min(...values))}–${show(Math.max(...values))})`;
}
