// Torrents of foreign programs have pieces of any length: whole swarms with pieces that are no power of two, shorter
// than a block, or longer than what is ever made here.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { MemoryStorage } from '../../../../torrent/storage/memory.ts';
import { openStorage } from '../../../../torrent/storage/open-storage.ts';
import { makeFolder, makeTorrent } from '../../storage/content.ts';
import { addressOf, afterwards, closeAll, completion, startSession } from '../harness.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Two files, whose border lies within a piece. */
function torrentOf(pieceLength: number, totalBytes: number) {
  const first = Math.trunc(totalBytes / 3);
  const files = [
    { path: 'one', length: first },
    { path: 'deep/two', length: totalBytes - first },
  ];
  return { files, ...makeTorrent(files, { pieceLength }) };
}

type Made = ReturnType<typeof torrentOf>;

function onDisk({ metainfo }: Made) {
  const { folder, remove } = makeFolder();
  afterwards(remove);
  const [root, resumeFile] = [join(folder, 'content'), join(folder, 'resume')];
  const open = async (fromResume: boolean) => {
    const storage = await openStorage({ metainfo, root, ...(fromResume ? { resumeFile } : {}) });
    afterwards(() => storage.close());
    return storage;
  };
  return { root, open };
}

function expectFiles(root: string, { files, content }: Made): void {
  let offset = 0;
  for (const { path, length } of files) {
    expect(readFileSync(join(root, path)).equals(content.subarray(offset, offset + length))).toBe(true);
    offset += length;
  }
}

async function startSeed({ metainfo, content }: Made) {
  const session = await startSession();
  const storage = new MemoryStorage(metainfo, content);
  session.add({ metainfo, storage, policy: 'classic', discovery: [] });
  return session;
}

afterEach(closeAll);

describe.each([
  [1, 700],
  [7, 3_001],
  [1_000, 300_500],
  [10_000, 1_234_567],
  [16 * KIB - 1, 40 * 16 * KIB],
  [16 * KIB + 1, 40 * 16 * KIB],
  [48 * KIB, 40 * 48 * KIB + 1],
  [700_001, 3_500_005],
  [100 * MIB, 105 * MIB],
])('pieces of %d bytes', (pieceLength, totalBytes) => {
  const made = torrentOf(pieceLength, totalBytes);

  test.each(['classic', 'cluster'] as const)('go from a seed to two leechers, %s', async (policy) => {
    const { metainfo } = made;
    const seed = await startSeed(made);
    const leechers = await Promise.all(
      [1, 2].map(async () => {
        const place = onDisk(made);
        const storage = await place.open(true);
        const session = await startSession();
        return {
          ...place,
          session,
          storage,
          torrent: session.add({ metainfo, storage, policy, discovery: [] }),
        };
      }),
    );
    const addresses = [seed, ...leechers.map(({ session }) => session)].map((each) => addressOf(each));
    for (const { torrent } of leechers) torrent.addPeers(addresses);
    await Promise.all(leechers.map(({ torrent }) => completion(torrent, 60)));
    for (const { root, open, session, storage } of leechers) {
      await storage.finalize();
      await session.close();
      await storage.close();
      expectFiles(root, made);
      // Both what is remembered and what is hashed again say that all is there.
      expect((await open(true)).have.isFull).toBe(true);
      expect((await open(false)).have.isFull).toBe(true);
    }
  });

  test('are read block by block from what is on the disk', async () => {
    const { metainfo, content } = made;
    const { open } = onDisk(made);
    const storage = await open(true);
    const pieces = [0, 1, metainfo.pieceCount - 1];
    for (const piece of new Set(pieces)) {
      const data = storage.allocatePiece(metainfo.pieceLengthAt(piece));
      content.copy(data, 0, piece * pieceLength);
      expect(await storage.writePiece(piece, data)).toBe('verified');
      const bytes = metainfo.pieceLengthAt(piece);
      const start = Math.max(0, bytes - 16 * KIB);
      const block = await storage.readBlock(piece, start, bytes - start);
      const at = piece * pieceLength;
      expect(Buffer.compare(block, content.subarray(at + start, at + bytes))).toBe(0);
      storage.release(block);
    }
  });
});

test('odd pieces come by a magnet link, and from a web seed', async () => {
  const made = torrentOf(10_000, 500_001);
  const { metainfo, content, files } = made;
  const server = createServer((request, response) => {
    const [, start, end] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? [];
    const offset = request.url === '/test/one' ? 0 : (files[0]?.length ?? 0);
    const [from, to] = [Number(start), Number(end)];
    const length = (request.url === '/test/one' ? files[0] : files[1])?.length ?? 0;
    response.writeHead(206, {
      'content-range': `bytes ${from}-${to}/${length}`,
      'content-length': to - from + 1,
    });
    response.end(content.subarray(offset + from, offset + to + 1));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  afterwards(() => server.close());

  const fromWeb = await startSession();
  const webSeeds = [`http://127.0.0.1:${(server.address() as AddressInfo).port}/`];
  const storage = new MemoryStorage(metainfo);
  const torrent = fromWeb.add({ metainfo, storage, policy: 'classic', discovery: [], webSeeds });
  await completion(torrent);

  const session = await startSession();
  const peers = [addressOf(fromWeb)];
  const join = session.addMagnet({
    infoHash: metainfo.infoHash,
    policy: 'classic',
    discovery: [
      { start: (_, onPeers) => onPeers(peers), announce() {}, needMore() {}, stop: async () => undefined },
    ],
    openStorage: async (found) => new MemoryStorage(found),
  });
  const joined = await join.torrent;
  await completion(joined);
  expect(joined.metainfo.pieceLength).toBe(10_000);
});
