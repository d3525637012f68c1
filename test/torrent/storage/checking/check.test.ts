import { hash } from 'node:crypto';
import { expect, jest, test } from '@jest/globals';
import { hashPieces, readStamps } from '../../../../torrent/storage/checking/check.ts';
import type { TorrentFiles } from '../../../../torrent/storage/disk/files.ts';
import { Layout } from '../../../../torrent/storage/layout.ts';
import { makeTorrent, PIECE } from '../content.ts';

test('hashing from memory, which never waits, still lets everything else go on', async () => {
  const { metainfo, content } = makeTorrent([{ path: 'a', length: 30 * PIECE }]);
  const files = {
    async read(_index: number, into: Uint8Array, position: number) {
      content.copy(into, 0, position);
      return into.length;
    },
  };
  let turns = 0;
  let isHashing = true;
  const count = () => {
    turns++;
    if (isHashing) setImmediate(count);
  };
  setImmediate(count);
  let now = 0;
  const clock = jest.spyOn(performance, 'now').mockImplementation(() => now);
  const slow = (data: Buffer) => {
    now += 2;
    return hash('sha1', data, 'buffer');
  };
  let good = 0;
  const pieces = [...Array(metainfo.pieceCount).keys()];
  await hashPieces(metainfo, new Layout(metainfo), files, pieces, { hash: slow }, (_, isGood) => {
    if (isGood) good++;
  });
  isHashing = false;
  clock.mockRestore();
  expect(good).toBe(30);
  // 60 ms of hashing, in runs of about 5 ms.
  expect(turns).toBeGreaterThanOrEqual(5);
});

test('two pieces are read at the same time, and eight files are looked at', async () => {
  const { metainfo } = makeTorrent(Array.from({ length: 20 }, (_, i) => ({ path: `${i}`, length: PIECE })));
  let running = 0;
  let most = 0;
  const wait = async <T>(outcome: T): Promise<T> => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
    return outcome;
  };
  const files = {
    read: (_: number, into: Uint8Array) => wait(into.length),
    status: () => wait(undefined),
  } as unknown as TorrentFiles;
  const pieces = Array(metainfo.pieceCount).keys();
  const sha1 = (data: Buffer) => hash('sha1', data, 'buffer');
  await hashPieces(metainfo, new Layout(metainfo), files, [...pieces], { hash: sha1 }, () => undefined);
  expect(most).toBe(2);
  await readStamps(metainfo, files);
  expect(most).toBe(8);
});
