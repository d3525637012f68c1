import { expect, test } from '@jest/globals';
import { DirectOrPool } from '../../../torrent/storage/disk.ts';

test('reads and writes go the direct way until one is slow, and again after a while', async () => {
  let now = 0;
  const choice = new DirectOrPool(() => now);
  const ways: string[] = [];
  const run = (bytes: number, takesMilliseconds = 0) =>
    choice.do(
      bytes,
      () => {
        ways.push('direct');
        now += takesMilliseconds;
        return bytes;
      },
      async () => {
        ways.push('pool');
        return bytes;
      },
    );
  expect(await run(1000)).toBe(1000);
  await run(512 * 1024);
  await run(512 * 1024 + 1);
  await run(1000, 2);
  await run(1000, 3);
  await run(1000);
  now += 999;
  await run(1000);
  now += 1;
  await run(1000);
  expect(ways).toEqual(['direct', 'direct', 'pool', 'direct', 'direct', 'pool', 'pool', 'direct']);
});

test('a failure of the direct way is a rejection', async () => {
  const choice = new DirectOrPool(() => 0);
  const fail = () => {
    throw new Error('EIO');
  };
  await expect(choice.do(1, fail, async () => 1)).rejects.toThrow('EIO');
});
