/** One line that says how far something is: a bar where there is room for one, and the numbers. */
import { formatBytes, formatSeconds } from '../../api/quantity.ts';

const MIN_BAR = 10;
const MAX_BAR = 40;
/** A bar's brackets, and the space before them. */
const BRACKETS = 3;
/** Terminals start a new line when the last column is written to. */
const SPARE_COLUMNS = 1;

/** How far it is. */
export interface ProgressToShow {
  /** What is being done, in a word or two. */
  readonly doing: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly bytesPerSecond?: number;
  /** Further facts, the most important first; left out from the end where there is no room. */
  readonly facts?: readonly string[];
}

/** @param columns of the terminal; undefined: any length, and no bar */
export function progressLine(progress: ProgressToShow, columns?: number): string {
  const { doing, doneBytes, totalBytes, bytesPerSecond, facts = [] } = progress;
  const part = totalBytes === 0 ? 1 : Math.min(1, doneBytes / totalBytes);
  // 100 % only when nothing is missing.
  const percent = `${Math.floor(part * 100)}%`.padStart(4);
  const [foremost, ...others] = facts;
  // The most important first.
  const rest: string[] = [];
  if (bytesPerSecond !== undefined) rest.push(`${formatBytes(Math.round(bytesPerSecond))}/s`);
  if (bytesPerSecond !== undefined && bytesPerSecond > 0 && doneBytes < totalBytes)
    rest.push(`${formatSeconds((totalBytes - doneBytes) / bytesPerSecond)} left`);
  if (foremost !== undefined) rest.push(foremost);
  rest.push(`${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`, ...others);
  if (columns === undefined) return `${doing}${percent}  ${rest.join('  ')}`;

  const room = columns - SPARE_COLUMNS;
  const head = `${doing}${percent}`;
  const lengthOf = (parts: readonly string[]) =>
    head.length + parts.reduce((sum, { length }) => sum + 2 + length, 0);
  // What is worth more than a bar stays before it; the others leave room for one.
  const worthy = bytesPerSecond === undefined ? 0 : 2;
  while (rest.length > 0 && lengthOf(rest) > room - (rest.length > worthy ? MIN_BAR + BRACKETS : 0))
    rest.pop();
  const text = rest.map((part) => `  ${part}`).join('');
  const bar = Math.min(MAX_BAR, room - head.length - text.length - BRACKETS);
  if (bar < MIN_BAR) return `${head}${text}`.slice(0, Math.max(0, room));
  const filled = Math.floor(part * bar);
  return `${head} [${'='.repeat(filled)}${' '.repeat(bar - filled)}]${text}`;
}
