// Files that are cut or replaced underneath a torrent that serves them.
import { existsSync, readFileSync, statSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { encodeBencode } from '../../../../torrent/bencode.ts';
import { MemoryStorage } from '../../../../torrent/storage/memory.ts';
import { openStorage } from '../../../../torrent/storage/open-storage.ts';
import { BLOCK_BYTES } from '../../../../torrent/wire/messages.ts';
import { until } from '../../../base/until.ts';
import { makeFolder, makeTorrent } from '../../storage/content.ts';
import {
  addressOf,
  afterwards,
  closeAll,
  completion,
  FakeDiscovery,
  startSession,
  ticks,
} from '../harness.ts';
import { dialRaw } from '../raw-peer.ts';

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

test('content that is only served: what is lost is withdrawn, and not fetched, the rest is served', async () => {
  const { folder, remove } = makeFolder();
  afterwards(remove);
  writeFileSync(join(folder, 'cut'), content.subarray(0, 10 * PIECE));
  writeFileSync(join(folder, 'whole'), content.subarray(10 * PIECE));
  const storage = await openStorage({ metainfo, root: folder, readOnly: true });
  afterwards(() => storage.close());
  const session = await startSession();
  const torrent = session.add({
    metainfo,
    storage,
    policy: 'cluster',
    discovery: [],
    losses: 'withdraw',
  });
  const damages: unknown[] = [];
  torrent.on('damaged', (...damage) => damages.push(damage));
  const peer = await leecher(session.port, true);
  truncateSync(join(folder, 'cut'), 4 * PIECE);
  peer.writer.request(7, 0, BLOCK_BYTES);
  peer.writer.request(2, 0, BLOCK_BYTES);
  peer.flush();
  await until('the rest is served', () => peer.heard.some((words) => words.startsWith('block 2 0 ')));
  await until('it is told', () => damages.length > 0);
  expect(damages).toEqual([[6, ['cut']]]);
  expect(torrent.error).toBeUndefined();
  // A seed that has it all is asked for nothing.
  const seed = await startSession();
  const whole = new MemoryStorage(metainfo, content);
  const source = seed.add({ metainfo, storage: whole, policy: 'cluster', discovery: [] });
  torrent.addPeers([addressOf(seed)]);
  await until('they are connected', () => source.peers().length === 1);
  await until('some ticks', ticks(3));
  expect([torrent.progress().downloadedBytes, torrent.progress().piecesHave]).toEqual([0, 10]);
});

test('what fails to be written because its file was removed is fetched again, and complete means that all is there', async () => {
  const { folder, remove } = makeFolder();
  afterwards(remove);
  const seed = await startSession({ limits: { uploadBytesPerSecond: 512 * 1024 } });
  seed.add({ metainfo, storage: new MemoryStorage(metainfo, content), policy: 'cluster', discovery: [] });
  const storage = await openOn(join(folder, 'content'));
  const session = await startSession();
  const torrent = session.add({ metainfo, storage, policy: 'cluster', discovery: [] });
  let isRight: boolean | undefined;
  torrent.on('complete', () => {
    isRight = readFileSync(join(folder, 'content', 'cut')).equals(content.subarray(0, 10 * PIECE));
  });
  torrent.addPeers([addressOf(seed)]);
  await until('a part is here', () => storage.have.count > 3 && existsSync(join(folder, 'content', 'cut')));
  unlinkSync(join(folder, 'content', 'cut'));
  await until('it is complete', () => isRight !== undefined);
  expect([isRight, torrent.error, storage.have.isFull]).toEqual([true, undefined, true]);
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
    // Each change has a look of its own.
    await torrent.checkFiles();
  }
  expect(torrent.error?.code).toBe('FileChanged');
});
