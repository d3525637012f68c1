import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { enxame } from './enxame-process.ts';

const PROGRAM = join(import.meta.dirname, 'misbehaving-program.ts');

const run = (program: string) => enxame([program], {}, PROGRAM);

test('a second signal ends a program that does not end by itself', async () => {
  const { child, nextLine, ended } = run('stubborn');
  expect(await nextLine()).toContain('started');
  child.kill('SIGTERM');
  expect(await nextLine()).toContain('a second signal ends at once');
  child.kill('SIGINT');
  expect((await ended).code).toBe(130);
});

test('a terminal that goes away ends a program like other signals', async () => {
  const { child, nextLine, ended } = run('stubborn');
  expect(await nextLine()).toContain('started');
  child.kill('SIGHUP');
  expect(await nextLine()).toContain('a second signal ends at once');
  child.kill('SIGHUP');
  expect((await ended).code).toBe(129);
});

test('what the door passes on ends a program, and does not count as the first of two signals', async () => {
  const { child, nextLine, ended } = run('patient');
  expect(await nextLine()).toContain('started');
  child.kill('SIGUSR2');
  expect(await nextLine()).toContain('a second signal ends at once');
  child.kill('SIGTERM');
  expect((await ended).code).toBe(5);
});

test('all that was printed reaches a reader that is slow', async () => {
  const { child, ended } = run('talkative');
  child.stdout?.pause();
  await once(child.stderr!, 'data');
  child.stdout?.resume();
  const { code, stdout } = await ended;
  expect([code, stdout.length]).toEqual([0, 1_000_001]);
});

test('while its output waits for a reader, one signal is enough', async () => {
  const { child, ended } = run('talkative');
  child.stdout?.pause();
  await once(child.stderr!, 'data');
  child.kill('SIGINT');
  // Its pipe is full: it cannot end otherwise.
  await once(child, 'exit');
  child.stdout?.resume();
  expect((await ended).code).toBe(130);
});

test('output that cannot be written is a failure, told in one line', () => {
  const full = openSync('/dev/full', 'w');
  const { status, stderr } = spawnSync(process.execPath, [PROGRAM, 'talkative'], {
    stdio: ['ignore', full, 'pipe'],
    encoding: 'utf8',
  });
  closeSync(full);
  expect([status, stderr]).toEqual([1, 'all is said\nenxame test: the output cannot be written: ENOSPC\n']);
});

test('a program that returned is over, whatever it left behind', async () => {
  expect((await run('untidy').ended).code).toBe(3);
});

test('an error is one line on stderr and exit code 1', async () => {
  expect(await run('throws').ended).toEqual({
    code: 1,
    stdout: '',
    stderr: 'enxame test: the disk; is on fire\n',
  });
});

test('a rejection that nobody handles is logged and ends the program', async () => {
  const { code, stdout } = await run('rejects').ended;
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({ level: 'fatal', err: { message: 'nobody looks' } });
});
