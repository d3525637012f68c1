// Whole sessions on real sockets over loopback.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { MemoryStorage } from '../../../torrent/storage/memory.ts';
import { openStorage } from '../../../torrent/storage/open-storage.ts';
import { until } from '../../base/until.ts';
import { failureOf } from '../failure.ts';
import { makeFolder, makeTorrent } from '../storage/content.ts';
import { FaultyDisk } from '../storage/disk/faulty-disk.ts';
import {
  addressOf,
  afterwards,
  closeAll,
  completion,
  FakeDiscovery,
  startSession,
  ticks,
} from './harness.ts';
import { listenRaw } from './raw-peer.ts';

const MIB = 1024 * 1024;
/** Several files, one of them shorter than a piece, and a short last piece. */
const FILES = [
  { path: 'a/large', length: 3 * MIB + 5 },
  { path: 'b', length: 100, executable: true },
  { path: 'c/d/e', length: MIB - 77 },
];
const { metainfo, content } = makeTorrent(FILES, { pieceLength: 64 * 1024 });

function newFolder(): string {
  const { folder, remove } = makeFolder();
  afterwards(remove);
  return folder;
}

async function onDisk(root = newFolder(), disk?: FaultyDisk) {
  const storage = await openStorage({
    metainfo,
    root: join(root, 'content'),
    resumeFile: join(root, 'resume'),
    ...(disk === undefined ? {} : { disk }),
  });
  afterwards(() => storage.close());
  return { root, storage };
}

function expectFiles(root: string): void {
  for (const [index, { path }] of FILES.entries()) {
    const { offsetBytes = 0, lengthBytes = 0 } = metainfo.files[index] ?? {};
    const expected = content.subarray(offsetBytes, offsetBytes + lengthBytes);
    expect(readFileSync(join(root, 'content', path)).equals(expected)).toBe(true);
  }
}

/** A session that has everything. */
async function startSeed(options: Parameters<typeof startSession>[0] = {}) {
  const session = await startSession(options);
  const torrent = session.add({
    metainfo,
    storage: new MemoryStorage(metainfo, content),
    policy: 'cluster',
    discovery: [],
  });
  return { session, torrent, address: addressOf(session) };
}

async function startLeecher(options: Parameters<typeof startSession>[0] = {}) {
  const session = await startSession(options);
  const storage = new MemoryStorage(metainfo);
  const torrent = session.add({ metainfo, storage, policy: 'cluster', discovery: [] });
  return { session, torrent, storage, address: addressOf(session) };
}

afterEach(closeAll);

describe.each(['cluster', 'classic'] as const)('%s', (policy) => {
  test('one seed, three leechers: each ends with the same bytes in its files', async () => {
    const seeding = await startSession();
    const seed = seeding.add({
      metainfo,
      storage: new MemoryStorage(metainfo, content),
      policy,
      discovery: [],
    });
    const leechers = await Promise.all(
      [1, 2, 3].map(async () => {
        const session = await startSession();
        const { root, storage } = await onDisk();
        return { session, root, torrent: session.add({ metainfo, storage, policy, discovery: [] }), storage };
      }),
    );
    const addresses = [seeding, ...leechers.map(({ session }) => session)].map((each) => addressOf(each));
    for (const { torrent } of leechers) torrent.addPeers(addresses);
    await Promise.all(leechers.map(({ torrent }) => completion(torrent)));
    for (const { root, storage, torrent } of leechers) {
      await storage.finalize();
      expectFiles(root);
      expect(torrent.progress()).toMatchObject({
        bytesLeft: 0,
        piecesHave: metainfo.pieceCount,
        totalBytes: content.length,
      });
    }
    // What left is what came: the content for each, what endgame brought twice, and but for the little that was
    // under way when two who had everything parted.
    const all = [seed, ...leechers.map(({ torrent }) => torrent)];
    const sum = (bytes: 'uploadedBytes' | 'wastedBytes') =>
      all.reduce((total, each) => total + each.progress()[bytes], 0);
    const came = 3 * content.length + sum('wastedBytes');
    await until('what came has left', () => sum('uploadedBytes') > 0.95 * came);
    expect(sum('uploadedBytes')).toBeLessThan(1.05 * came);
  });
});

test('a cluster leecher takes from a classic seed, and a classic one from a cluster seed', async () => {
  for (const [giving, taking] of [
    ['classic', 'cluster'],
    ['cluster', 'classic'],
  ] as const) {
    const [from, to] = [await startSession(), await startSession()];
    from.add({ metainfo, storage: new MemoryStorage(metainfo, content), policy: giving, discovery: [] });
    const storage = new MemoryStorage(metainfo);
    const torrent = to.add({ metainfo, storage, policy: taking, discovery: [] });
    torrent.addPeers([addressOf(from)]);
    await completion(torrent);
    expect(storage.content.equals(content)).toBe(true);
  }
});

test('a peer that vanishes half-way is made up for by another', async () => {
  const slow = await startSeed({ limits: { uploadBytesPerSecond: 2 * MIB } });
  const { torrent, storage } = await startLeecher();
  torrent.addPeers([slow.address]);
  await until('a quarter is there', () => torrent.progress().piecesHave > metainfo.pieceCount / 4);
  expect(torrent.complete).toBe(false);
  await slow.session.close();
  await until('it is gone', () => torrent.progress().peers === 0);
  const other = await startSeed();
  torrent.addPeers([other.address]);
  await completion(torrent);
  expect(storage.content.equals(content)).toBe(true);
});

test('a seed that comes back where it was is found again without being told', async () => {
  const first = await startSeed({ limits: { uploadBytesPerSecond: MIB } });
  const { torrent } = await startLeecher();
  torrent.addPeers([first.address]);
  await until('something is there', () => torrent.progress().piecesHave > 3);
  await first.session.close();
  await until('it is gone', () => torrent.progress().peers === 0);
  await startSeed({ listen: { host: '127.0.0.1', port: first.address.port } });
  await completion(torrent);
});

test('a peer that sends corrupt bytes is found and dropped, and the content completes from an honest one', async () => {
  // Another address than the honest one's, as a ban is of the host.
  const { address, peer, connections } = await listenRaw(metainfo.pieceCount, '127.0.0.2');
  const { torrent, storage } = await startLeecher();
  torrent.addPeers([address]);
  const liar = await peer;
  liar.onRequest = (piece, begin, length) => {
    const start = piece * metainfo.pieceLength + begin;
    const block = Buffer.from(content.subarray(start, start + length));
    if (begin === 0) block[0] = (block[0] as number) ^ 1;
    liar.writer.block(piece, begin, block);
    liar.flush();
  };
  liar.greet(metainfo.infoHash);
  liar.writer.haveAll();
  liar.writer.unchoke();
  liar.flush();
  await liar.end(20);
  expect(torrent.progress().wastedBytes).toBeGreaterThan(0);
  expect(torrent.progress().piecesHave).toBe(0);
  const honest = await startSeed();
  torrent.addPeers([honest.address, address]);
  await completion(torrent);
  expect(storage.content.equals(content)).toBe(true);
  await until('some ticks have passed', ticks(8));
  expect(connections()).toBe(1);
});

test('a restart goes on where it stopped: nothing verified is fetched again', async () => {
  const seed = await startSeed({ limits: { uploadBytesPerSecond: 2 * MIB } });
  const { root, storage } = await onDisk();
  const session = await startSession();
  const torrent = session.add({ metainfo, storage, policy: 'cluster', discovery: [] });
  torrent.addPeers([seed.address]);
  await until('a third is there', () => torrent.progress().piecesHave > metainfo.pieceCount / 3);
  await session.close();
  await storage.close();
  const had = storage.have.count;
  expect(had).toBeLessThan(metainfo.pieceCount);

  const again = await onDisk(root);
  expect(again.storage.have.count).toBe(had);
  const bytesHad = content.length - (await leftOf(again.storage));
  const other = await startSession();
  const resumed = other.add({ metainfo, storage: again.storage, policy: 'cluster', discovery: [] });
  expect(resumed.progress().bytesLeft).toBe(content.length - bytesHad);
  seed.session.setLimits({});
  resumed.addPeers([seed.address]);
  await completion(resumed);
  const { downloadedBytes, wastedBytes } = resumed.progress();
  expect(downloadedBytes - wastedBytes).toBe(content.length - bytesHad);
  await again.storage.finalize();
  expectFiles(root);
});

async function leftOf(storage: { have: { nextMissing(from: number): number } }): Promise<number> {
  let left = 0;
  for (let piece = storage.have.nextMissing(0); piece >= 0; piece = storage.have.nextMissing(piece + 1)) {
    left += metainfo.pieceLengthAt(piece);
  }
  return left;
}

describe('pause', () => {
  test('a torrent that begins paused dials nobody; resumed, it completes', async () => {
    const seed = await startSeed();
    const session = await startSession();
    const discovery = new FakeDiscovery();
    const torrent = session.add({
      metainfo,
      storage: new MemoryStorage(metainfo),
      policy: 'cluster',
      discovery: [discovery],
      paused: true,
    });
    torrent.addPeers([seed.address]);
    await until('some ticks have passed', ticks(3));
    expect(torrent.progress()).toMatchObject({ peers: 0, downloadedBytes: 0 });
    expect(discovery.asked).toEqual([]);
    torrent.resume();
    await completion(torrent);
    expect(discovery.asked).toEqual(['start', 'completed']);
  });

  test('in mid-download nothing more comes, and resumed it completes', async () => {
    const seed = await startSeed({ limits: { uploadBytesPerSecond: 2 * MIB } });
    const { torrent, storage } = await startLeecher();
    torrent.addPeers([seed.address]);
    await until('something is there', () => torrent.progress().piecesHave > 4);
    torrent.pause();
    expect(torrent.paused).toBe(true);
    // What had left the seed by then still comes.
    await until('some ticks have passed', ticks(4));
    const { downloadedBytes } = torrent.progress();
    await until('some ticks have passed', ticks(4));
    expect(torrent.progress().downloadedBytes).toBe(downloadedBytes);
    expect(torrent.complete).toBe(false);
    torrent.resume();
    await completion(torrent);
    expect(storage.content.equals(content)).toBe(true);
  });

  test('a paused seed serves nobody', async () => {
    const seed = await startSeed();
    seed.torrent.pause();
    const { torrent } = await startLeecher();
    torrent.addPeers([seed.address]);
    await until('connected', () => torrent.progress().peers === 1);
    await until('some ticks have passed', ticks(3));
    expect(seed.torrent.progress().uploadedBytes).toBe(0);
    seed.torrent.resume();
    await completion(torrent);
  });
});

/** True after so many ticks' time. */
describe('limits', () => {
  // 4 MiB at 4 MiB/s, less the burst of a quarter of a second; the margin is for the last blocks.
  const least = (content.length / (4 * MIB) - 0.25) * 1000 - 100;
  const limit = 4 * MIB;

  test.each([
    ['of the seed’s session', { seed: { limits: { uploadBytesPerSecond: limit } } }],
    ['of the leecher’s session', { leecher: { limits: { downloadBytesPerSecond: limit } } }],
  ])('%s is kept', async (_, options: { seed?: object; leecher?: object }) => {
    const seed = await startSeed(options.seed);
    const { torrent } = await startLeecher(options.leecher);
    const begun = performance.now();
    torrent.addPeers([seed.address]);
    await completion(torrent);
    expect(performance.now() - begun).toBeGreaterThan(least);
  });

  test.each(['uploadBytesPerSecond', 'downloadBytesPerSecond'] as const)(
    'of one torrent (%s) is kept, and can be lifted',
    async (kind) => {
      const seed = await startSeed();
      const { torrent } = await startLeecher();
      const limited = kind === 'uploadBytesPerSecond' ? seed.torrent : torrent;
      limited.setLimits({ [kind]: MIB });
      torrent.addPeers([seed.address]);
      const begun = performance.now();
      await until('a quarter is there', () => torrent.progress().piecesHave >= metainfo.pieceCount / 4);
      expect(performance.now() - begun).toBeGreaterThan(500);
      expect(torrent.complete).toBe(false);
      limited.setLimits({});
      await completion(torrent);
    },
  );
});

describe('the disk', () => {
  test('that is full pauses the torrent with an error; resumed with room, it completes', async () => {
    const seed = await startSeed();
    const disk = new FaultyDisk();
    const { root, storage } = await onDisk(newFolder(), disk);
    const session = await startSession();
    const torrent = session.add({ metainfo, storage, policy: 'cluster', discovery: [] });
    const errors: string[] = [];
    torrent.on('error', ({ code }) => errors.push(code));
    disk.fail('write', 'ENOSPC');
    torrent.addPeers([seed.address]);
    await until('it failed', () => errors.length > 0);
    await until('some ticks have passed', ticks(4));
    expect(errors).toEqual(['NoSpace']);
    expect(torrent.paused).toBe(true);
    expect(torrent.error?.code).toBe('NoSpace');
    expect(storage.have.isEmpty).toBe(true);
    disk.faults.clear();
    torrent.resume();
    expect(torrent.error).toBeUndefined();
    await completion(torrent);
    await storage.finalize();
    expectFiles(root);
  });

  test('that fails without anybody listening costs the process nothing', async () => {
    const seed = await startSeed();
    const disk = new FaultyDisk();
    const { storage } = await onDisk(newFolder(), disk);
    const session = await startSession();
    const torrent = session.add({ metainfo, storage, policy: 'cluster', discovery: [] });
    disk.fail('write', 'EIO');
    torrent.addPeers([seed.address]);
    await until('it failed', () => torrent.error !== undefined);
    expect(torrent.error?.code).toBe('DiskIo');
  });

  test('that cannot be read pauses the seed with an error, and its peer is free to go elsewhere', async () => {
    const disk = new FaultyDisk();
    const { root, storage } = await onDisk(newFolder(), disk);
    const filling = await startLeecherOn(storage);
    await filling.session.close();
    await storage.close();

    const again = await onDisk(root, disk);
    const session = await startSession();
    const seed = session.add({ metainfo, storage: again.storage, policy: 'cluster', discovery: [] });
    expect(seed.complete).toBe(true);
    disk.fail('read', 'EIO');
    const { torrent } = await startLeecher();
    torrent.addPeers([addressOf(session)]);
    await until('it failed', () => seed.error !== undefined);
    expect(seed.error?.code).toBe('DiskIo');
    expect(seed.paused).toBe(true);
    torrent.addPeers([(await startSeed()).address]);
    await completion(torrent);
  });

  /** Downloads everything into a storage. */
  async function startLeecherOn(storage: Awaited<ReturnType<typeof onDisk>>['storage']) {
    const seed = await startSeed();
    const session = await startSession();
    const torrent = session.add({ metainfo, storage, policy: 'cluster', discovery: [] });
    torrent.addPeers([seed.address]);
    await completion(torrent);
    return { session, torrent };
  }
});

describe('discovery', () => {
  test('is started, told of the end of the download, asked for more, and stopped', async () => {
    const seed = await startSeed();
    let ahead = 0;
    const session = await startSession({ clock: { monotonic: () => performance.now() + ahead } });
    const discovery = new FakeDiscovery();
    const torrent = session.add({
      metainfo,
      storage: new MemoryStorage(metainfo),
      policy: 'cluster',
      discovery: [discovery],
    });
    expect(discovery.asked).toEqual(['start']);
    expect(discovery.swarm).toMatchObject({ port: session.port, peerId: session.peerId });
    expect(discovery.swarm?.progress()).toEqual({ uploaded: 0, downloaded: 0, left: content.length });
    ahead = 6000;
    await until('it is asked for more', () => discovery.asked.includes('needMore'));
    discovery.give([{ host: '127.0.0.1', port: 0 }, { host: '', port: 5 }, seed.address]);
    await completion(torrent);
    await session.remove(torrent.infoHashHex);
    expect(discovery.asked.filter((asked) => asked !== 'needMore')).toEqual(['start', 'completed', 'stop']);
    expect(discovery.swarm?.progress()).toMatchObject({ left: 0 });
    expect(session.get(torrent.infoHashHex)).toBeUndefined();
    expect(session.torrents()).toEqual([]);
  });

  test('events: each piece once, then the end, once', async () => {
    const seed = await startSeed();
    const { torrent } = await startLeecher();
    const verified: number[] = [];
    let completed = 0;
    torrent.on('verified', (piece) => verified.push(piece));
    torrent.on('complete', () => completed++);
    torrent.addPeers([seed.address]);
    await completion(torrent);
    expect(verified.sort((a, b) => a - b)).toEqual([...Array(metainfo.pieceCount).keys()]);
    expect(completed).toBe(1);
  });
});

describe('a selfish torrent', () => {
  test('leaves the swarm when it is complete, an altruistic one seeds on', async () => {
    const seed = await startSeed();
    const session = await startSession();
    const discovery = new FakeDiscovery();
    const torrent = session.add({
      metainfo,
      storage: new MemoryStorage(metainfo),
      policy: 'classic',
      discovery: [discovery],
      seeding: 'selfish',
    });
    torrent.addPeers([seed.address]);
    await completion(torrent);
    await until('it took its leave', () => discovery.asked.includes('stop'));
    expect(discovery.asked.filter((asked) => asked !== 'needMore')).toEqual(['start', 'completed', 'stop']);
    expect(torrent.progress().peers).toBe(0);
    // Nobody gets anything from it, though it is there; the seed goes on.
    const { torrent: late } = await startLeecher();
    late.addPeers([addressOf(session)]);
    await until('some ticks have passed', ticks(5));
    expect(late.progress().piecesHave).toBe(0);
    late.addPeers([seed.address]);
    await completion(late);
  });

  test('that has everything already does not even come', async () => {
    const session = await startSession();
    const discovery = new FakeDiscovery();
    const storage = new MemoryStorage(metainfo, content);
    session.add({ metainfo, storage, policy: 'classic', discovery: [discovery], seeding: 'selfish' });
    await until('some ticks have passed', ticks(3));
    expect(discovery.asked).not.toContain('start');
  });
});

describe('connections', () => {
  test('two that dial each other at once keep one', async () => {
    const [a, b] = [await startLeecher(), await startLeecher()];
    a.torrent.addPeers([b.address]);
    b.torrent.addPeers([a.address]);
    await until('connected', () => a.torrent.progress().peers === 1 && b.torrent.progress().peers === 1);
    await until('some ticks have passed', ticks(5));
    for (const { torrent } of [a, b]) expect(torrent.peers()).toHaveLength(1);
    expect(a.torrent.peers()[0]?.outgoing).toBe(!b.torrent.peers()[0]?.outgoing);
    expect(a.torrent.peers()[0]).toMatchObject({ ownAgent: true, client: expect.stringMatching(/^Enxame/) });
  });

  test('nobody is connected with itself', async () => {
    const { torrent, address } = await startLeecher();
    torrent.addPeers([address]);
    await until('some ticks have passed', ticks(5));
    expect(torrent.progress().peers).toBe(0);
  });

  test('over IPv6', async () => {
    const seed = await startSeed({ listen: { host: '::1' } });
    const { torrent } = await startLeecher({ listen: { host: '::1' } });
    torrent.addPeers([addressOf(seed.session, '::1')]);
    await completion(torrent);
  });

  test.each([
    ['127.0.0.2', '127.0.0.2'],
    ['::ffff:127.0.0.2', '127.0.0.2'],
    ['0.0.0.0', undefined],
    ['::', undefined],
  ])('a session that listens on %s dials and announces from %s', async (host, from) => {
    const raw = await listenRaw(metainfo.pieceCount);
    const session = await startSession({ listen: { host } });
    const discovery = new FakeDiscovery();
    const storage = new MemoryStorage(metainfo);
    session.add({ metainfo, storage, policy: 'cluster', discovery: [discovery] });
    discovery.give([raw.address]);
    expect((await raw.peer).socket.remoteAddress).toBe(from ?? '127.0.0.1');
    expect(discovery.swarm?.localAddress).toBe(from);
  });

  test('an address of another family than the one we listen on is a dial that failed', async () => {
    const seed = await startSeed({ listen: { host: '::1' } });
    const { torrent } = await startLeecher({ listen: { host: '127.0.0.2' } });
    torrent.addPeers([addressOf(seed.session, '::1')]);
    await until('some ticks have passed', ticks(5));
    expect(torrent.progress().peers).toBe(0);
    const near = await startSeed();
    torrent.addPeers([near.address]);
    await completion(torrent);
  });

  test('no more than the session allows', async () => {
    const seed = await startSeed({ maxConnections: 2 });
    const leechers = await Promise.all([1, 2, 3, 4].map(() => startLeecher()));
    for (const { torrent } of leechers) torrent.addPeers([seed.address]);
    let most = 0;
    await until(
      'two at a time',
      () => {
        most = Math.max(most, seed.torrent.progress().peers);
        return leechers.filter(({ torrent }) => torrent.complete).length >= 2;
      },
      30,
    );
    expect(most).toBeLessThanOrEqual(2);
  });

  test('a torrent is in a session once, and in a closed one not at all', async () => {
    const { session, torrent } = await startLeecher();
    const again = {
      metainfo,
      storage: new MemoryStorage(metainfo),
      policy: 'cluster',
      discovery: [],
    } as const;
    expect(failureOf(() => session.add(again)).code).toBe('InvalidRequest');
    await Promise.all([session.remove(torrent.infoHashHex), session.remove(torrent.infoHashHex)]);
    session.add(again);
    await Promise.all([session.close(), session.close()]);
    expect(failureOf(() => session.add(again)).code).toBe('Closed');
    await expect(session.start()).rejects.toThrow('closed');
  });

  test('a port that is taken is an error of start()', async () => {
    const { address } = await startLeecher();
    await expect(startSession({ listen: { host: '127.0.0.1', port: address.port } })).rejects.toThrow(
      'EADDRINUSE',
    );
  });
});
