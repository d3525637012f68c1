import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { PublisherEnv, readSourceVariables, sourceVariables } from '../../api/index.ts';

test('a short source is one variable', () => {
  expect(sourceVariables({ configMap: { name: 'c' } })).toEqual([
    [PublisherEnv.Source, '{"configMap":{"name":"c"}}'],
  ]);
});

test('hundreds of signed URLs fit, because no variable is longer than Linux takes', () => {
  const files = Array.from({ length: 512 }, (_, place) => ({
    path: `part-${place}`,
    url: `https://example.com/${place}?signature=${'ü$'.repeat(500)}`,
  }));
  const variables = sourceVariables({ http: { files } });
  expect(variables.length).toBeGreaterThan(5);
  for (const [name, value] of variables)
    expect(Buffer.byteLength(`${name}=${value}`) + 1).toBeLessThanOrEqual(128 * 1024);
  expect(readSourceVariables(Object.fromEntries(variables))).toEqual({ http: { files } });
});

test('whatever the source, the publisher reads what the operator wrote', () => {
  const text = fc.string({ unit: 'binary', maxLength: 300 });
  fc.assert(
    fc.property(fc.dictionary(text, fc.oneof(text, fc.array(text))), (source) => {
      const json: unknown = JSON.parse(JSON.stringify(source));
      expect(JSON.stringify(readSourceVariables(Object.fromEntries(sourceVariables(source))))).toBe(
        JSON.stringify(json),
      );
    }),
  );
});

test.each([[{}], [{ ENXAME_SOURCE: '{' }], [{ ENXAME_SOURCE: '[]' }], [{ ENXAME_SOURCE_1: '{}' }]])(
  '%j is refused',
  (env) => {
    expect(() => readSourceVariables(env)).toThrow(/ENXAME_SOURCE is no JSON/);
  },
);
