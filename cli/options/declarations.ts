/** What the declarations of several subcommands have in common. */

/** Gathers an option that may be given several times. */
export function gather(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

/** Commands for people: nothing but what they print themselves, unless ENXAME_LOG_LEVEL asks for more. */
export const FOR_PEOPLE = { logTo: 'stderr', quiet: true } as const;

/** Examples below a command's help. */
export function examples(lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}\n`).join('')}`;
}
