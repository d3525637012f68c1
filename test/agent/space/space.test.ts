// Who has been promised which room.
import { beforeEach, describe, expect, test } from '@jest/globals';
import { nextToEvict } from '../../../agent/space/evict.ts';
import { parseStorage, Space } from '../../../agent/space/space.ts';

const GIB = 1024 ** 3;
let used: number;
let free: number;
let space: Space;

beforeEach(() => {
  used = 0;
  free = 100 * GIB;
  space = new Space({
    usedBytes: () => used,
    fileSystem: async () => ({ sizeBytes: 200 * GIB, freeBytes: free }),
  });
});

test('a promise that cannot be kept is refused with the numbers', async () => {
  free = 3.1 * GIB;
  await expect(space.promise('a', 15 * GIB, () => 0)).rejects.toMatchObject({
    code: 'StorageLow',
    message: 'needs 15.0 GiB, 3.1 GiB free',
  });
  expect((await space.figures()).reservedBytes).toBe(0);
});

test('two transfers never count on the same bytes', async () => {
  await space.promise('a', 60 * GIB, () => 0);
  await expect(space.promise('b', 60 * GIB, () => 0)).rejects.toMatchObject({ code: 'StorageLow' });
  space.release('a');
  await space.promise('b', 60 * GIB, () => 0);
});

test('promises asked for at the same time are kept apart too', async () => {
  const results = await Promise.allSettled(
    ['a', 'b', 'c'].map((key) => space.promise(key, 40 * GIB, () => 0)),
  );
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
});

test('what is written already is not promised again', async () => {
  let written = 0;
  await space.promise('a', 60 * GIB, () => written);
  written = 50 * GIB;
  used = 50 * GIB;
  free = 50 * GIB;
  expect(await space.figures()).toMatchObject({ reservedBytes: 10 * GIB, availableBytes: 40 * GIB });
  // More for the same transfer replaces what it had.
  await space.promise('a', 100 * GIB, () => written);
  expect((await space.figures()).availableBytes).toBe(0);
});

test('a refusal leaves an earlier promise as it was', async () => {
  await space.promise('a', 60 * GIB, () => 0);
  await expect(space.promise('a', 160 * GIB, () => 0)).rejects.toThrow();
  expect((await space.figures()).reservedBytes).toBe(60 * GIB);
});

test('an administrator’s capacity and reserve hold besides the disk', async () => {
  space.settings = parseStorage({ capacity: '50Gi', reserve: '90Gi' });
  used = 45 * GIB;
  expect(await space.figures()).toMatchObject({ capacityBytes: 50 * GIB, availableBytes: 5 * GIB });
  used = 10 * GIB;
  expect((await space.figures()).availableBytes).toBe(10 * GIB);
  await expect(space.promise('a', 11 * GIB, () => 0)).rejects.toMatchObject({
    message: 'needs 11.0 GiB, 10.0 GiB free',
  });
});

describe('what goes first where room lacks', () => {
  const held = (revision: string, heldAt: number | undefined) => ({
    uid: 'u',
    revision,
    sizeBytes: 10,
    heldAt,
  });

  test('what is not complete, then what has been here longest', () => {
    const all = [held('new', 3), held('old', 1), held('half', undefined)];
    expect(nextToEvict(all, 5)?.revision).toBe('half');
    expect(nextToEvict(all.slice(0, 2), 5)?.revision).toBe('old');
  });

  test('nothing, where all of it would not be enough', () => {
    expect(nextToEvict([held('a', 1), held('b', 2)], 21)).toBeUndefined();
    expect(nextToEvict([], 0)).toBeUndefined();
  });
});
