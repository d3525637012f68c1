import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { rankReplicas } from '../../../torrent/discovery/rendezvous.ts';
import { fuzzParameters } from '../fuzz.ts';

const infoHash = fc
  .uint8Array({ minLength: 20, maxLength: 20 })
  .map((bytes) => Buffer.from(bytes).toString('hex'));
const names = fc.uniqueArray(
  fc.nat(20).map((i) => `enxame-tracker-${i}`),
  { maxLength: 8 },
);

test('the order depends on the names and not on how they are listed', () => {
  fc.assert(
    fc.property(infoHash, names, (hash, list) => {
      const ranked = rankReplicas(hash, list);
      expect(ranked).toEqual(rankReplicas(hash, [...list].reverse()));
      expect([...ranked].sort()).toEqual([...list].sort());
    }),
    fuzzParameters(200),
  );
});

test('a replica that comes or goes leaves the order of the others', () => {
  fc.assert(
    fc.property(infoHash, names, (hash, list) => {
      const without = list.slice(1);
      expect(rankReplicas(hash, list).filter((name) => name !== list[0])).toEqual(
        rankReplicas(hash, without),
      );
    }),
    fuzzParameters(200),
  );
});

test('swarms are spread over the replicas', () => {
  const first = new Map<string, number>();
  for (let i = 0; i < 1000; i++) {
    const [name = ''] = rankReplicas(i.toString(16).padStart(40, '0'), ['a', 'b', 'c', 'd']);
    first.set(name, (first.get(name) ?? 0) + 1);
  }
  for (const name of ['a', 'b', 'c', 'd']) expect(first.get(name)).toBeGreaterThan(180);
});

test('the order is the one that every version gives', () => {
  const replicas = ['enxame-tracker-0', 'enxame-tracker-1', 'enxame-tracker-2'];
  // By hand: SHA-256 of name and hash, descending.
  expect(rankReplicas('ab'.repeat(20), replicas)).toEqual([
    'enxame-tracker-0',
    'enxame-tracker-2',
    'enxame-tracker-1',
  ]);
});
