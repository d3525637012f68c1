// Writes what is made from the schemas: crds/*.yaml, their copies in the chart, and docs/reference/api.md.
//
//     npm run generate            writes the files
//     npm run generate -- --check fails, and says which, when a file is not what the schemas say
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { customResourceDefinitionYaml } from './crd.ts';
import { kinds } from './kinds.ts';
import { apiReference } from './reference.ts';

/** The generated files, by path from the root of the repository. */
export function generatedFiles(): Map<string, string> {
  const files = new Map<string, string>();
  for (const kind of kinds) {
    const yaml = customResourceDefinitionYaml(kind);
    files.set(`crds/${kind.resource.plural}.yaml`, yaml);
    // Helm packs no file from outside of the chart's folder.
    files.set(`charts/enxame/files/crds/${kind.resource.plural}.yaml`, yaml);
  }
  files.set('docs/reference/api.md', apiReference(kinds));
  return files;
}

/** Which of the generated files below `root` are missing or are not what the schemas say. */
export async function driftedFiles(root: string): Promise<string[]> {
  const drifted: string[] = [];
  for (const [path, text] of generatedFiles()) {
    const present = await readFile(join(root, path), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (present !== text) drifted.push(path);
  }
  return drifted;
}

async function main(args: readonly string[]): Promise<number> {
  const root = join(import.meta.dirname, '..', '..');
  const unknown = args.find((arg) => arg !== '--check');
  if (unknown !== undefined) {
    process.stderr.write(`generate: unknown argument ${unknown}; usage: npm run generate [-- --check]\n`);
    return 2;
  }
  if (args.includes('--check')) {
    const drifted = await driftedFiles(root);
    if (drifted.length === 0) return 0;
    process.stderr.write(
      `generate: not what the schemas in api/ say: ${drifted.join(', ')}. Run \`npm run generate\` and commit the result.\n`,
    );
    return 1;
  }
  for (const [path, text] of generatedFiles()) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
    process.stdout.write(`${path}\n`);
  }
  return 0;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
