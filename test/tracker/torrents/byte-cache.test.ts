import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ByteCache } from '../../../tracker/torrents/byte-cache.ts';

const entry = (size: number) => ({ bytes: Buffer.alloc(size) });

test('what was used least recently goes first', () => {
  const cache = new ByteCache<{ bytes: Buffer }>(10);
  cache.set('a', entry(4));
  cache.set('b', entry(4));
  cache.get('a');
  cache.set('c', entry(4));
  expect([cache.get('a'), cache.get('b'), cache.get('c')].map((found) => found?.bytes.length)).toEqual([
    4,
    undefined,
    4,
  ]);
});

test('what is too large for the cache is not kept, and its older form neither', () => {
  const cache = new ByteCache<{ bytes: Buffer }>(10);
  cache.set('a', entry(5));
  cache.set('a', entry(11));
  expect(cache.get('a')).toBeUndefined();
  expect(cache.sizeBytes).toBe(0);
});

test('it never holds more than its bound, and counts what it holds', () => {
  const step = fc.record({
    key: fc.constantFrom('a', 'b', 'c', 'd'),
    size: fc.nat(12),
    do: fc.constantFrom('set', 'get', 'delete'),
  });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const cache = new ByteCache<{ bytes: Buffer }>(20);
      for (const { key, size, do: action } of steps) {
        if (action === 'set') cache.set(key, entry(size));
        else if (action === 'get') cache.get(key);
        else cache.delete(key);
        const held = ['a', 'b', 'c', 'd'].map((name) => cache.get(name)?.bytes.length ?? 0);
        expect(cache.sizeBytes).toBe(held.reduce((sum, bytes) => sum + bytes, 0));
        expect(cache.sizeBytes).toBeLessThanOrEqual(20);
      }
    }),
  );
});
