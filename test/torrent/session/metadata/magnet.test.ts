// Magnet links between sessions, and metadata asked of and given to peers that misbehave.
import { afterEach, describe, expect, test } from '@jest/globals';
import { encodeBencode } from '../../../../torrent/bencode.ts';
import type { Metainfo } from '../../../../torrent/metainfo.ts';
import { MemoryStorage } from '../../../../torrent/storage/memory.ts';
import {
  encodeMetadataData,
  encodeMetadataReject,
  encodeMetadataRequest,
  metadataPieces,
  parseMetadataMessage,
} from '../../../../torrent/wire/metadata-message.ts';
import { encodePeerExchange } from '../../../../torrent/wire/peer-exchange.ts';
import { until } from '../../../base/until.ts';
import { failureOf } from '../../failure.ts';
import { makeTorrent, PIECE } from '../../storage/content.ts';
import { addressOf, closeAll, completion, FakeDiscovery, startSession, ticks } from '../harness.ts';
import { dialRaw, listenRaw, type RawPeer } from '../raw-peer.ts';

/** So many pieces that the metadata has several pieces itself. */
const { metainfo, content } = makeTorrent([{ path: 'a', length: 2000 * PIECE - 5 }]);
const { infoHash, infoBytes, pieceCount } = metainfo;
const MAGNET = { policy: 'classic', discovery: [], infoHash } as const;

afterEach(closeAll);

async function startSeed(options: Parameters<typeof startSession>[0] = {}) {
  const session = await startSession(options);
  const storage = new MemoryStorage(metainfo, content);
  const torrent = session.add({ metainfo, storage, policy: 'classic', discovery: [] });
  return { session, torrent, address: addressOf(session) };
}

/** A session that knows the info hash only. */
async function startMagnet(options: Parameters<typeof startSession>[0] = {}, more: object = {}) {
  const session = await startSession(options);
  const opened: MemoryStorage[] = [];
  const join = session.addMagnet({
    ...MAGNET,
    openStorage: async (found: Metainfo) => {
      opened.push(new MemoryStorage(found));
      return opened[0] as MemoryStorage;
    },
    ...more,
  });
  return { session, join, opened };
}

test('an info hash and one peer are enough', async () => {
  const seed = await startSeed();
  const { join, opened, session } = await startMagnet();
  expect(session.get(join.infoHashHex)).toBeUndefined();
  join.addPeers([seed.address]);
  const torrent = await join.torrent;
  expect(torrent.metainfo.infoHashHex).toBe(metainfo.infoHashHex);
  expect(Buffer.from(torrent.metainfo.infoBytes).equals(infoBytes)).toBe(true);
  expect(session.get(join.infoHashHex)).toBe(torrent);
  await completion(torrent);
  expect(opened[0]?.content.equals(content)).toBe(true);
});

test('a peer that dials us gives it too; discovery is started once and goes on with the torrent', async () => {
  const discovery = new FakeDiscovery();
  const { join, session } = await startMagnet({}, { discovery: [discovery] });
  expect(discovery.asked).toEqual(['start']);
  expect(discovery.swarm?.progress().left).toBeGreaterThan(0);
  const seed = await startSeed();
  seed.torrent.addPeers([addressOf(session)]);
  const torrent = await join.torrent;
  discovery.give([seed.address]);
  await completion(torrent);
  expect(discovery.swarm?.progress().left).toBe(0);
  await session.remove(join.infoHashHex);
  expect(discovery.asked.filter((asked) => asked !== 'needMore')).toEqual(['start', 'completed', 'stop']);
});

test('two that know the info hash only wait for somebody who has the metadata', async () => {
  const [a, b] = [await startMagnet(), await startMagnet()];
  a.join.addPeers([addressOf(b.session)]);
  await until('connected', () => a.join.progress().peers === 1 && b.join.progress().peers === 1);
  const seed = await startSeed();
  seed.torrent.addPeers([addressOf(a.session), addressOf(b.session)]);
  for (const { join } of [a, b]) await completion(await join.torrent);
});

test('peers that are told by a peer without the metadata are asked too; addresses are good at any time', async () => {
  let open: (() => void) | undefined;
  const { join, session } = await startMagnet(
    {},
    {
      openStorage: async (found: Metainfo) => {
        await new Promise<void>((resolve) => {
          open = resolve;
        });
        return new MemoryStorage(found);
      },
    },
  );
  const { address, peer } = await listenRaw(pieceCount);
  join.addPeers([address]);
  const teller = await peer;
  teller.greet(infoHash);
  const { session: far } = await startSeed();
  teller.writer.extended(0, encodeBencode({ m: { ut_pex: 1 } }));
  teller.writer.extended(3, encodePeerExchange({ added: [addressOf(far)], dropped: [] }));
  teller.flush();
  await until('the metadata is here', () => open !== undefined);
  // The storage takes its time; a seed that is named now is not forgotten.
  await far.close();
  join.addPeers([(await startSeed()).address]);
  open?.();
  await completion(await join.torrent);
  // And so is one that is named through the join later on.
  const raw = await listenRaw(pieceCount);
  join.addPeers([raw.address]);
  await until('it is dialled', () => raw.connections() > 0);
  expect(session.torrents()).toHaveLength(1);
});

describe('ends with an error', () => {
  test('when it is removed', async () => {
    const discovery = new FakeDiscovery();
    const { session, join } = await startMagnet({}, { discovery: [discovery] });
    await session.remove(join.infoHashHex);
    await expect(join.torrent).rejects.toMatchObject({ code: 'Closed' });
    expect(discovery.asked).toEqual(['start', 'stop']);
    expect(
      failureOf(() => session.addMagnet({ ...MAGNET, infoHash: Buffer.alloc(3), openStorage })).code,
    ).toBe('InvalidRequest');
    session.addMagnet({ ...MAGNET, openStorage });
    expect(failureOf(() => session.addMagnet({ ...MAGNET, openStorage })).code).toBe('InvalidRequest');
  });

  const openStorage = () => Promise.reject(new Error('no room'));

  test('when its storage cannot be opened; then it may be added anew', async () => {
    const seed = await startSeed();
    const { session, join } = await startMagnet({}, { openStorage });
    join.addPeers([seed.address]);
    await expect(join.torrent).rejects.toThrow('no room');
    await until('it is forgotten', () => {
      try {
        session.addMagnet({ ...MAGNET, openStorage });
        return true;
      } catch {
        return false;
      }
    });
  });

  test('when the session is closed', async () => {
    const { session, join } = await startMagnet();
    await session.close();
    await expect(join.torrent).rejects.toMatchObject({ code: 'Closed' });
  });
});

/** A peer that offers metadata and answers as it is told. */
function offer(peer: RawPeer, answer: (piece: number) => Buffer, bytes = infoBytes.length): void {
  peer.onExtended = (id, payload) => {
    if (id !== 9) return;
    const message = parseMetadataMessage(payload);
    if (message?.kind !== 'request') return;
    peer.writer.extended(2, answer(message.piece));
    peer.flush();
  };
  peer.greet(infoHash, { peerId: Buffer.from('-RAW000-peer000000xx') });
  peer.writer.haveNone();
  peer.writer.extended(0, encodeBencode({ m: { ut_metadata: 9 }, metadata_size: bytes }));
  peer.flush();
}

describe('peers that misbehave', () => {
  const wrong = Buffer.from(infoBytes);
  wrong[wrong.length - 1] = 0;

  test.each<[string, (piece: number) => Buffer]>([
    ['gives wrong bytes', (piece) => encodeMetadataData(piece, wrong)],
    ['gives pieces of the wrong length', (piece) => encodeMetadataData(piece, infoBytes.subarray(0, 40_000))],
  ])('one that %s is ended and banned; another gives them', async (_, answer) => {
    const { join } = await startMagnet();
    const { address, peer } = await listenRaw(pieceCount);
    join.addPeers([address]);
    const liar = await peer;
    offer(liar, answer);
    await liar.end();
    const elsewhere = await listenRaw(pieceCount);
    join.addPeers([elsewhere.address]);
    const seed = await startSeed({ listen: { host: '127.0.0.2' } });
    join.addPeers([addressOf(seed.session, '127.0.0.2')]);
    await join.torrent;
    expect(elsewhere.connections()).toBe(0);
  });

  test.each<[string, (piece: number) => Buffer]>([
    ['refuses', (piece) => encodeMetadataReject(piece)],
    ['answers with rubbish', () => Buffer.from('rubbish')],
    ['answers other pieces', (piece) => encodeMetadataData((piece + 7) % 500, Buffer.alloc(500 * 16384))],
  ])('one that %s does not stand in the way', async (_, answer) => {
    const { join } = await startMagnet();
    const { address, peer } = await listenRaw(pieceCount);
    join.addPeers([address]);
    const odd = await peer;
    offer(odd, answer);
    await until('it is asked', () => odd.heard.some((words) => words.includes('extended 9')));
    join.addPeers([(await startSeed()).address]);
    await join.torrent;
  });

  test.each([
    ['huge', 64 * 1024 * 1024],
    ['negative', -1],
  ])('a size that is %s is no offer', async (_, bytes) => {
    const { join } = await startMagnet();
    const { address, peer } = await listenRaw(pieceCount);
    join.addPeers([address]);
    const odd = await peer;
    offer(odd, (piece) => encodeMetadataData(piece, infoBytes), bytes);
    join.addPeers([(await startSeed()).address]);
    await join.torrent;
    expect(odd.heard.some((words) => words.includes('extended 9'))).toBe(false);
  });

  test('one that sends a block is ended: nobody asked for it', async () => {
    const { join } = await startMagnet();
    const { address, peer } = await listenRaw(pieceCount);
    join.addPeers([address]);
    const odd = await peer;
    odd.greet(infoHash);
    odd.writer.block(0, 0, Buffer.alloc(16384));
    odd.flush();
    await odd.end();
  });
});

describe('what we give', () => {
  async function asking(count: number, seed: Awaited<ReturnType<typeof startSeed>>) {
    const peer = await dialRaw(seed.session.port, pieceCount);
    const got = { data: 0, reject: 0 };
    peer.onExtended = (id, payload) => {
      const message = id === 9 ? parseMetadataMessage(payload) : undefined;
      if (message !== undefined && message.kind !== 'request') got[message.kind]++;
    };
    peer.greet(infoHash);
    peer.writer.extended(0, encodeBencode({ m: { ut_metadata: 9 } }));
    for (let i = 0; i < count; i++) {
      peer.writer.extended(2, encodeMetadataRequest(i % metadataPieces(infoBytes.length)));
    }
    peer.flush();
    return got;
  }

  test('is each piece twice for one peer, and refusals after that', async () => {
    const pieces = metadataPieces(infoBytes.length);
    const seed = await startSeed();
    const got = await asking(2 * pieces + 5, seed);
    await until('all is answered', () => got.data + got.reject === 2 * pieces + 5);
    expect(got).toEqual({ data: 2 * pieces, reject: 5 });
  });

  test('keeps to the limit on uploads', async () => {
    let ahead = 0;
    const clock = { monotonic: () => ahead };
    const seed = await startSeed({ clock, limits: { uploadBytesPerSecond: 16 * 1024 } });
    const pieces = metadataPieces(infoBytes.length);
    expect(pieces).toBeGreaterThan(2);
    const got = await asking(pieces, seed);
    await until('the burst is through', () => got.data > 0);
    await until('ticks pass', ticks(3));
    expect(got).toEqual({ data: 1, reject: 0 });
    await until('the rest is allowed in time', () => {
      ahead += 100;
      return got.data === pieces;
    });
  });

  test('is nothing beyond the last piece, and a flood of rubbish is no reason to part', async () => {
    const seed = await startSeed();
    const peer = await dialRaw(seed.session.port, pieceCount);
    const heard: string[] = [];
    peer.onExtended = (id, payload) => {
      if (id === 9) heard.push(parseMetadataMessage(payload)?.kind ?? '?');
    };
    peer.greet(infoHash);
    peer.writer.extended(0, encodeBencode({ m: { ut_metadata: 9 } }));
    peer.writer.extended(2, Buffer.from('rubbish'));
    peer.writer.extended(2, encodeMetadataRequest(500));
    peer.flush();
    await until('it is answered', () => heard.length > 0);
    expect(heard).toEqual(['reject']);
    expect(peer.ended).toBeUndefined();
  });
});
