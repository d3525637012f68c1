// The name of what a source says: stable under what does not matter, different under what does.
import { expect, test } from '@jest/globals';
import { type SourceSpec, sourceState } from '../../api/index.ts';

const base: SourceSpec = {
  http: {
    files: [
      { path: 'a', url: 'https://example.com/a', sha256: 'ab'.repeat(32) },
      { path: 'b', url: 'https://example.com/b' },
    ],
  },
};
const [a, b] = base.http!.files as [
  NonNullable<SourceSpec['http']>['files'][number],
  { path: string; url: string },
];

test('does not change from release to release', () => {
  // Operators of two versions must agree, or an upgrade publishes everything anew.
  expect(sourceState(base)).toBe('178295267d5d3259');
  expect(sourceState({ configMap: { name: 'x' } })).toBe('b2a901b6dd71b518');
});

test.each<[string, SourceSpec]>([
  ['a limit', { ...base, sizeLimit: '1Gi' }],
  ['the order of files', { http: { files: [b, a] } }],
  ['the order of fields', { http: { files: [{ sha256: a.sha256!, url: a.url, path: a.path }, b] } }],
  ['a default written out', { http: { files: [{ ...a, executable: false }, b] } }],
  ['the case of a checksum', { http: { files: [{ ...a, sha256: 'AB'.repeat(32) }, b] } }],
])('%s does not matter', (_name, source) => {
  expect(sourceState(source)).toBe(sourceState(base));
});

test.each<[string, SourceSpec]>([
  ['a URL', { http: { files: [{ ...a, url: 'https://example.com/A' }, b] } }],
  ['a path', { http: { files: [{ ...a, path: 'A' }, b] } }],
  ['a checksum', { http: { files: [{ ...a, sha256: 'cd'.repeat(32) }, b] } }],
  ['an executable bit', { http: { files: [a, { ...b, executable: true }] } }],
  ['a file less', { http: { files: [a] } }],
  ['headers', { http: { ...base.http!, headersSecretRef: { name: 'x' } } }],
  ['another source', { configMap: { name: 'x' } }],
])('%s matters', (_name, source) => {
  expect(sourceState(source)).not.toBe(sourceState(base));
});
