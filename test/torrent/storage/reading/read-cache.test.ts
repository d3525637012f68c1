import { expect, test } from '@jest/globals';
import { MemoryShare } from '../../../../torrent/memory-ledger.ts';
import { ReadCache } from '../../../../torrent/storage/reading/read-cache.ts';
import { until } from '../../../base/until.ts';

test('a cache keeps what was used last, within its bound', () => {
  const cache = new ReadCache(new MemoryShare(450));
  for (const key of [1, 2, 3]) cache.set(key, Buffer.alloc(100, key));
  expect(cache.get(1)?.[0]).toBe(1);
  cache.set(4, Buffer.alloc(100, 4));
  expect([1, 2, 3, 4].map((key) => cache.get(key) !== undefined)).toEqual([true, false, true, true]);
  cache.set(4, Buffer.alloc(50, 5));
  expect(cache.bytes).toBe(250);
  cache.set(5, Buffer.alloc(301));
  expect([cache.get(5), cache.bytes]).toEqual([undefined, 250]);
});

test('torrents share a cache without seeing each other', () => {
  const cache = new ReadCache(new MemoryShare(450));
  const one = cache.nextKeys();
  const other = cache.nextKeys();
  cache.set(one + 7, Buffer.alloc(10, 1));
  cache.set(other + 7, Buffer.alloc(10, 2));
  cache.deleteAll(one);
  expect([cache.get(one + 7), cache.get(other + 7)?.[0], cache.bytes]).toEqual([undefined, 2, 10]);
});

test('32 MiB are kept of the default budget', () => {
  const cache = new ReadCache();
  const buffer = Buffer.alloc(1024 * 1024);
  for (let key = 0; key < 40; key++) cache.set(key, buffer);
  expect(cache.bytes).toBe(32 * 1024 * 1024);
  expect([cache.get(7), cache.get(8)]).toEqual([undefined, buffer]);
});

test('what nobody asks for any more is given back', async () => {
  const share = new MemoryShare(6000);
  const cache = new ReadCache(share, 5);
  const buffers = [1, 2, 3].map((key) => {
    const buffer = cache.memory.take(1000);
    cache.set(key, buffer);
    cache.memory.release(buffer);
    return buffer;
  });
  expect([cache.bytes, share.usedBytes]).toEqual([3000, 3000]);
  await until('it is given back', () => cache.bytes === 0);
  expect(share.usedBytes).toBe(0);
  // At once, and not when garbage is collected next; what is lent would still be there.
  expect(buffers.map(({ length }) => length)).toEqual([0, 0, 0]);
  const again = cache.memory.take(1000);
  cache.set(1, again);
  await until('it is given back', () => cache.bytes === 0);
  expect(again).toHaveLength(1000);
});
