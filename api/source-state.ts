// A short name for what a spec.source says, so that programs can tell whether content was made from the
// present source or from an earlier one.
import { createHash } from 'node:crypto';
import type { SourceSpec } from './kinds/content-distribution.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** JSON with sorted keys and without what is undefined: equal values have equal texts. */
function canonical(value: unknown): Json | undefined {
  if (value === undefined) return undefined;
  if (Array.isArray(value)) return value.map((item) => canonical(item) ?? null);
  if (typeof value === 'object' && value !== null) {
    const sorted: { [key: string]: Json } = {};
    for (const key of Object.keys(value).sort()) {
      const inner = canonical((value as Record<string, unknown>)[key]);
      if (inner !== undefined) sorted[key] = inner;
    }
    return sorted;
  }
  return value as Json;
}

/**
 * 16 hexadecimal digits that name what a source says. `sizeLimit` does not count, nor do the order of files,
 * the case of a checksum and an `executable: false` that says no more than leaving it out.
 */
export function sourceState(source: SourceSpec): string {
  const { sizeLimit: _, http, ...rest } = source;
  const plain = {
    ...rest,
    ...(http === undefined
      ? {}
      : {
          http: {
            ...http,
            files: http.files
              .map(({ executable, sha256, ...file }) => ({
                ...file,
                ...(executable === true ? { executable } : {}),
                ...(sha256 === undefined ? {} : { sha256: sha256.toLowerCase() }),
              }))
              .sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0)),
          },
        }),
  };
  return createHash('sha256')
    .update(JSON.stringify(canonical(plain)))
    .digest('hex')
    .slice(0, 16);
}
