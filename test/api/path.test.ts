// Paths within content: no path that passes may leave the folder that it is joined to.
import { resolve, sep } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { checkPaths, comparePaths, pathProblem } from '../../api/index.ts';

describe('pathProblem', () => {
  test.each([
    'a',
    'weights/model-00001.bin',
    '...',
    '.hidden',
    'a b',
    'ünïcode/模型',
    '..a/b..',
    'x'.repeat(255),
  ])('%j is fine', (path) => {
    expect(pathProblem(path)).toBeUndefined();
  });

  test.each([
    ['', /empty/],
    ['/etc/passwd', /relative/],
    ['..', /parts/],
    ['a/../b', /parts/],
    ['./a', /parts/],
    ['a//b', /parts/],
    ['a/', /parts/],
    ['a\0b', /control/],
    ['a\nb', /control/],
    ['a\\b', /backslash/],
    ['\ud800', /Unicode/],
    ['x'.repeat(256), /255/],
    ['é'.repeat(128), /255/],
    [Array(600).fill('a').join('/'), /1024/],
  ])('%j is refused', (path, problem) => {
    expect(pathProblem(path)).toMatch(problem);
  });

  test('nothing that passes leaves its folder', () => {
    const part = fc.oneof(fc.constantFrom('..', '.', '', 'a', '/', '\\', '\0'), fc.string({ maxLength: 4 }));
    fc.assert(
      fc.property(fc.array(part, { maxLength: 5 }), (parts) => {
        const path = parts.join('/');
        if (pathProblem(path) !== undefined) return;
        const joined = resolve('/content', path);
        expect(joined.startsWith(`/content${sep}`)).toBe(true);
        // It names what it says: nothing was normalised away.
        expect(joined).toBe(`/content/${path}`);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('checkPaths', () => {
  test('files side by side', () => {
    expect(() => checkPaths(['a', 'a.b', 'b/a', 'b/b/c'])).not.toThrow();
  });

  test.each([
    [['a', 'a'], /only once/],
    [['a/b', 'a'], /"a" must not be a file, because "a\/b"/],
    [['x/y', 'x/y/z/w'], /"x\/y" must not be a file/],
    [['ok', '../no'], /"\.\.\/no"/],
  ])('%j', (paths, message) => {
    expect(() => checkPaths(paths)).toThrow(message);
  });
});

test('paths are ordered by their bytes, not by UTF-16 units', () => {
  const paths = ['\u{1f600}', '\uffee', 'a/b', 'a.b', 'a', 'Z'];
  expect([...paths].sort(comparePaths)).toEqual(['Z', 'a', 'a.b', 'a/b', '\uffee', '\u{1f600}']);
});
