// How many neighbours a torrent has, whom it dials, and which of two connections of one peer stays.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { PeerAddress } from '../../../../torrent/discovery/discovery.ts';
import { MemoryStorage } from '../../../../torrent/storage/memory.ts';
import type { PolicyName } from '../../../../torrent/swarm/policy/policy.ts';
import { encodeHandshake } from '../../../../torrent/wire/handshake.ts';
import { until } from '../../../base/until.ts';
import { makeTorrent } from '../../storage/content.ts';
import { addressOf, afterwards, closeAll, FakeDiscovery, startSession, ticks } from '../harness.ts';
import { dialRaw } from '../raw-peer.ts';

const { metainfo } = makeTorrent([{ path: 'a', length: 300_000 }]);
const { infoHash, pieceCount } = metainfo;

afterEach(closeAll);

async function startLeecher(policy: PolicyName, options: Parameters<typeof startSession>[0] = {}) {
  const session = await startSession(options);
  const discovery = new FakeDiscovery();
  const storage = new MemoryStorage(metainfo);
  const torrent = session.add({ metainfo, storage, policy, discovery: [discovery] });
  return { session, torrent, discovery, address: addressOf(session) };
}

let peers = 0;

function newPeerId(): Buffer {
  return Buffer.from(`-RAW000-${String(peers++).padStart(12, '0')}`);
}

/** A peer that only shakes hands; `dials` counts how often it is dialled. */
async function listen(peerId = newPeerId()): Promise<{ address: PeerAddress; dials: () => number }> {
  let dials = 0;
  const server = createServer((socket) => {
    dials++;
    socket.on('error', () => undefined);
    socket.once('data', () => socket.write(encodeHandshake(infoHash, peerId)));
    afterwards(() => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  afterwards(() => server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { address: { host: '127.0.0.1', port: address.port }, dials: () => dials };
}

/** Dials and shakes hands; true if the session answers. */
async function dial(port: number, peerId = newPeerId()) {
  const peer = await dialRaw(port, pieceCount);
  peer.greet(infoHash, { peerId });
  await until('it is taken or refused', () => peer.isGreeted || peer.ended !== undefined);
  return peer;
}

describe.each<[PolicyName, { dialled: number; most: number; asksAfter: number }]>([
  ['classic', { dialled: 40, most: 80, asksAfter: 30_000 }],
  ['cluster', { dialled: 15, most: 40, asksAfter: 5000 }],
])('%s', (policy, { dialled, most, asksAfter }) => {
  test(`dials ${dialled}, has ${most} at most, and leaves room for those it dials`, async () => {
    const { session, torrent } = await startLeecher(policy);
    const listeners = await Promise.all(Array.from({ length: dialled + 10 }, () => listen()));
    // Those who dial us first do not take every place.
    let taken = 0;
    while ((await dial(session.port)).isGreeted) taken++;
    expect(taken).toBe(most - Math.trunc(dialled / 2));
    torrent.addPeers(listeners.map(({ address }) => address));
    await until('it is full', () => torrent.progress().peers === most);
    await until('some ticks have passed', ticks(3));
    expect(torrent.progress().peers).toBe(most);
  });

  test(`dials no more than ${dialled} itself`, async () => {
    const { torrent } = await startLeecher(policy);
    const listeners = await Promise.all(Array.from({ length: dialled + 10 }, () => listen()));
    torrent.addPeers(listeners.map(({ address }) => address));
    await until('they are connected', () => torrent.progress().peers === dialled);
    await until('some ticks have passed', ticks(3));
    expect(listeners.filter(({ dials }) => dials() > 0)).toHaveLength(dialled);
  });

  test('below 20 neighbours more are asked for now and then, from 20 on not', async () => {
    // Time stands still unless the test moves it.
    let time = 1000;
    const { session, discovery } = await startLeecher(policy, { clock: { monotonic: () => time } });
    const asked = () => discovery.asked.filter((what) => what === 'needMore').length;
    while (peersOf(session) < 19) await dial(session.port);
    time += asksAfter;
    await until('more are asked for', () => asked() === 1);
    time += asksAfter - 1;
    await until('some ticks have passed', ticks(3));
    expect(asked()).toBe(1);
    time += 1;
    await until('more are asked for again', () => asked() === 2);
    await dial(session.port);
    time += asksAfter;
    await until('some ticks have passed', ticks(3));
    expect(asked()).toBe(2);
  });
});

function peersOf(session: { torrents(): { progress(): { peers: number } }[] }): number {
  return session.torrents()[0]?.progress().peers ?? 0;
}

test('two that dial each other at once keep the connection that the lower peer id dialled', async () => {
  for (const [low, high] of [
    ['a', 'b'],
    ['b', 'a'],
  ] as const) {
    const one = await startLeecher('cluster', { peerId: Buffer.alloc(20, low) });
    const other = await startLeecher('cluster', { peerId: Buffer.alloc(20, high) });
    one.torrent.addPeers([other.address]);
    other.torrent.addPeers([one.address]);
    const both = [one, other];
    await until('connected', () => both.every(({ torrent }) => torrent.peers().length === 1));
    await until('some ticks have passed', ticks(3));
    const dialler = both.find(({ session }) => session.peerId[0] === 'a'.charCodeAt(0));
    for (const each of both) {
      expect(each.torrent.peers()).toMatchObject([{ outgoing: each === dialler }]);
    }
  }
});

describe('one peer, one connection', () => {
  test('a peer id that comes again from elsewhere is refused while the first one is alive', async () => {
    // Of two that are begun at once, the one that the other side dialled stays.
    const { session, torrent } = await startLeecher('classic', { peerId: Buffer.alloc(20, 'z') });
    const peerId = newPeerId();
    const first = await dial(session.port, peerId);
    const { address } = await listen(peerId);
    torrent.addPeers([address]);
    await until('some ticks have passed', ticks(5));
    expect(torrent.progress().peers).toBe(1);
    expect(first.ended).toBeUndefined();
  });

  test('a peer that comes back after its connection broke unseen replaces it', async () => {
    let ahead = 0;
    const { session, torrent } = await startLeecher('classic', {
      clock: { monotonic: () => performance.now() + ahead },
    });
    const peerId = newPeerId();
    const first = await dial(session.port, peerId);
    ahead = 6000;
    const second = await dial(session.port, peerId);
    await first.end();
    expect(second.ended).toBeUndefined();
    expect(torrent.progress().peers).toBe(1);
  });

  test('an address that is told a hundred times is dialled once', async () => {
    const { torrent, discovery } = await startLeecher('classic');
    const { address, dials } = await listen();
    for (let i = 0; i < 50; i++) {
      torrent.addPeers([address, address]);
      discovery.give([{ ...address }]);
    }
    await until('connected', () => torrent.progress().peers === 1);
    await until('some ticks have passed', ticks(3));
    expect(dials()).toBe(1);
  });
});
