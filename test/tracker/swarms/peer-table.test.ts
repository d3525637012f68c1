import { expect, test } from '@jest/globals';
import { PeerTable } from '../../../tracker/swarms/peer-table.ts';

const addressOf = (number: number) => Uint8Array.of(10, number >>> 16, number >>> 8, number, 0x1a, 0xe1);

/** A table of so many peers. */
function filled(count: number, maxPeers: number): PeerTable {
  const table = new PeerTable(maxPeers);
  for (let number = 0; number < count; number += 1) {
    const peer = table.take();
    table.flags[peer] = 0;
    table.setAddress(peer, addressOf(number));
    table.leftBytes[peer] = number;
    table.key[peer] = number;
  }
  return table;
}

test('whatever was written is there after the table has grown, up to the most there may be', () => {
  const table = filled(40_000, 40_000);
  for (const number of [0, 63, 64, 16_383, 16_384, 18_432, 39_999]) {
    expect([table.leftBytes[number], table.key[number]]).toEqual([number, number]);
    expect(table.compactOf(number)).toEqual(Buffer.from(addressOf(number)));
  }
  expect(() => table.take()).toThrow('Invalid length');
});

test('numbers that are given back are used again', () => {
  const table = filled(100, 100);
  table.release(7);
  table.release(42);
  expect([table.take(), table.take()].sort((a, b) => a - b)).toEqual([7, 42]);
  expect(table.size).toBe(100);
});

test('a small table takes little, and a large one hardly more than its peers need', () => {
  const needed = filled(1, 1_000_000).bytes / 64;
  expect(filled(10, 1_000_000).bytes).toBeLessThan(70 * needed);
  expect(filled(50_000, 1_000_000).bytes).toBeLessThan(1.15 * 50_000 * needed);
});
