import { constants } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { DirectOrPool, diskFor, distantDisk, nodeDisk } from '../../../../torrent/storage/disk/disk.ts';
import { makeFolder } from '../content.ts';

test('reads and writes go the direct way until one is slow, and again once the pool is quick', async () => {
  let now = 0;
  let poolTakes = 0;
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
        now += poolTakes;
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
  expect(ways.splice(0)).toEqual(['direct', 'direct', 'pool', 'direct', 'direct', 'pool', 'pool']);
  now += 1;
  poolTakes = 21;
  await run(1000);
  await run(1000);
  poolTakes = 20;
  await run(1000);
  await run(1000);
  expect(ways).toEqual(['pool', 'pool', 'pool', 'direct']);
});

test('a disk that hangs is waited for in the pool alone', async () => {
  let now = 0;
  const choice = new DirectOrPool(() => now);
  let directs = 0;
  const direct = () => {
    directs++;
    now += 5000;
    return 1;
  };
  await choice.do(1, direct, async () => 1);
  now += 10_000;
  for (let i = 0; i < 5; i++) void choice.do(1, direct, () => new Promise(() => {}));
  now += 60_000;
  void choice.do(1, direct, () => new Promise(() => {}));
  expect(directs).toBe(1);
});

test.each([
  ['ext4', 0xef53, nodeDisk],
  ['tmpfs', 0x01021994, nodeDisk],
  ['NFS', 0x6969, distantDisk],
  ['CIFS', 0xff534d42, distantDisk],
  ['FUSE', 0x65735546, distantDisk],
])('files on %s are read and written so that the main loop may wait, or need not', async (_, magic, disk) => {
  const asked: string[] = [];
  const found = await diskFor('/there/not/yet', async (path) => {
    asked.push(path);
    if (path !== '/there') throw new Error('ENOENT');
    return magic;
  });
  expect(found).toBe(disk);
  expect(asked).toEqual(['/there/not/yet', '/there/not', '/there']);
});

test('without an answer it is a disk like others', async () => {
  expect(await diskFor('/there', () => Promise.reject(new Error('EACCES')))).toBe(nodeDisk);
  expect(await diskFor(tmpdir())).toBe(nodeDisk);
});

test('a distant disk works as a near one does, and never at once', async () => {
  const { folder, remove } = makeFolder();
  const fd = await distantDisk.open(join(folder, 'a'), constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    expect(await distantDisk.write(fd, Buffer.from('bytes'), 3)).toBe(5);
    const into = Buffer.alloc(10);
    expect(await distantDisk.read(fd, into, 0)).toBe(8);
    expect(into.toString('latin1', 3, 8)).toBe('bytes');
    expect(distantDisk.statusNow(fd)).toBeInstanceOf(Promise);
    expect(await distantDisk.statusNow(fd)).toMatchObject({ sizeBytes: 8, links: 1 });
    await expect(distantDisk.read(-1, into, 0)).rejects.toThrow();
    await expect(distantDisk.write(-1, into, 0)).rejects.toThrow();
  } finally {
    await distantDisk.close(fd);
    remove();
  }
});

test('a failure of the direct way is a rejection', async () => {
  const choice = new DirectOrPool(() => 0);
  const fail = () => {
    throw new Error('EIO');
  };
  await expect(choice.do(1, fail, async () => 1)).rejects.toThrow('EIO');
});
