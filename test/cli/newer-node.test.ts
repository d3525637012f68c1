// A program that is run again on another Node: signals and exit codes pass through.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

const MODULE = join(import.meta.dirname, '..', '..', 'cli', 'newer-node.ts');

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'enxame-newer-node-'));
});

afterAll(() => rm(folder, { recursive: true }));

/** Starts a program through the module, and waits until it says that it has started. */
async function start(program: string) {
  const script = join(folder, `${Math.random()}.mjs`);
  await writeFile(script, `${program}\nsetInterval(() => {}, 1000);\nconsole.log('started', process.pid);`);
  const outer = join(folder, `${Math.random()}.mjs`);
  await writeFile(
    outer,
    `import { runOnNode } from ${JSON.stringify(MODULE)};
     process.exitCode = await runOnNode(process.execPath, ${JSON.stringify(script)}, ['an argument']);`,
  );
  const child = spawn(process.execPath, [outer], { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  const lines = createInterface(child.stdout);
  const next = async () => ((await once(lines, 'line')) as [string])[0];
  const line = await next();
  return {
    child,
    pid: Number(line.split(' ')[1]),
    said: async (words: string) => expect(await next()).toBe(words),
    code: async () => (await closed)[0] as number | null,
  };
}

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  '%s reaches the program as the one signal that never counts twice, and its exit code is passed on',
  async (signal) => {
    const { child, code } = await start("process.on('SIGUSR2', () => process.exit(process.argv.length));");
    child.kill(signal);
    expect(await code()).toBe(3);
  },
);

test('a second signal ends a program that does not heed the first', async () => {
  const { child, said, code } = await start("process.on('SIGUSR2', () => console.log('heard'));");
  child.kill('SIGTERM');
  await said('heard');
  child.kill('SIGTERM');
  expect(await code()).toBe(137);
});

test('a program that a signal ended is told of as a shell has it', async () => {
  const { pid, code } = await start('');
  process.kill(pid, 'SIGKILL');
  expect(await code()).toBe(137);
});
