import { expect, test } from '@jest/globals';
import { OpenFile, OpenFiles } from '../../../../torrent/storage/disk/open-files.ts';
import { FaultyDisk } from './faulty-disk.ts';

test('256 files of a process stay open, those that were used last', () => {
  const shared = new OpenFiles();
  const evicted: number[] = [];
  for (let i = 0; i < 300; i++)
    shared.touch(new OpenFile(new FaultyDisk(), false, Promise.resolve(-1)), () => evicted.push(i));
  expect(shared.size).toBe(256);
  expect(evicted).toEqual([...Array(44).keys()]);
});
