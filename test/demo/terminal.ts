/**
 * What the demo prints: headings with times, and lines that are redrawn. Escape codes go to terminals only,
 * colours not where NO_COLOR asks for none (no-color.org).
 */
const isTerminal = process.stdout.isTTY === true && process.env.TERM !== 'dumb';
const hasColour = isTerminal && !process.env.NO_COLOR;

const styled = (code: number) => (text: string) => (hasColour ? `\x1b[${code}m${text}\x1b[0m` : text);
export const bold = styled(1);
export const green = styled(32);
export const red = styled(31);
const dim = styled(2);

export function say(line = ''): void {
  process.stdout.write(`${line}\n`);
}

/** Does a part of the demo, under a heading, and says how long it took. */
export async function phase<T>(title: string, work: () => Promise<T>): Promise<T> {
  say();
  say(bold(`▸ ${title}`));
  const started = Date.now();
  const result = await work();
  say(dim(`  ${((Date.now() - started) / 1000).toFixed(1)} s`));
  return result;
}

/** Where nothing can be redrawn, a line comes this often. */
const PLAIN_MILLISECONDS = 3_000;
const DEFAULT_COLUMNS = 80;

/** Lines that replace the ones shown before; elsewhere than on a terminal, one line now and then. */
export class LiveLines {
  #shown = 0;
  #saidAt = Number.NEGATIVE_INFINITY;

  /** @param plain what `lines` say, in one line */
  show(lines: readonly string[], plain: string, isLast = false): void {
    if (isTerminal) {
      // A line that wraps would be two to the terminal and one to us.
      const columns = process.stdout.columns || DEFAULT_COLUMNS;
      const up = this.#shown > 0 ? `\x1b[${this.#shown}A` : '';
      const text = lines.map((line) => `\x1b[2K${[...line].slice(0, columns - 1).join('')}\n`);
      process.stdout.write(`${up}${text.join('')}\x1b[J`);
      this.#shown = lines.length;
      return;
    }
    const now = Date.now();
    if (!isLast && now - this.#saidAt < PLAIN_MILLISECONDS) return;
    this.#saidAt = now;
    say(plain);
  }
}

const BAR_CELLS = 30;

/** @param part from 0 to 1; what is outside counts as the nearer of them */
export const percent = (part: number) => `${Math.floor(Math.min(1, Math.max(0, part)) * 100)}%`;

export function bar(part: number): string {
  const filled = Math.floor(Math.min(1, Math.max(0, part)) * BAR_CELLS);
  return `${'█'.repeat(filled)}${'░'.repeat(BAR_CELLS - filled)} ${percent(part).padStart(4)}`;
}

export const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;
