/**
 * The program as users get it, for tests: the npm package, packed and installed far from the sources, so that what
 * works from the sources alone fails here. Kept under the hash of its bundle and made again when that changes.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundle } from '../../image/bundle.ts';
import { cacheFolder } from '../cluster/binaries.ts';
import { runCommand } from '../cluster/command.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** Packages that are kept: one a branch that somebody works on. */
const MAX_KEPT = 4;

const UNFINISHED_PREFIX = '.new-';

/** Where the program lies in the folder that the package was installed into. */
const PROGRAM = join('node_modules', 'enxame', 'dist', 'enxame.js');

async function removeOldest(folder: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => !name.startsWith(UNFINISHED_PREFIX));
  const changed = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).mtimeMs));
  const newestFirst = names
    .map((name, index) => ({ name, at: changed[index] ?? 0 }))
    .sort((a, b) => b.at - a.at);
  for (const { name } of newestFirst.slice(MAX_KEPT)) await rm(join(folder, name), { recursive: true });
}

/**
 * Packs the package as `npm pack` does, and installs it as `npm install` does, without the Node that it may bring
 * along: tests run on the one that runs them.
 *
 * @returns the absolute path of the installed program
 */
export async function installPackage(): Promise<string> {
  const { folder: dist, files } = await bundle();
  const hash = createHash('sha256').update(readFileSync(join(ROOT, 'package.json')));
  for (const name of files) hash.update(`\n${name}\n`).update(readFileSync(join(dist, name)));
  const packages = join(cacheFolder(), 'packages');
  const installed = join(packages, hash.digest('hex').slice(0, 16));
  if (existsSync(installed)) return join(installed, PROGRAM);

  await mkdir(packages, { recursive: true });
  const folder = await mkdtemp(join(packages, UNFINISHED_PREFIX));
  try {
    const pack = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder];
    const [packed] = JSON.parse((await runCommand('npm', pack, { cwd: ROOT })).stdout);
    await writeFile(join(folder, 'package.json'), '{"name":"someone","private":true}\n');
    const install = [
      'install',
      '--ignore-scripts',
      '--omit=optional',
      '--no-audit',
      '--no-fund',
      '--prefer-offline',
    ];
    await runCommand('npm', [...install, join(folder, packed.filename)], { cwd: folder });
    await rename(folder, installed).catch((error: NodeJS.ErrnoException) => {
      // Another run made the same one at the same time.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  await removeOldest(packages);
  return join(installed, PROGRAM);
}
