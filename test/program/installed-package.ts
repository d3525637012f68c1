/**
 * The program as users get it, for tests: the npm package, packed and installed far from the sources, so that what
 * works from the sources alone fails here. Kept under the hash of its bundle and made again when that changes.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundle } from '../../image/bundle.ts';
import { cacheFolder } from '../cluster/binaries.ts';
import { runCommand } from '../cluster/command.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** A package that no run has used for so long is removed. */
const UNUSED_MILLISECONDS = 24 * 3_600_000;

const UNFINISHED_PREFIX = '.new-';

/** Where the program lies in the folder that the package was installed into. */
const PROGRAM = join('node_modules', 'enxame', 'dist', 'enxame.js');

async function removeUnused(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const usedAt = (await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now();
    if (Date.now() - usedAt > UNUSED_MILLISECONDS) await rm(path, { recursive: true, force: true });
  }
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
  if (existsSync(installed)) {
    const now = new Date();
    await utimes(installed, now, now);
    return join(installed, PROGRAM);
  }

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
  await removeUnused(packages);
  return join(installed, PROGRAM);
}
