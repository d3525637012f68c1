import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { mergePatch } from '../../../operator/status/merge-patch.ts';

/** RFC 7386, section 2, for patches without nulls inside of lists. */
function apply(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> =
    typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = apply(result[key], value);
  }
  return result;
}

test('says only what changed', () => {
  expect(mergePatch({ a: 1, b: { c: 2, d: 3 }, e: [1] }, { a: 1, b: { c: 2, d: 4 }, f: 'x' })).toEqual({
    b: { d: 4 },
    e: null,
    f: 'x',
  });
});

test('is none when nothing changed', () => {
  expect(mergePatch({ a: { b: [1, { c: 2 }] } }, { a: { b: [1, { c: 2 }] } })).toBeUndefined();
});

test('applied to the one, gives the other', () => {
  const { value } = fc.letrec<{ value: unknown; object: Record<string, unknown> }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.string(),
      fc.integer(),
      fc.boolean(),
      fc.array(fc.integer(), { maxLength: 3 }),
      tie('object'),
    ),
    object: fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), tie('value'), { noNullPrototype: true }),
  }));
  const object = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), value, { noNullPrototype: true });
  fc.assert(
    fc.property(object, object, (before, after) => {
      expect(apply(before, mergePatch(before, after) ?? {})).toEqual(after);
    }),
  );
});
