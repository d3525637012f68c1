/** Contenders take turns, and another one begins each time, so that what disturbs the machine disturbs all of them. */
import type { BenchOptions } from './bench.ts';

/**
 * Runs each contender `runs` times, in turn.
 * @returns what came out, by the contender's name
 */
export async function contest<T>(
  what: string,
  contenders: Readonly<Record<string, () => Promise<T>>>,
  { runs, log }: BenchOptions,
  show: (result: T) => string,
): Promise<Record<string, T[]>> {
  const results: Record<string, T[]> = {};
  for (let run = 1; run <= runs; run += 1) {
    const all = Object.entries(contenders);
    const first = (run - 1) % all.length;
    for (const [name, contend] of [...all.slice(first), ...all.slice(0, first)]) {
      const result = await contend();
      const list = results[name] ?? [];
      list.push(result);
      results[name] = list;
      log(`${what}, run ${run} of ${runs}, ${name}: ${show(result)}`);
    }
  }
  return results;
}

/** One number of every run of every contender but one. */
export function peersOf<T>(
  results: Readonly<Record<string, readonly T[]>>,
  ours: string,
  value: (result: T) => number,
): Record<string, number[]> {
  return Object.fromEntries(
    Object.entries(results)
      .filter(([name]) => name !== ours)
      .map(([name, list]) => [name, list.map(value)]),
  );
}
