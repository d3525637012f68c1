/** What the demo prints: headings with times, and lines that are redrawn where there is a terminal. */
const isTerminal = process.stdout.isTTY === true;
const hasColour = isTerminal && process.env.NO_COLOR === undefined;

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

/** Lines without a terminal come this often; redrawn ones whenever there are new ones. */
const PLAIN_MILLISECONDS = 2_000;

/** Lines that replace the ones shown before. */
export class LiveLines {
  #shown = 0;
  #saidAt = Number.NEGATIVE_INFINITY;

  show(lines: readonly string[], isLast = false): void {
    if (isTerminal) {
      if (this.#shown > 0) process.stdout.write(`\x1b[${this.#shown}A`);
      for (const line of lines) process.stdout.write(`\x1b[2K${line}\n`);
      this.#shown = lines.length;
      return;
    }
    const now = Date.now();
    if (!isLast && now - this.#saidAt < PLAIN_MILLISECONDS) return;
    this.#saidAt = now;
    for (const line of lines) say(line);
  }
}

const BAR_CELLS = 30;

/** @param part from 0 to 1 */
export function bar(part: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, part)) * BAR_CELLS);
  return `${'█'.repeat(filled)}${'░'.repeat(BAR_CELLS - filled)} ${String(Math.floor(part * 100)).padStart(3)}%`;
}

export const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;
