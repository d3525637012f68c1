import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { enxame } from './enxame-process.ts';

const run = (program: string) => enxame([program], {}, join(import.meta.dirname, 'misbehaving-program.ts'));

test('a second signal ends a program that does not end by itself', async () => {
  const { child, nextLine, ended } = run('stubborn');
  expect(await nextLine()).toContain('started');
  child.kill('SIGTERM');
  expect(await nextLine()).toContain('a second signal ends at once');
  child.kill('SIGINT');
  expect((await ended).code).toBe(130);
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
