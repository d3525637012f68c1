// Files that are cut or replaced underneath a torrent that serves them.
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { encodeBencode } from '../../../torrent/bencode.ts';
import { MemoryStorage } from '../../../torrent/storage/memory.ts';
import { openStorage } from '../../../torrent/storage/storage.ts';
import { BLOCK_BYTES } from '../../../torrent/wire/messages.ts';
import { makeFolder, makeTorrent } from '../storage/content.ts';
import {
  addressOf,
  afterwards,
  closeAll,
  completion,
  FakeDiscovery,
  startSession,
  ticks,
  until,
} from './harness.ts';
import { dialRaw } from './raw-peer.ts';

const PIECE = 64 * 1024;
const { metainfo, content } = makeTorrent(
  [
    { path: 'cut', length: 10 * PIECE },
    { path: 'whole', length: 6 * PIECE },
  ],
  { pieceLength: PIECE },
);
const { pieceCount } = metainfo;

afterEach(closeAll);

async function openOn(root: string, alreadyVerified = false) {
  const storage = await openStorage({ metainfo, root, alreadyVerified });
  afterwards(() => storage.close());
  return storage;
}

/** A torrent on disk that was downloaded from a seed. */
async function downloaded() {
  const { folder, remove } = makeFolder();
  afterwards(remove);
  const seed = await startSession();
  seed.add({
    metainfo,
    storage: new MemoryStorage(metainfo, content),
    policy: 'cluster',
    discovery: [],
  });
  const storage = await openOn(join(folder, 'content'));
  const session = await startSession();
  const discovery = new FakeDiscovery();
  const torrent = session.add({ metainfo, storage, policy: 'cluster', discovery: [discovery] });
  let completions = 0;
  torrent.on('complete', () => completions++);
  torrent.addPeers([addressOf(seed)]);
  await completion(torrent);
  const file = (name: string) => join(folder, 'content', name);
  return { seed, session, storage, torrent, file, discovery, completions: () => completions };
}

/** A leecher that knows lt_donthave as message 9, or does not. */
async function leecher(port: number, knowsLosses: boolean) {
  const peer = await dialRaw(port, pieceCount);
  const peerId = Buffer.from(`-RAW000-losses-${knowsLosses ? 'known' : 'never'}`);
  peer.greet(metainfo.infoHash, { peerId });
  peer.writer.haveNone();
  peer.writer.extended(0, encodeBencode({ m: { enxame: 1, ...(knowsLosses ? { lt_donthave: 9 } : {}) } }));
  peer.writer.interested();
  peer.flush();
  await until('unchoked', () => peer.heard.includes('unchoke'));
  return peer;
}

test('a file that was cut: neighbours are told or left, what is lost is fetched again, the rest is served', async () => {
  const { seed, session, storage, torrent, file, discovery, completions } = await downloaded();
  const told = await leecher(session.port, true);
  const ignorant = await leecher(session.port, false);
  truncateSync(file('cut'), 4 * PIECE);
  told.writer.request(7, 0, BLOCK_BYTES);
  told.writer.request(12, 0, BLOCK_BYTES);
  told.flush();
  const losses = () => told.heard.filter((words) => words.startsWith('extended 9 '));
  await until('it is told of all', () => losses().length === 6);
  expect(losses().map((words) => Number.parseInt(words.slice(11), 16))).toEqual([4, 5, 6, 7, 8, 9]);
  expect(told.heard).toContain(`reject 7 0 ${BLOCK_BYTES}`);
  await until('the rest is served', () => told.heard.some((words) => words.startsWith('block 12 0 ')));
  await ignorant.end();
  expect(told.ended).toBeUndefined();
  expect(torrent.error).toBeUndefined();

  torrent.addPeers([addressOf(seed)]);
  await until('it is whole again', () => torrent.complete && torrent.progress().bytesLeft === 0);
  expect(storage.have.isFull).toBe(true);
  expect(readFileSync(file('cut')).equals(content.subarray(0, 10 * PIECE))).toBe(true);
  await until('the pieces are announced', () => told.heard.includes('have 7'));
  // Nobody is told twice that it is complete.
  expect(completions()).toBe(1);
  expect(discovery.asked.filter((asked) => asked === 'completed')).toHaveLength(1);
});

test('a file of somebody’s own, which we never wrote, is left as it is: that is an error', async () => {
  const { folder, remove } = makeFolder();
  afterwards(remove);
  const cut = join(folder, 'cut');
  writeFileSync(cut, content.subarray(0, 10 * PIECE));
  writeFileSync(join(folder, 'whole'), content.subarray(10 * PIECE));
  const session = await startSession();
  const torrent = session.add({
    metainfo,
    storage: await openOn(folder, true),
    policy: 'cluster',
    discovery: [],
  });
  const peer = await leecher(session.port, true);
  truncateSync(cut, 4 * PIECE);
  peer.writer.request(7, 0, BLOCK_BYTES);
  peer.flush();
  await until('it failed', () => torrent.error !== undefined);
  expect(torrent.error?.code).toBe('FileChanged');
  expect(torrent.paused).toBe(true);
  await until('some ticks', ticks(3));
  expect(statSync(cut).size).toBe(4 * PIECE);
});

test('a file that somebody else goes on changing ends as an error', async () => {
  const { session, storage, torrent, file } = await downloaded();
  await storage.saveResume();
  const peer = await leecher(session.port, true);
  for (let round = 0; torrent.error === undefined && round < 100; round++) {
    expect(existsSync(file('cut'))).toBe(true);
    truncateSync(file('cut'), (9 - (round % 9)) * PIECE);
    const piece = 9 - (round % 9);
    const answers = () => peer.heard.filter((words) => words.startsWith('reject')).length;
    const before = answers();
    peer.writer.request(piece, 0, BLOCK_BYTES);
    peer.flush();
    await until('it answers', () => answers() > before || peer.ended !== undefined);
    if (peer.ended !== undefined) break;
    await until('it was looked at', () => !storage.have.get(piece) || torrent.error !== undefined);
  }
  expect(torrent.error?.code).toBe('FileChanged');
});
