/**
 * `npm test`: every suite, and one line at the end that counts them all.
 *
 *     npm test                      checks, unit, integration, end-to-end
 *     npm run test:unit             one suite (test:integration, test:e2e likewise)
 *     npm run test:e2e -- swarm     only the files whose path matches
 *
 * Exits 0 only if something ran, nothing failed and nothing was skipped.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runChecks } from './check.ts';
import { ensureBinaries } from './cluster/binaries.ts';
import { ensurePrerequisites } from './cluster/prerequisites.ts';
import { installPackage } from './program/installed-package.ts';
import { SUITES, type Suite } from './suites.ts';

const ROOT = join(import.meta.dirname, '..');
const JEST = join(ROOT, 'node_modules', 'jest', 'bin', 'jest.js');

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** The part of jest's JSON report that is counted. */
interface JestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly numRuntimeErrorTestSuites: number;
}

function stopOnSignal(child: ReturnType<typeof spawn>): () => void {
  const forward = (signal: NodeJS.Signals) => child.kill(signal);
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM'];
  for (const signal of signals) process.on(signal, forward);
  return () => {
    for (const signal of signals) process.off(signal, forward);
  };
}

async function runJest(suite: Suite, paths: readonly string[], env: NodeJS.ProcessEnv): Promise<Counts> {
  const folder = mkdtempSync(join(tmpdir(), 'enxame-test-'));
  const report = join(folder, 'report.json');
  try {
    const args = [
      '--experimental-vm-modules',
      '--disable-warning=ExperimentalWarning',
      JEST,
      `--config=${join(ROOT, 'test', 'jest', 'config.mjs')}`,
      ...(suite.exclude.length > 0 ? ['--testPathIgnorePatterns', ...suite.exclude] : []),
      `--testTimeout=${suite.timeoutMilliseconds}`,
      suite.workers === 1 ? '--runInBand' : `--maxWorkers=${suite.workers}`,
      // A test that failed may leave a process or a socket behind; the run ends all the same.
      '--forceExit',
      '--json',
      `--outputFile=${report}`,
      '--testPathPatterns',
      ...(paths.length > 0 ? paths.map((path) => `${suite.include[0]}.*${path}`) : suite.include),
    ];
    const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: ['ignore', 'inherit', 'inherit'] });
    const release = stopOnSignal(child);
    await new Promise((done) => child.once('close', done));
    release();
    const result = JSON.parse(readFileSync(report, 'utf8')) as JestReport;
    return {
      passed: result.numPassedTests,
      failed: result.numFailedTests + result.numRuntimeErrorTestSuites,
      skipped: result.numPendingTests + result.numTodoTests,
    };
  } catch (error) {
    process.stderr.write(`${suite.name}: jest left no report: ${(error as Error).message}\n`);
    return { passed: 0, failed: 1, skipped: 0 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Integration tests start API servers, and nodes where that is possible; to build and install what these need
 * takes longer than a test may.
 */
async function runIntegration(suite: Suite, paths: readonly string[]): Promise<Counts> {
  const log = (line: string) => process.stdout.write(`${line}\n`);
  await ensurePrerequisites({ log, controlPlaneOnly: process.getuid?.() !== 0 });
  await ensureBinaries({ log });
  return runJest(suite, paths, await withProgram());
}

/** The environment of tests that run the program: they run the package that a user would install. */
async function withProgram(): Promise<NodeJS.ProcessEnv> {
  return { ...process.env, ENXAME_PROGRAM: await installPackage() };
}

/**
 * The end-to-end tests run on a cluster that is brought up for them; asked for by name, on the one that
 * KUBECONFIG names. `npm test` never touches that one.
 */
async function runEndToEnd(suite: Suite, paths: readonly string[], isAsked: boolean): Promise<Counts> {
  const { provideCluster } = await import('./e2e/cluster.ts');
  const cluster = await provideCluster(isAsked ? process.env.KUBECONFIG : undefined);
  try {
    return await runJest(suite, paths, { ...process.env, ...cluster.environment });
  } finally {
    await cluster.release();
  }
}

type Runner = (suite: Suite, paths: readonly string[], isAsked: boolean) => Promise<Counts>;

const RUNNERS: Record<Suite['name'], Runner> = {
  unit: async (suite, paths) => runJest(suite, paths, await withProgram()),
  integration: runIntegration,
  e2e: runEndToEnd,
};

async function runSuite(suite: Suite, paths: readonly string[], isAsked: boolean): Promise<Counts> {
  process.stdout.write(`\n── ${suite.name} ${'─'.repeat(60 - suite.name.length)}\n`);
  const started = Date.now();
  let counts: Counts;
  try {
    counts = await RUNNERS[suite.name](suite, paths, isAsked);
  } catch (error) {
    process.stderr.write(`${suite.name}: ${(error as Error).stack ?? error}\n`);
    counts = { passed: 0, failed: 1, skipped: 0 };
  }
  const seconds = Math.round((Date.now() - started) / 1000);
  process.stdout.write(
    `${suite.name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped in ${seconds} s\n`,
  );
  return counts;
}

async function main(args: readonly string[]): Promise<number> {
  const [name, ...paths] = args;
  const chosen = name === undefined ? SUITES : SUITES.filter((suite) => suite.name === name);
  if (chosen.length === 0) {
    process.stderr.write(
      `test: no suite '${name}'; there are ${SUITES.map((suite) => suite.name).join(', ')}\n`,
    );
    return 2;
  }
  const total: Counts = { passed: 0, failed: 0, skipped: 0 };
  const add = (counts: Counts) => {
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped += counts.skipped;
  };
  if (name === undefined) {
    process.stdout.write(`── check ${'─'.repeat(55)}\n`);
    add({ ...runChecks(), skipped: 0 });
  }
  for (const suite of chosen) add(await runSuite(suite, paths, name !== undefined));
  process.stdout.write(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
  return total.passed > 0 && total.failed === 0 && total.skipped === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
