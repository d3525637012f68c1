// The programs of the cluster are really built, once. The smallest one stands for all of them.
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { binariesFolder, ensureBinaries } from '../../cluster/binaries.ts';
import { runCommand } from '../../cluster/command.ts';
import { requireGo } from '../../cluster/go-toolchain.ts';

let cache: string;
let before: string | undefined;

beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'enxame-binaries-test-'));
  before = process.env.XDG_CACHE_HOME;
  // Go keeps its own cache in the same place, unless told otherwise; that one may stay warm.
  process.env.GOCACHE ??= (await runCommand(await requireGo(), ['env', 'GOCACHE'])).stdout.trim();
  process.env.XDG_CACHE_HOME = cache;
});
afterEach(async () => {
  if (before === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = before;
  await rm(cache, { recursive: true, force: true });
});

test('two runs at once build a program once, and clear away what an interrupted one left', async () => {
  const expected = binariesFolder();
  expect(expected.startsWith(join(cache, 'enxame', 'binaries'))).toBe(true);
  await mkdir(join(expected, '.build-interrupted'), { recursive: true });
  const dead = `${process.pid} 1 x\n`;
  await writeFile(`${expected}.lock`, dead);

  const lines: string[] = [];
  const build = () => ensureBinaries({ log: (line) => lines.push(line), programs: ['pause'] });
  expect(await Promise.all([build(), build()])).toEqual([expected, expected]);
  expect(lines.filter((line) => /\bpause \(\d+ s\)$/.test(line))).toHaveLength(1);
  expect(await readdir(expected)).toEqual(['pause']);
  expect(await readdir(dirname(expected))).toEqual([basename(expected)]);

  const { ino, mtimeMs } = await stat(join(expected, 'pause'));
  await build();
  expect(await stat(join(expected, 'pause'))).toMatchObject({ ino, mtimeMs });
});
