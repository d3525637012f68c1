import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { budgetWithin, MemoryLedger, MemoryShare, MIN_MEMORY_BYTES } from '../../torrent/memory-ledger.ts';

const MIB = 1024 * 1024;

test('the shares of all purposes together are the budget', () => {
  const ledger = new MemoryLedger(512 * MIB);
  const { pieces, staging, reads, unsent, metadata } = ledger;
  const limits = [pieces, staging, reads, unsent, metadata].map(({ limitBytes }) => limitBytes);
  expect(limits.reduce((sum, bytes) => sum + bytes)).toBe(512 * MIB);
  expect(Math.min(...limits)).toBe(32 * MIB);
  ledger.setBudget(1);
  expect(ledger.budgetBytes).toBe(MIN_MEMORY_BYTES);
  expect(pieces.limitBytes).toBe(32 * MIB);
});

test.each([
  [undefined, 256],
  [0, 256],
  [2 ** 63, 256],
  [128 * MIB, 64],
  [512 * MIB, 213],
  [1024 * MIB, 554],
  [64 * 1024 * MIB, 1024],
])('a process that may have %p bytes has a budget of %d MiB', (limit, mebibytes) => {
  expect(Math.trunc(budgetWithin(limit) / MIB)).toBe(mebibytes);
});

test('one alone may have everything, and of two each a half', () => {
  const share = new MemoryShare(100);
  const [first, second] = [share.open(), share.open()];
  expect(first.take(100)).toBe(true);
  expect(first.take(1)).toBe(false);
  expect(second.take(1)).toBe(false);
  first.giveBack(60);
  expect(second.take(40)).toBe(true);
  expect(second.take(11)).toBe(false);
  expect(second.take(10)).toBe(true);
  expect(first.take(11)).toBe(false);
  expect(first.take(10)).toBe(true);
  second.clear();
  expect(first.take(50)).toBe(true);
  expect([first.usedBytes, second.usedBytes, share.usedBytes]).toEqual([100, 0, 100]);
});

test('whoever has nothing begins with what there is', () => {
  const share = new MemoryShare(100);
  for (let others = 0; others < 9; others++) expect(share.open().take(5)).toBe(true);
  const late = share.open();
  expect(late.take(56)).toBe(false);
  expect(late.take(50)).toBe(true);
  expect(late.take(1)).toBe(false);
});

test('what is there already is counted, whatever there is room for', () => {
  const share = new MemoryShare(10);
  const account = share.open();
  account.charge(25);
  expect(share.usedBytes).toBe(25);
  expect(account.hasRoomFor(0)).toBe(false);
  account.giveBack(20);
  expect(account.take(5)).toBe(true);
});

test('no taking goes beyond the limit, and giving back leaves nothing', () => {
  const step = fc.record({ who: fc.nat(4), bytes: fc.integer({ min: 1, max: 60 }), isTaken: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const share = new MemoryShare(100);
      const accounts = Array.from({ length: 5 }, () => share.open());
      for (const { who, bytes, isTaken } of steps) {
        const account = accounts[who]!;
        if (isTaken) account.take(bytes);
        else account.giveBack(Math.min(bytes, account.usedBytes));
        const used = accounts.map(({ usedBytes }) => usedBytes);
        expect(used.reduce((sum, each) => sum + each)).toBe(share.usedBytes);
        expect(share.usedBytes).toBeLessThanOrEqual(100);
        const users = used.filter((each) => each > 0).length;
        for (const account of accounts)
          expect(account.fairBytes).toBe(100 / (account.usedBytes > 0 ? users : users + 1));
      }
      for (const account of accounts) account.clear();
      expect([share.usedBytes, share.open().fairBytes]).toEqual([0, 100]);
    }),
  );
});
