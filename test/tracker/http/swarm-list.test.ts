import { expect, test } from '@jest/globals';
import { swarmList } from '../../../tracker/http/swarm-list.ts';
import type { SwarmSummary } from '../../../tracker/swarms/swarm-summary.ts';

const summaryOf = (infoHash: string, peers: number) => ({ infoHash, peers }) as SwarmSummary;
const hashes = (count: number) => Array.from({ length: count }, (_, number) => `hash-${number}`);

async function partsOf(list: AsyncIterable<string>): Promise<string[]> {
  const parts: string[] = [];
  for await (const part of list) parts.push(part);
  return parts;
}

test('no swarm at all', async () => {
  expect((await partsOf(swarmList([], () => undefined))).join('')).toBe('{"swarms":[]}');
});

test.each([
  ['many small swarms', 1000, 10, 91],
  ['large swarms', 5, 100_000, 1],
])('%s: all are told, and no part takes long', async (_, count, peers, most) => {
  let looked = 0;
  const list = swarmList(hashes(count), (infoHash) => {
    looked += 1;
    return summaryOf(infoHash, peers);
  });
  const parts: string[] = [];
  for await (const part of list) {
    expect(looked).toBeLessThanOrEqual(most);
    looked = 0;
    parts.push(part);
  }
  expect(JSON.parse(parts.join('')).swarms).toEqual(hashes(count).map((hash) => summaryOf(hash, peers)));
});

test('between parts others have their turn', async () => {
  let turns = 0;
  const turn = () => {
    turns += 1;
    next = setImmediate(turn);
  };
  let next = setImmediate(turn);
  const parts = await partsOf(swarmList(hashes(5), (infoHash) => summaryOf(infoHash, 100_000)));
  clearImmediate(next);
  expect(turns).toBeGreaterThanOrEqual(parts.length - 1);
});

test('swarms that go meanwhile are left out, those that move are told once', async () => {
  const swarms = new Map(hashes(4).map((hash) => [hash, 20_000]));
  const list = swarmList(swarms.keys(), (infoHash) => {
    const peers = swarms.get(infoHash);
    swarms.delete('hash-2');
    swarms.delete('hash-0');
    swarms.set('hash-0', 1);
    return peers === undefined ? undefined : summaryOf(infoHash, peers);
  });
  const { swarms: told } = JSON.parse((await partsOf(list)).join(''));
  expect(told.map(({ infoHash }: SwarmSummary) => infoHash)).toEqual(['hash-0', 'hash-1', 'hash-3']);
});
