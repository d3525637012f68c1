// Whatever a document of this repository links to is there, and so is the heading that it names.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, test } from '@jest/globals';

const ROOT = join(import.meta.dirname, '..', '..');
const NOT_OURS = new Set(['node_modules', 'dist', 'build', '.git']);

function documentsIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : documentsIn(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

const withoutCode = (markdown: string) =>
  markdown.replaceAll(/^```.*?^```/gms, '').replaceAll(/`[^`\n]*`/g, '');

/** The anchors of a document's headings, as GitHub makes them. */
function anchorsOf(markdown: string): Set<string> {
  const headings = [...markdown.replaceAll(/^```.*?^```/gms, '').matchAll(/^#{1,6} +(.+?) *$/gm)];
  return new Set(
    headings.map(([, text]) =>
      text!
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

function faultsOf(document: string): string[] {
  const markdown = readFileSync(document, 'utf8');
  return [...withoutCode(markdown).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target]) => {
    if (/^[a-z]+:/.test(target!)) return [];
    const [path = '', anchor] = target!.split('#');
    const file = path === '' ? document : join(dirname(document), decodeURIComponent(path));
    if (!existsSync(file)) return [`${relative(ROOT, document)} links to ${target}, which is not there`];
    if (anchor === undefined || statSync(file).isDirectory()) return [];
    return anchorsOf(readFileSync(file, 'utf8')).has(anchor)
      ? []
      : [`${relative(ROOT, document)} links to ${target}, and there is no such heading`];
  });
}

test('no link of a document leads nowhere', () => {
  const documents = documentsIn(ROOT);
  expect(documents.length).toBeGreaterThan(5);
  expect(documents.flatMap(faultsOf)).toEqual([]);
});
