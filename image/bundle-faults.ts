/**
 * What works from the sources and breaks in a bundle, found in esbuild's account of it. Each of these passes every
 * test of the sources, and fails, often without a word, in what is shipped.
 */
import { isBuiltin } from 'node:module';
import { basename } from 'node:path';
import type { Metafile } from 'esbuild';

/** It knows that workers are entries of the bundle. */
const WORKER_URLS = 'torrent/worker-url.ts';

/** Modules that may look for a file beside themselves: they know both places. */
const KNOWS_BOTH_PLACES: ReadonlySet<string> = new Set([WORKER_URLS, 'cli/version.ts']);

/** An import that esbuild knows by this name is part of itself. */
const RUNTIME = '<runtime>';

const COMPUTED_IMPORT = /\bimport\(\s*(?!['"\s])/;
const BESIDE_ITSELF = /new URL\([^)]*import\.meta\.url|import\.meta\.(?:dirname|filename|resolve)\b/;
const WORKER = /\bworkerUrl\(\s*(?:'([^']+)'|([^)'\s]))/g;

/** Lines without those that are comments as a whole. */
const withoutComments = (source: string) => source.replaceAll(/^\s*(?:\/\/|\/?\*).*$/gm, '');

function importFaults({ inputs }: Metafile): string[] {
  const faults: string[] = [];
  for (const [importer, { imports }] of Object.entries(inputs))
    for (const { path, kind, external, original } of imports) {
      if (kind === 'dynamic-import' && inputs[path]?.format === 'cjs')
        faults.push(
          `${importer} imports ${original ?? path} dynamically, which is CommonJS: in the bundle it has a default ` +
            'export and no names. Import it by a static import in a module of its own, and that one dynamically',
        );
      if (external && path !== RUNTIME && !isBuiltin(path))
        faults.push(`${importer} imports ${path}, which is not in the bundle and not of Node`);
    }
  return faults;
}

function sourceFaults(path: string, source: string, entries: ReadonlySet<string>): string[] {
  const code = withoutComments(source);
  const faults: string[] = [];
  if (COMPUTED_IMPORT.test(code))
    faults.push(`${path} imports a module whose name is computed: the bundler cannot follow it`);
  if (!KNOWS_BOTH_PLACES.has(path) && BESIDE_ITSELF.test(code))
    faults.push(`${path} looks for a file beside itself: in the bundle it lies in another place`);
  for (const [, name, computed] of code.matchAll(WORKER)) {
    if (path === WORKER_URLS) continue;
    if (computed !== undefined)
      faults.push(`${path} starts a worker whose name is computed: the bundler must know it as an entry`);
    else if (name !== undefined && !entries.has(basename(name)))
      faults.push(`${path} starts the worker ${name}, which is no entry of the bundle`);
  }
  return faults;
}

/**
 * What a bundle breaks, one sentence each; empty if nothing.
 *
 * @param metafile esbuild's account of the bundle
 * @param entries names of its entry points
 * @param readSource gives the text of a module of ours, by its path in the metafile
 */
export function bundleFaults(
  metafile: Metafile,
  entries: readonly string[],
  readSource: (path: string) => string,
): string[] {
  const ours = Object.keys(metafile.inputs).filter((path) => !path.includes('node_modules/'));
  const known = new Set(entries);
  return [...importFaults(metafile), ...ours.flatMap((path) => sourceFaults(path, readSource(path), known))];
}
