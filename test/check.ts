/**
 * `npm run check`: everything that can be said of the sources without running them. Each step is a command
 * that also runs alone; all of them run even when one fails, so that one look shows all there is to mend.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const ROOT = join(import.meta.dirname, '..');

/** One step of the check: what it looks at, and the command that does. */
interface Step {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
}

const STEPS: readonly Step[] = [
  { name: 'types', command: ['tsc', '--noEmit'] },
  { name: 'lint, format and arrows between rooms', command: ['biome', 'check', '--error-on-warnings', '.'] },
  { name: 'generated files up to date', command: ['node', 'api/generate/main.ts', '--check'] },
  { name: 'nothing that a bundle breaks', command: ['node', 'image/bundle.ts', '--check'] },
  { name: 'unused files, exports and packages', command: ['knip'] },
];

/**
 * Runs every step and prints a line for each.
 *
 * @returns how many steps passed and how many failed
 */
export function runChecks(): { passed: number; failed: number } {
  const counts = { passed: 0, failed: 0 };
  for (const { name, command } of STEPS) {
    const [program, ...args] = command;
    const result = spawnSync(program, args, { cwd: ROOT, encoding: 'utf8' });
    const ok = result.status === 0;
    process.stdout.write(`${ok ? '✓' : '✗'} ${name} (${command.join(' ')})\n`);
    if (!ok)
      process.stdout.write(`${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}\n`);
    counts[ok ? 'passed' : 'failed'] += 1;
  }
  return counts;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { failed } = runChecks();
  process.exitCode = failed === 0 ? 0 : 1;
}
