// Paths within content, as they are declared, sent and written to disk. One judgement for all programs:
// a path that passes here names a file below the folder it is joined to, and no other.
import { ApiError } from './errors.ts';

/** Longest path, in bytes of UTF-8. */
export const MAX_PATH_BYTES = 1024;
/** Longest part of a path, in bytes of UTF-8 (NAME_MAX of Linux). */
export const MAX_PATH_PART_BYTES = 255;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const FORBIDDEN = /[\u0000-\u001f\u007f\\]/;

/** What is wrong with a path, as the end of a sentence, or undefined. */
export function pathProblem(path: string): string | undefined {
  if (path === '') return 'must not be empty';
  if (path.startsWith('/')) return 'must be relative';
  if (FORBIDDEN.test(path)) return 'must not hold control characters or backslashes';
  if (!path.isWellFormed()) return 'must be well-formed Unicode';
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return `must be at most ${MAX_PATH_BYTES} bytes long`;
  for (const part of path.split('/')) {
    if (part === '' || part === '.' || part === '..')
      return 'must not have parts that are empty, "." or ".."';
    if (Buffer.byteLength(part) > MAX_PATH_PART_BYTES) {
      return `must have parts of at most ${MAX_PATH_PART_BYTES} bytes`;
    }
  }
  return undefined;
}

/**
 * Checks the paths of one content together: each on its own, no path twice, and none that is both a file and
 * a folder. Throws ApiError InvalidPath that names the path.
 */
export function checkPaths(paths: readonly string[]): void {
  const files = new Set<string>();
  for (const path of paths) {
    const problem = pathProblem(path);
    if (problem !== undefined) throw new ApiError('InvalidPath', `path ${JSON.stringify(path)} ${problem}`);
    if (files.has(path))
      throw new ApiError('InvalidPath', `path ${JSON.stringify(path)} must be given only once`);
    files.add(path);
  }
  for (const path of paths) {
    for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
      const folder = path.slice(0, slash);
      if (files.has(folder)) {
        throw new ApiError(
          'InvalidPath',
          `path ${JSON.stringify(folder)} must not be a file, because ${JSON.stringify(path)} lies in it`,
        );
      }
    }
  }
}

/** Orders paths by their bytes in UTF-8: the order of the manifest and of the info dictionary. */
export function comparePaths(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
