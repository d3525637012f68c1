/**
 * `npm run bundle`: the program as plain JavaScript in dist/, for the npm package (Node refuses to strip types
 * under node_modules) and for the image. One entry, dist/enxame.js, one for each worker thread, and one chunk for
 * whatever several subcommands share, so that a subcommand loads its own code and nothing else. Everything is in
 * the bundle: neither the package nor the image needs node_modules at run time. With `-- --check` it writes nothing
 * and says what would not work in a bundle.
 *
 * The same sources give the same bytes.
 */
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type BuildResult, build, type Metafile } from 'esbuild';
import { bundleFaults } from './bundle-faults.ts';
import { thirdPartyNotices } from './notices.ts';

const ROOT = join(import.meta.dirname, '..');
const DIST = join(ROOT, 'dist');

// Packages that are CommonJS call require() for Node's own modules, which an ES module does not have.
const REQUIRE_FOR_COMMONJS = `import { createRequire as createRequireForBundle } from 'node:module';
const require = createRequireForBundle(import.meta.url);`;

/** What a bundle came out as. */
export interface Bundle {
  /** Absolute path of the folder. */
  readonly folder: string;
  /** Names of the files in it, sorted. */
  readonly files: readonly string[];
  readonly version: string;
  /** esbuild's account of what went where. */
  readonly metafile: Metafile;
}

const ENTRY_POINTS = {
  enxame: 'cli/enxame.ts',
  'hash-worker': 'torrent/hash-worker.ts',
  'piece-worker': 'torrent/storage/writing/piece-worker.ts',
};

/** @throws Error if something in it works from the sources only */
async function composeBundle(version: string): Promise<BuildResult<{ write: false; metafile: true }>> {
  const result = await build({
    absWorkingDir: ROOT,
    entryPoints: ENTRY_POINTS,
    outdir: DIST,
    write: false,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    // Names stay, so that stack traces can be read; the rest goes, because source text stays in memory.
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'none', // They are gathered, whole, in THIRD-PARTY-NOTICES.
    chunkNames: '[name]-[hash]',
    define: { ENXAME_VERSION: JSON.stringify(version) },
    banner: { js: REQUIRE_FOR_COMMONJS },
    metafile: true,
    logLevel: 'warning',
  });
  const faults = bundleFaults(result.metafile, Object.keys(ENTRY_POINTS), (path) =>
    readFileSync(join(ROOT, path), 'utf8'),
  );
  if (faults.length > 0) throw new Error(`bundle: not made:\n${faults.join('\n')}`);
  return result;
}

function packageVersion(): string {
  return (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version;
}

/**
 * Makes dist/ anew.
 *
 * @throws Error if something in it works from the sources only; dist/ is then as it was
 */
export async function bundle(): Promise<Bundle> {
  const version = packageVersion();
  const result = await composeBundle(version);
  rmSync(DIST, { recursive: true, force: true });
  mkdirSync(DIST, { recursive: true });
  for (const file of result.outputFiles) writeFileSync(file.path, file.contents);
  chmodSync(join(DIST, 'enxame.js'), 0o755);
  writeFileSync(
    join(DIST, 'THIRD-PARTY-NOTICES'),
    thirdPartyNotices(ROOT, Object.keys(result.metafile.inputs)),
  );
  return { folder: DIST, files: readdirSync(DIST).sort(), version, metafile: result.metafile };
}

async function main(args: readonly string[]): Promise<void> {
  if (args.includes('--check')) {
    await composeBundle(packageVersion());
    return;
  }
  const { metafile } = await bundle();
  let totalBytes = 0;
  for (const { bytes } of Object.values(metafile.outputs)) totalBytes += bytes;
  const entry = Object.keys(metafile.outputs).find((path) => basename(path) === 'enxame.js');
  process.stdout.write(`${entry}: ${(totalBytes / 1e6).toFixed(1)} MB with its chunks\n`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
