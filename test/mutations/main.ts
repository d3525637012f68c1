/**
 * `npm run mutate`: changes the engine in one place after the other and looks whether a test notices.
 *
 *     npm run mutate                    every change of test/mutations/lists
 *     npm run mutate -- stall           those whose words or file match
 *
 * Each is made in a copy of the sources. Exits with 1 if a change survives that is not listed as one that nobody can
 * notice, or if tests fail without any. All of them take about a quarter of an hour on two processors.
 */
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Mutation, mutate, readMutations } from './mutation.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** A change that makes a test hang is noticed. */
const LONGEST_MILLISECONDS = 300_000;

type Outcome = 'killed' | 'survived' | 'broken';

/** Copies what git knows of, with the packages beside it. */
function copySources(): string {
  const copy = mkdtempSync(join(tmpdir(), 'enxame-mutate-'));
  const files = execFileSync('git', ['ls-files', '-z'], { cwd: ROOT, encoding: 'utf8' }).split('\0');
  for (const file of files.filter((name) => name !== '')) {
    cpSync(join(ROOT, file), join(copy, file), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

interface JestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
}

/** Runs the tests in a copy: killed if one failed, survived if all passed, broken if none ran. */
async function runTests(copy: string, tests: string): Promise<Outcome> {
  const report = join(copy, 'report.json');
  rmSync(report, { force: true });
  const args = [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    join('node_modules', 'jest', 'bin', 'jest.js'),
    `--config=${join(copy, 'test', 'jest', 'config.mjs')}`,
    ...['--testPathIgnorePatterns', '/test/integration/', '/test/e2e/'],
    ...['--testTimeout=120000', '--runInBand', '--bail=1', '--forceExit', '--json', `--outputFile=${report}`],
    ...['--testPathPatterns', `/test/.*(${tests})`],
  ];
  const child = spawn(process.execPath, args, { cwd: copy, stdio: 'ignore' });
  const overdue = setTimeout(() => child.kill('SIGKILL'), LONGEST_MILLISECONDS);
  const signal = await new Promise((done) => child.once('close', (_, by) => done(by)));
  clearTimeout(overdue);
  if (signal !== null) return 'killed';
  try {
    const { numFailedTests, numPassedTests } = JSON.parse(readFileSync(report, 'utf8')) as JestReport;
    if (numFailedTests > 0) return 'killed';
    return numPassedTests > 0 ? 'survived' : 'broken';
  } catch {
    return 'broken';
  }
}

async function outcomeOf(copy: string, mutation: Mutation): Promise<Outcome> {
  const path = join(copy, mutation.file);
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, mutate(mutation, text));
  try {
    return await runTests(copy, mutation.tests);
  } finally {
    writeFileSync(path, text);
  }
}

/** Does the work of a list in several copies side by side. */
async function inCopies<T>(
  list: readonly T[],
  work: (copy: string, item: T) => Promise<void>,
): Promise<void> {
  const rest = [...list];
  const copies = Array.from({ length: Math.min(availableParallelism(), list.length) }, copySources);
  try {
    await Promise.all(
      copies.map(async (copy) => {
        for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(copy, item);
      }),
    );
  } finally {
    for (const copy of copies) rmSync(copy, { recursive: true, force: true });
  }
}

/** Makes one change after the other, and says what became of each. */
class Run {
  readonly counts = { killed: 0, survived: 0, expected: 0, broken: 0 };
  /** Whether tests pass without any change, by their pattern. */
  readonly #pass = new Map<string, Promise<boolean>>();

  async make(copy: string, mutation: Mutation): Promise<void> {
    const began = performance.now();
    const outcome = (await this.#testsPass(copy, mutation.tests))
      ? await outcomeOf(copy, mutation)
      : 'broken';
    const seconds = ((performance.now() - began) / 1000).toFixed(0);
    const isExpected = outcome === 'survived' && mutation.survives !== undefined;
    this.counts[isExpected ? 'expected' : outcome]++;
    const { what, file, survives } = mutation;
    const reason = isExpected ? `, as expected: ${survives}` : '';
    process.stdout.write(`${outcome.padEnd(8)} ${what} (${file}, ${seconds} s)${reason}\n`);
  }

  /** Tests that fail anyway notice nothing. The copy must be without any change. */
  #testsPass(copy: string, tests: string): Promise<boolean> {
    const known = this.#pass.get(tests) ?? this.#tryUnchanged(copy, tests);
    this.#pass.set(tests, known);
    return known;
  }

  async #tryUnchanged(copy: string, tests: string): Promise<boolean> {
    if ((await runTests(copy, tests)) === 'survived') return true;
    process.stdout.write(`tests fail, or there are none, without any change: ${tests}\n`);
    return false;
  }
}

async function main([pattern]: readonly string[]): Promise<number> {
  const wanted = new RegExp(pattern ?? '', 'i');
  const run = new Run();
  await inCopies(
    readMutations().filter(({ what, file }) => wanted.test(`${what} ${file}`)),
    (copy, mutation) => run.make(copy, mutation),
  );
  const { killed, survived, expected, broken } = run.counts;
  process.stdout.write(
    `\n${killed} killed, ${survived} survived, ${expected} survived as expected, ${broken} broken\n`,
  );
  return killed + expected > 0 && survived + broken === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
