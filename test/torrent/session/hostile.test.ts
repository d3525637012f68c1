// What peers may do to a session, on real sockets: each costs a connection at most, bounded memory, and no
// transfer of others. (jest fails a test that leaves a rejection unhandled.)
import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, test } from '@jest/globals';
import { encodeBencode } from '../../../torrent/bencode.ts';
import { Bitfield } from '../../../torrent/bitfield.ts';
import { MemoryStorage } from '../../../torrent/storage/memory.ts';
import { until } from '../../base/until.ts';
import { makeTorrent } from '../storage/content.ts';
import { addressOf, closeAll, completion, startSession, ticks } from './harness.ts';
import { dialRaw, listenRaw, type RawPeer } from './raw-peer.ts';

const BLOCK = 16 * 1024;
const { metainfo, content } = makeTorrent([{ path: 'a', length: 43 * 4 * BLOCK }], {
  pieceLength: 4 * BLOCK,
});
const { pieceCount, infoHash } = metainfo;

afterEach(closeAll);

async function startSeed(options: Parameters<typeof startSession>[0] = {}) {
  const session = await startSession(options);
  const torrent = session.add({
    metainfo,
    storage: new MemoryStorage(metainfo, content),
    policy: 'cluster',
    discovery: [],
  });
  return { session, torrent };
}

async function startLeecher(options: Parameters<typeof startSession>[0] = {}) {
  const session = await startSession(options);
  const storage = new MemoryStorage(metainfo);
  const torrent = session.add({ metainfo, storage, policy: 'cluster', discovery: [] });
  return { session, torrent, storage };
}

/** A peer that has exchanged handshakes with the session. */
async function greeted(
  port: number,
  options: Parameters<RawPeer['greet']>[1] = {},
  host = '127.0.0.1',
): Promise<RawPeer> {
  const peer = await dialRaw(port, pieceCount, host);
  peer.greet(infoHash, options);
  await until('it answers', () => peer.isGreeted);
  return peer;
}

/** An honest leecher still gets everything. */
async function expectStillServing({ session }: { session: { port: number } }): Promise<void> {
  const { torrent, storage } = await startLeecher();
  torrent.addPeers([{ host: '127.0.0.1', port: session.port }]);
  await completion(torrent);
  expect(storage.content.equals(content)).toBe(true);
}

describe('before the handshake', () => {
  test.each([
    ['an encrypted opening', randomBytes(96).fill(0, 0, 1)],
    ['another protocol', Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n')],
    ['a wrong last letter', Buffer.from('\x13BitTorrent protocoL', 'latin1')],
  ])('%s is ended in order, at once', async (_, opening) => {
    const seed = await startSeed();
    const peer = await dialRaw(seed.session.port, pieceCount);
    peer.send(opening);
    await peer.end(2);
    expect(peer.ended).toBe('end');
  });

  test('who opens encrypted (MSE) and comes back in clear is a peer like any, however often', async () => {
    const seed = await startSeed();
    for (let i = 0; i < 50; i++) {
      // 96 bytes of a public key and some padding, as such clients open.
      const encrypted = await dialRaw(seed.session.port, pieceCount);
      encrypted.send(randomBytes(96 + (i % 7) * 50).fill(0xa5, 0, 1));
      await encrypted.end(2);
      expect(encrypted.ended).toBe('end');
    }
    const clear = await greeted(seed.session.port);
    clear.writer.interested();
    clear.writer.request(0, 0, BLOCK);
    clear.flush();
    await until('it is served', () => clear.heard.some((words) => /unchoke|block/.test(words)));
    expect(seed.torrent.progress().peers).toBe(1);
  });

  test('an unknown info hash is ended', async () => {
    const seed = await startSeed();
    const peer = await dialRaw(seed.session.port, pieceCount);
    peer.greet(Buffer.alloc(20, 7));
    await peer.end(2);
    expect(peer.isGreeted).toBe(false);
  });

  test('a handshake byte by byte is fine; one that takes longer than 10 s is ended', async () => {
    let ahead = 0;
    const seed = await startSeed({ clock: { monotonic: () => performance.now() + ahead } });
    const slow = await dialRaw(seed.session.port, pieceCount);
    const whole = Buffer.concat([
      Buffer.from('\x13BitTorrent protocol', 'latin1'),
      Buffer.alloc(8),
      infoHash,
    ]);
    for (const byte of whole) slow.send(Buffer.of(byte));
    await until('some ticks', ticks(2));
    expect(slow.ended).toBeUndefined();
    ahead = 10_500;
    await slow.end(2);
    expect(seed.torrent.progress().peers).toBe(0);
  });

  test('sockets without a handshake are bounded in number', async () => {
    const seed = await startSeed();
    const peers = await Promise.all(
      Array.from({ length: 230 }, () => dialRaw(seed.session.port, pieceCount)),
    );
    await until('some are refused', () => peers.filter(({ ended }) => ended !== undefined).length >= 30);
    expect(peers.filter(({ ended }) => ended === undefined).length).toBeLessThanOrEqual(200);
    for (const { socket } of peers) socket.destroy();
    await expectStillServing(seed);
  });

  test.each([
    ['that strangers may have before a handshake', undefined, 150],
    ['that strangers may have of all connections', 40, 30],
  ])('a host that takes all places %s gives one to another host', async (_, maxConnections, most) => {
    const seed = await startSeed({ maxConnections });
    const mute = await Promise.all(Array.from({ length: 210 }, () => dialRaw(seed.session.port, pieceCount)));
    const waiting = () => mute.filter(({ ended }) => ended === undefined).length;
    await until('the rest is refused', () => waiting() === most);
    await greeted(seed.session.port, {}, '127.0.0.5');
    await until('the oldest one gave way', () => waiting() === most - 1);
    expect(mute[0]?.ended).toBeDefined();
    expect(seed.torrent.progress().peers).toBe(1);
  });

  test('a peer that dials itself, or another torrent’s peer, is no peer', async () => {
    const { session, torrent } = await startLeecher();
    const { address, peer } = await listenRaw(pieceCount);
    torrent.addPeers([address]);
    const raw = await peer;
    raw.greet(infoHash, { peerId: session.peerId });
    await raw.end();
    expect(torrent.progress().peers).toBe(0);
  });
});

describe('messages that no peer may send end the connection, and others go on', () => {
  const bytes = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex');
  test.each<[string, (peer: RawPeer) => void]>([
    ['a length of 4 GiB', (peer) => peer.send(bytes('ffffffff 07'))],
    ['a block of 1 MiB', (peer) => peer.send(bytes('00100009 07'))],
    ['a have of 6 bytes', (peer) => peer.send(bytes('00000006 04 0000000000'))],
    ['a bitfield of the wrong length', (peer) => peer.send(bytes('00000003 05 ffff'))],
    ['an extended message without an id', (peer) => peer.send(bytes('00000001 14'))],
    ['an extended message of 1 MiB', (peer) => peer.send(bytes('00100000 14'))],
    ['an unknown message of 1 MiB', (peer) => peer.send(bytes('00100000 63'))],
    ['have of a piece beyond the end', (peer) => peer.writer.have(pieceCount)],
    ['a request beyond the end', (peer) => peer.writer.request(pieceCount, 0, BLOCK)],
    ['a request beyond its piece', (peer) => peer.writer.request(0, 4 * BLOCK, 1)],
    ['a request of no bytes', (peer) => peer.writer.request(0, 0, 0)],
    ['a request of 128 KiB', (peer) => peer.writer.request(0, 0, 8 * BLOCK)],
    ['a bitfield with spare bits', (peer) => peer.writer.bitfield(Buffer.alloc(6, 0xff))],
    [
      'a thousand bitfields',
      (peer) => {
        for (let i = 0; i < 1000; i++) peer.writer.bitfield(new Bitfield(pieceCount).toBytes());
      },
    ],
    [
      'a hundred blocks nobody asked for',
      (peer) => {
        for (let i = 0; i < 100; i++) peer.writer.block(i % pieceCount, 0, content.subarray(0, BLOCK));
      },
    ],
    ['ten thousand keep-alives', (peer) => peer.send(Buffer.alloc(40_000))],
    [
      'twenty introductions',
      (peer) => {
        for (let i = 0; i < 20; i++) peer.writer.extended(0, encodeBencode({ v: 'me' }));
      },
    ],
  ])('%s', async (_, say) => {
    const seed = await startSeed();
    const peer = await greeted(seed.session.port);
    say(peer);
    peer.flush();
    await peer.end();
    expect(seed.torrent.progress().peers).toBe(0);
    await expectStillServing(seed);
  });

  test.each<[string, (peer: RawPeer) => void]>([
    ['have all', (peer) => peer.writer.haveAll()],
    ['suggest', (peer) => peer.writer.suggest(0)],
    ['reject', (peer) => peer.writer.reject(0, 0, BLOCK)],
  ])('%s without the fast extension', async (_, say) => {
    const seed = await startSeed();
    const peer = await greeted(seed.session.port, { fast: false });
    say(peer);
    peer.flush();
    await peer.end();
  });
});

describe('odd things that are no reason to part', () => {
  test.each<[string, Uint8Array]>([
    ['rubbish', Buffer.from('rubbish')],
    ['an empty introduction', Buffer.from('de')],
    [
      'numbers out of range',
      encodeBencode({ m: { enxame: 300, ut_metadata: -1 }, metadata_size: 2 ** 50, p: 0, reqq: -5 }),
    ],
    ['a request queue of 0', encodeBencode({ reqq: 0 })],
    ['nesting without end', Buffer.from('l'.repeat(60_000))],
  ])('an introduction with %s', async (_, payload) => {
    const seed = await startSeed();
    const peer = await greeted(seed.session.port);
    peer.writer.extended(0, payload);
    peer.writer.extended(77, Buffer.from('what?'));
    peer.writer.haveNone();
    peer.writer.interested();
    peer.writer.request(0, 0, BLOCK);
    peer.flush();
    await until('it is unchoked or refused', () => peer.heard.some((words) => /unchoke|reject/.test(words)));
    expect(peer.ended).toBeUndefined();
  });
});

describe('peers that do not read, or do not answer', () => {
  test('one that asks and asks while choked, and reads nothing, is dropped', async () => {
    const seed = await startSeed();
    seed.torrent.pause();
    const peer = await greeted(seed.session.port);
    peer.socket.pause();
    for (let i = 0; i < 20_000; i++) peer.writer.request(i % pieceCount, 0, BLOCK);
    const flood = Buffer.concat(peer.writer.take());
    // Each request is refused by as many bytes as it has, which pile up until they are too many.
    for (let i = 0; i < 100 && seed.torrent.progress().peers === 1; i++) {
      peer.send(flood);
      await until(
        'it took that',
        () => peer.socket.writableLength < 8 * flood.length || seed.torrent.progress().peers === 0,
      );
    }
    await until('it is dropped', () => seed.torrent.progress().peers === 0);
    seed.torrent.resume();
    await expectStillServing(seed);
  });

  test('one that asks for everything and reads nothing holds no more than its share', async () => {
    const seed = await startSeed();
    const peer = await greeted(seed.session.port);
    peer.writer.haveNone();
    peer.writer.interested();
    peer.flush();
    await until('it is unchoked', () => peer.heard.some((words) => words.includes('unchoke')));
    peer.socket.pause();
    for (let i = 0; i < 5000; i++) peer.writer.request(i % pieceCount, (i % 4) * BLOCK, BLOCK);
    peer.flush();
    await until('some ticks', ticks(3));
    await expectStillServing(seed);
    // What was handed to its socket and the kernel took counts as sent.
    expect(seed.torrent.peers().find(({ ownAgent }) => !ownAgent)?.uploadedBytes ?? 0).toBeLessThan(
      16 * 1024 * 1024,
    );
  });

  test('one that says it has everything, lets us ask and sends nothing does not hold up the others', async () => {
    const { torrent, storage } = await startLeecher();
    const { address, peer } = await listenRaw(pieceCount);
    torrent.addPeers([address]);
    const mute = await peer;
    mute.greet(infoHash);
    mute.writer.haveAll();
    mute.writer.unchoke();
    mute.flush();
    await until('it is asked', () => mute.heard.some((words) => words.includes('request')));
    const seed = await startSeed();
    torrent.addPeers([addressOf(seed.session)]);
    await completion(torrent);
    expect(storage.content.equals(content)).toBe(true);
  });

  test.each(['end', 'reset'] as const)('one that goes in the middle of a block (%s)', async (how) => {
    const { torrent, storage } = await startLeecher();
    const { address, peer } = await listenRaw(pieceCount);
    torrent.addPeers([address]);
    const raw = await peer;
    raw.greet(infoHash);
    raw.writer.haveAll();
    raw.writer.unchoke();
    raw.flush();
    await until('it is asked', () => raw.heard.some((words) => words.includes('request')));
    raw.writer.block(0, 0, content.subarray(0, BLOCK));
    raw.send(Buffer.concat(raw.writer.take()).subarray(0, 1000));
    if (how === 'end') raw.socket.end();
    else raw.socket.resetAndDestroy();
    await until('it is gone', () => torrent.progress().peers === 0);
    const seed = await startSeed();
    torrent.addPeers([addressOf(seed.session)]);
    await completion(torrent);
    expect(storage.content.equals(content)).toBe(true);
  });
});

test('peers that come in whatever number leave room for those that we choose', async () => {
  const { session, torrent } = await startLeecher();
  for (let i = 0; i < 50; i++) {
    const peer = await dialRaw(session.port, pieceCount);
    peer.greet(infoHash, { peerId: randomBytes(20) });
    await until('it is taken or refused', () => peer.isGreeted || peer.ended !== undefined);
  }
  const taken = torrent.progress().peers;
  expect(taken).toBeGreaterThan(20);
  expect(taken).toBeLessThan(40);
  const seed = await startSeed();
  torrent.addPeers([addressOf(seed.session)]);
  await completion(torrent);
  expect(torrent.progress().peers).toBeGreaterThanOrEqual(taken);
});

test('rubbish of many peers at once does not disturb a transfer', async () => {
  const seed = await startSeed({ limits: { uploadBytesPerSecond: 4 * 1024 * 1024 } });
  const { torrent, storage } = await startLeecher();
  torrent.addPeers([addressOf(seed.session)]);
  for (let i = 0; i < 40; i++) {
    const peer = await greeted(seed.session.port, { peerId: randomBytes(20), fast: i % 2 === 0 });
    const rubbish = randomBytes(2000);
    // Half of it is taken for messages of a possible length.
    if (i % 2 === 0) for (let at = 0; at + 3 < rubbish.length; at += 13) rubbish.writeUInt32BE(9, at);
    peer.send(rubbish);
  }
  await completion(torrent);
  expect(storage.content.equals(content)).toBe(true);
});
