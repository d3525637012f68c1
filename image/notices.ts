/** The licences of the packages whose code is in the bundle, as those licences ask for. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const LICENCE_FILE = /^(licen[cs]e|copying|notice)([.-].*)?$/i;

/** The folder of the package that a file under node_modules belongs to. */
function packageFolder(root: string, path: string): string | undefined {
  const at = path.lastIndexOf('node_modules/');
  if (at < 0) return undefined;
  const [first = '', second = ''] = path.slice(at + 'node_modules/'.length).split('/');
  const name = first.startsWith('@') ? `${first}/${second}` : first;
  return join(root, path.slice(0, at), 'node_modules', name);
}

/**
 * One text with name, version and licence of each package.
 *
 * @param root the folder that the paths are relative to
 * @param inputs paths of all modules in the bundle
 */
export function thirdPartyNotices(root: string, inputs: readonly string[]): string {
  const folders = new Set<string>();
  for (const input of inputs) {
    const folder = packageFolder(root, input);
    if (folder !== undefined && existsSync(join(folder, 'package.json'))) folders.add(folder);
  }
  const notices = new Map<string, string>();
  for (const folder of folders) {
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
      name: string;
      version: string;
      license?: string;
    };
    const texts = readdirSync(folder)
      .filter((file) => LICENCE_FILE.test(file))
      .sort()
      .map((file) => readFileSync(join(folder, file), 'utf8').trim());
    const title = `${manifest.name} ${manifest.version} (${manifest.license ?? `see ${dirname(folder)}`})`;
    notices.set(title, [title, '='.repeat(title.length), ...texts].join('\n\n'));
  }
  const sorted = [...notices.keys()].sort().map((title) => notices.get(title));
  return `This program contains the following packages.\n\n${sorted.join('\n\n\n')}\n`;
}
