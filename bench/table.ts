/** The rows of all benches as a Markdown table. */
import type { Row } from './bench.ts';
import { median, spread } from './statistics.ts';

/** @returns lines, without a last line break */
export function tableOf(rows: readonly Row[]): string {
  const lines = ['| # | work | Enxame | peers | target | reached |', '|---|---|---|---|---|---|'];
  for (const { number, work, ours, peers, digits, target, isReached } of rows) {
    const show = (value: number) => value.toFixed(digits);
    const others = Object.entries(peers).map(
      ([name, values]) => `${name} ${spread(values, show)}, ${ratio(ours, values)}`,
    );
    const reached = isReached ? 'yes' : '**no**';
    lines.push(
      `| ${[number, work, spread(ours, show), others.join('; ') || '–', target, reached].join(' | ')} |`,
    );
  }
  return lines.join('\n');
}

/** Ours by theirs, as a factor. */
function ratio(ours: readonly number[], theirs: readonly number[]): string {
  return `× ${(median(ours) / median(theirs)).toFixed(2)}`;
}
