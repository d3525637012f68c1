// The difference between two JSON values as a JSON merge patch (RFC 7386), so that a write says only what
// changed.
import { isDeepStrictEqual } from 'node:util';

type JsonObject = { readonly [key: string]: unknown };

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The patch that makes `after` of `before`; undefined when there is nothing to change. Lists go as a whole. */
export function mergePatch(before: JsonObject, after: JsonObject): JsonObject | undefined {
  const patch: Record<string, unknown> = {};
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [old, now] = [before[key], after[key]];
    if (now === undefined) {
      if (old !== undefined) patch[key] = null;
    } else if (isObject(old) && isObject(now)) {
      const inner = mergePatch(old, now);
      if (inner !== undefined) patch[key] = inner;
    } else if (!isDeepStrictEqual(old, now)) {
      patch[key] = now;
    }
  }
  return Object.keys(patch).length > 0 ? patch : undefined;
}
