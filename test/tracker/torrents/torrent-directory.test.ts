import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { TorrentDirectory } from '../../../tracker/torrents/torrent-directory.ts';
import { until } from '../../base/until.ts';
import { type CollectedLog, collectedLog } from '../collected-log.ts';
import { torrentFile } from '../torrent-bytes.ts';

let folder: string;
let log: CollectedLog;
let directory: TorrentDirectory | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'enxame-torrents-'));
  log = collectedLog();
});

afterEach(async () => {
  await directory?.close();
  directory = undefined;
  await rm(folder, { recursive: true });
});

const put = (name: string, bytes: Uint8Array | string) => writeFile(join(folder, name), bytes);

test('serves what lies in the folder, and nothing else', async () => {
  const one = torrentFile('one');
  await put('one.torrent', one.bytes);
  await put('one.txt', torrentFile('text').bytes);
  await put('bad.torrent', 'd4:infoi1ee');
  await put('empty.torrent', '');
  directory = await TorrentDirectory.open(folder, log);
  expect([...directory.list()]).toEqual([{ infoHashHex: one.infoHashHex, name: 'one', totalBytes: 3 }]);
  expect(directory.get(one.infoHashHex)?.name).toBe('one');
  expect(directory.get('aa'.repeat(20))).toBeUndefined();
  expect(await directory.readMetainfo(one.infoHashHex)).toEqual(one.bytes);
  expect(log.lines.map(({ message }) => message)).toEqual([
    'not served: no proper .torrent file',
    'not served: no proper .torrent file',
  ]);
});

test('files that come, change and go change the list', async () => {
  const [one, two, three] = [torrentFile('one'), torrentFile('two'), torrentFile('three')];
  await put('a.torrent', one.bytes);
  directory = await TorrentDirectory.open(folder, log);
  const removed: string[] = [];
  directory.onChange((change) => removed.push(...change.removed));
  const served = () => [...(directory?.list() ?? [])].map(({ name }) => name).sort();
  await put('b.torrent', two.bytes);
  await until('both are served', () => served().length === 2);
  // Replaced by rename, as careful writers do.
  await put('b.tmp', three.bytes);
  await rename(join(folder, 'b.tmp'), join(folder, 'b.torrent'));
  await until('the third is served', () => served().includes('three'));
  await rm(join(folder, 'a.torrent'));
  await until('one is left', () => served().length === 1);
  expect(served()).toEqual(['three']);
  expect(removed).toEqual([two.infoHashHex, one.infoHashHex]);
  expect(await directory.readMetainfo(one.infoHashHex)).toBeUndefined();
});

test('a torrent in two files stays while one of them does', async () => {
  const one = torrentFile('one');
  await put('a.torrent', one.bytes);
  await put('b.torrent', one.bytes);
  directory = await TorrentDirectory.open(folder, log);
  await rm(join(folder, 'a.torrent'));
  await put('c.torrent', torrentFile('two').bytes);
  await until('both are listed', () => [...(directory as TorrentDirectory).list()].length === 2);
  expect(directory.get(one.infoHashHex)).toBeDefined();
  expect(await directory.readMetainfo(one.infoHashHex)).toEqual(one.bytes);
});

test('a folder that is not there is an error', async () => {
  await expect(TorrentDirectory.open(join(folder, 'none'), log)).rejects.toThrow('ENOENT');
});
