// Modules that work as sources, bundled for real, and what is said of them.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { build } from 'esbuild';
import { bundleFaults } from '../../image/bundle-faults.ts';

const ENTRIES = ['main', 'hash-worker'];

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'enxame-bundle-'));
  write('node_modules/old/package.json', '{"name":"old","main":"index.js"}');
  write('node_modules/old/index.js', 'exports.Agent = class Agent {};');
  write('node_modules/new/package.json', '{"name":"new","type":"module","exports":"./index.js"}');
  write('node_modules/new/index.js', 'export class Agent {}');
});

afterEach(() => rmSync(folder, { recursive: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}

async function faultsOf(source: string, external: string[] = []): Promise<string[]> {
  write('main.ts', source);
  const { metafile } = await build({
    absWorkingDir: folder,
    entryPoints: ['main.ts'],
    outdir: 'out',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    write: false,
    metafile: true,
    external,
    logLevel: 'silent',
  });
  return bundleFaults(metafile, ENTRIES, (path) => readFileSync(join(folder, path), 'utf8'));
}

describe('what breaks in a bundle is refused:', () => {
  test.each([
    [
      'a dynamic import of a CommonJS package',
      "const { Agent } = await import('old'); new Agent();",
      /old.*CommonJS/,
    ],
    ['the same in other words', "import('old').then((old) => new old.Agent());", /old.*CommonJS/],
    [
      'a module whose name is computed',
      'await import(process.argv[2] as string);',
      /main\.ts imports a module whose name/,
    ],
    [
      'a name put together',
      'await import(`./`.concat(process.title));',
      /main\.ts imports a module whose name/,
    ],
    [
      'a file beside the module',
      "new URL('./data.json', import.meta.url);",
      /main\.ts looks for a file beside itself/,
    ],
    [
      'the folder of the module',
      'console.log(import.meta.dirname);',
      /main\.ts looks for a file beside itself/,
    ],
    [
      'a worker that is no entry',
      "declare const workerUrl: any; workerUrl('storage/other');",
      /worker storage\/other/,
    ],
    [
      'a worker whose name is computed',
      'declare const workerUrl: any; workerUrl(process.title);',
      /worker whose name/,
    ],
  ])('%s', async (_, source, fault) => {
    expect(await faultsOf(source)).toEqual([expect.stringMatching(fault)]);
  });

  test('a package that stays outside', async () => {
    const faults = await faultsOf("import { Agent } from 'new'; new Agent();", ['new']);
    expect(faults).toEqual(['main.ts imports new, which is not in the bundle and not of Node']);
  });
});

test.each([
  ['a static import of a CommonJS package', "import { Agent } from 'old'; new Agent();"],
  ['a dynamic import of an ES module', "const { Agent } = await import('new'); new Agent();"],
  ['modules of Node', "import 'node:fs'; await import('node:net'); await import('zlib');"],
  ['a worker that is an entry', "declare const workerUrl: any; workerUrl('hash-worker');"],
  ['words in a comment', '// not import(x), nor import.meta.dirname\nconsole.log(1);'],
])('%s is nothing to refuse', async (_, source) => {
  expect(await faultsOf(source)).toEqual([]);
});
