// Peer exchange (BEP 11) and the rest of BEP 10 between sessions, and with peers that say odd things.
import { afterEach, describe, expect, test } from '@jest/globals';
import { encodeBencode } from '../../../../torrent/bencode.ts';
import { parseInfo } from '../../../../torrent/metainfo.ts';
import { MemoryStorage } from '../../../../torrent/storage/memory.ts';
import type { PolicyName } from '../../../../torrent/swarm/policy/policy.ts';
import { parseExtensionHandshake } from '../../../../torrent/wire/extension.ts';
import { encodePeerExchange } from '../../../../torrent/wire/peer-exchange.ts';
import { until } from '../../../base/until.ts';
import { makeTorrent } from '../../storage/content.ts';
import { addressOf, closeAll, completion, startSession, ticks } from '../harness.ts';
import { dialRaw, listenRaw, type RawPeer } from '../raw-peer.ts';

const { metainfo } = makeTorrent([{ path: 'a', length: 300_000 }]);
const privateTorrent = makeTorrent([{ path: 'a', length: 300_000 }], { isPrivate: true });
const { pieceCount } = metainfo;

afterEach(closeAll);

test('the torrents of this file are what they are called', () => {
  expect(parseInfo(metainfo.infoBytes).isPrivate).toBe(false);
  expect(privateTorrent.metainfo.isPrivate).toBe(true);
});

async function startLeecher(policy: PolicyName, torrentOf = metainfo, now?: () => number) {
  const session = await startSession(now === undefined ? {} : { clock: { monotonic: now } });
  const storage = new MemoryStorage(torrentOf);
  const torrent = session.add({ metainfo: torrentOf, storage, policy, discovery: [] });
  return { session, torrent, address: addressOf(session) };
}

/** Two that know a third one only; resolves when that is connected to both. */
async function star(policy: PolicyName, torrentOf = metainfo) {
  const [hub, a, b] = await Promise.all([1, 2, 3].map(() => startLeecher(policy, torrentOf)));
  if (hub === undefined || a === undefined || b === undefined) throw new Error('three sessions');
  for (const { torrent } of [a, b]) torrent.addPeers([hub.address]);
  await until('the hub has both', () => hub.torrent.progress().peers === 2);
  return { hub, a, b };
}

test.each<[PolicyName, string, typeof metainfo]>([
  ['cluster', 'public', metainfo],
  ['cluster', 'private', privateTorrent.metainfo],
  ['classic', 'public', metainfo],
])('%s, a %s torrent: two that know a third one find each other', async (policy, _, torrentOf) => {
  const { a, b } = await star(policy, torrentOf);
  await until('all are connected', () => [a, b].every(({ torrent }) => torrent.progress().peers === 2));
});

test('classic, a private torrent: nobody is told of anybody', async () => {
  const { hub, a, b } = await star('classic', privateTorrent.metainfo);
  await until('rounds have passed', ticks(25));
  expect([hub, a, b].map(({ torrent }) => torrent.progress().peers)).toEqual([2, 1, 1]);
});

/** A foreign peer that is greeted and says under BEP 10 what it is given. */
async function foreign(port: number, says: object, torrentOf = metainfo): Promise<RawPeer> {
  const peer = await dialRaw(port, pieceCount);
  peer.greet(torrentOf.infoHash);
  peer.writer.haveNone();
  peer.writer.extended(0, encodeBencode(says as Parameters<typeof encodeBencode>[0]));
  peer.flush();
  await until('it is introduced', () => introductionsOf(peer).length > 0);
  return peer;
}

function introductionsOf(peer: RawPeer) {
  return peer.heard
    .filter((words) => words.startsWith('extended 0 '))
    .map((words) => parseExtensionHandshake(Buffer.from(words.slice(11), 'hex')));
}

describe('a private torrent of a cluster', () => {
  const { metainfo: hidden } = privateTorrent;

  test('offers exchange to own agents, once they are known, and not to foreign peers', async () => {
    const { session } = await startLeecher('cluster', hidden);
    const stranger = await foreign(session.port, { m: { ut_pex: 1 } }, hidden);
    const own = await foreign(session.port, { m: { ut_pex: 1, enxame: 2 } }, hidden);
    await until('it is introduced again', () => introductionsOf(own).length === 2);
    expect(introductionsOf(own).map(({ ids }) => ids.has('ut_pex'))).toEqual([false, true]);
    expect(introductionsOf(stranger).map(({ ids }) => ids.has('ut_pex'))).toEqual([false]);
  });

  test('neither tells foreign peers of others nor believes them', async () => {
    const { session, torrent } = await startLeecher('cluster', hidden);
    const other = await startLeecher('cluster', hidden);
    torrent.addPeers([other.address]);
    const trap = await listenRaw(pieceCount);
    const stranger = await foreign(session.port, { m: { ut_pex: 7 } }, hidden);
    stranger.writer.extended(3, encodePeerExchange({ added: [trap.address], dropped: [] }));
    stranger.flush();
    await until('rounds have passed', ticks(25));
    expect(trap.connections()).toBe(0);
    expect(stranger.heard.some((words) => words.startsWith('extended 7'))).toBe(false);
  });
});

describe('a foreign peer', () => {
  test('that tells of another is believed, once an interval', async () => {
    const { session } = await startLeecher('classic');
    const [first, second] = [await listenRaw(pieceCount), await listenRaw(pieceCount)];
    const peer = await foreign(session.port, { m: { ut_pex: 7 } });
    for (const { address } of [first, second]) {
      peer.writer.extended(3, encodePeerExchange({ added: [address], dropped: [] }));
    }
    peer.flush();
    await until('the first is dialled', () => first.connections() > 0);
    expect(second.connections()).toBe(0);
  });

  test('may tell rubbish', async () => {
    const { session } = await startLeecher('classic');
    const peer = await foreign(session.port, { m: { ut_pex: 7 } });
    peer.writer.extended(3, Buffer.from('rubbish'));
    peer.writer.extended(3, encodeBencode({ added: Buffer.alloc(60_000, 255) }));
    peer.flush();
    await until('some ticks', ticks(3));
    expect(peer.ended).toBeUndefined();
  });

  test('is told its own address, our port, our queue and who we are', async () => {
    const { session } = await startLeecher('classic');
    const [said] = introductionsOf(await foreign(session.port, {}));
    expect(said).toMatchObject({
      yourIp: Buffer.from([127, 0, 0, 1]),
      listenPort: session.port,
      requestQueue: 2000,
      client: expect.stringMatching(/^Enxame /),
      uploadOnly: false,
    });
  });
});

describe('lt_donthave (BEP 54)', () => {
  test('a piece that a peer lost is asked of it no more', async () => {
    const { torrent } = await startLeecher('classic');
    const { address, peer } = await listenRaw(pieceCount);
    torrent.addPeers([address]);
    const raw = await peer;
    raw.greet(metainfo.infoHash);
    raw.writer.haveAll();
    for (let piece = 1; piece < pieceCount; piece++) {
      const number = Buffer.alloc(4);
      number.writeUInt32BE(piece);
      raw.writer.extended(4, number);
    }
    raw.writer.unchoke();
    raw.flush();
    await until('it is asked', () => raw.heard.some((words) => words.startsWith('request')));
    await until('some ticks', ticks(2));
    const asked = raw.heard
      .filter((words) => words.startsWith('request'))
      .map((words) => words.split(' ')[1]);
    expect(new Set(asked)).toEqual(new Set(['0']));
    expect(torrent.peers()[0]?.piecesHave).toBe(1);
  });

  test.each([
    ['beyond the end', Buffer.from('ffffffff', 'hex')],
    ['of no number', Buffer.from('00', 'hex')],
  ])('a piece %s ends the connection', async (_, payload) => {
    const { session } = await startLeecher('classic');
    const peer = await foreign(session.port, {});
    peer.writer.extended(4, payload);
    peer.flush();
    await peer.end();
  });
});

test('a full torrent gives a place to a peer of higher priority, one at a time (BEP 40)', async () => {
  let ahead = 0;
  const { session, torrent } = await startLeecher('cluster', metainfo, () => performance.now() + ahead);
  let number = 0;
  const dial = async () => {
    const peer = await dialRaw(session.port, pieceCount);
    peer.greet(metainfo.infoHash, { peerId: Buffer.from(`-RAW000-${String(number++).padStart(12, '0')}`) });
    await until('it is taken or refused', () => peer.isGreeted || peer.ended !== undefined);
    return peer;
  };
  const first = await dial();
  first.writer.extended(0, encodeBencode({ yourip: Buffer.from([127, 0, 0, 1]) }));
  first.flush();
  while ((await dial()).isGreeted);
  const full = torrent.progress().peers;
  // All are younger than what may be ended.
  ahead = 6000;
  let isTaken = false;
  for (let tries = 0; tries < 30 && !isTaken; tries++) isTaken = (await dial()).isGreeted;
  expect(isTaken).toBe(true);
  await until('another one has gone', () => torrent.progress().peers === full);
  expect((await dial()).isGreeted).toBe(false);
});

test('two that only upload part, though one lacks pieces (BEP 21)', async () => {
  const { content } = makeTorrent([{ path: 'a', length: 300_000 }]);
  const session = await startSession();
  const storage = new MemoryStorage(metainfo, content);
  const torrent = session.add({ metainfo, storage, policy: 'classic', discovery: [] });
  const peer = await dialRaw(session.port, pieceCount);
  peer.greet(metainfo.infoHash);
  peer.writer.haveNone();
  peer.writer.extended(0, encodeBencode({ upload_only: 1 }));
  peer.flush();
  await peer.end();
  const leecher = await startLeecher('classic');
  leecher.torrent.addPeers([addressOf(session)]);
  await completion(leecher.torrent);
  expect(torrent.complete).toBe(true);
});
