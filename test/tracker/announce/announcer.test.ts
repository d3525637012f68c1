import { describe, expect, test } from '@jest/globals';
import { Announcer } from '../../../tracker/announce/announcer.ts';
import { nodeTimer, WaitingRoom } from '../../../tracker/announce/waiting-room.ts';
import { NO_CREDENTIALS } from '../../../tracker/rights/rights.ts';
import { compactHost } from '../../../tracker/swarms/peer-address.ts';
import { SwarmRegistry } from '../../../tracker/swarms/registry.ts';
import { MutableTorrentList } from '../../../tracker/torrents/torrents.ts';
import { announceQuery, escapeBytes, hashOf } from '../announce-query.ts';
import { decode } from '../bdecode.ts';
import { seededRandom } from '../seeded-random.ts';

const A = 'aa'.repeat(20);

function announcerWith(arrivalWaitMilliseconds = 0) {
  const torrents = new MutableTorrentList();
  torrents.isSynced = true;
  const random = seededRandom(1);
  const registry = new SwarmRegistry({ now: 0, random });
  const arrivals = new WaitingRoom({ maxWaiting: 10, startTimer: nodeTimer });
  const clock = { now: 0 };
  const announcer = new Announcer({
    torrents,
    registry,
    arrivals,
    arrivalWaitMilliseconds,
    random,
    now: () => clock.now,
  });
  const announce = async (changes: Parameters<typeof announceQuery>[0], from = '192.0.2.1') => {
    const { body, outcome } = await announcer.announce({
      query: announceQuery(changes),
      host: compactHost(from),
      credentials: NO_CREDENTIALS,
    });
    return { reply: decode(Buffer.from(body, 'latin1')) as Record<string, unknown>, outcome };
  };
  return { announcer, torrents, registry, arrivals, clock, announce };
}

describe('announce', () => {
  test('peers of a swarm learn of each other', async () => {
    const { torrents, announce } = announcerWith();
    torrents.add('test', { infoHashHex: A });
    await announce({ left: 0, port: 1 }, '192.0.2.1');
    const { reply } = await announce({ left: 5, port: 2 }, '::ffff:192.0.2.2');
    expect(reply).toMatchObject({ complete: 1, incomplete: 1, peers: Buffer.from('c00002010001', 'hex') });
  });

  test('a torrent that is not served is refused, without a word on when to come back', async () => {
    const { announce } = announcerWith();
    const { reply, outcome } = await announce({});
    expect(outcome).toBe('UnknownTorrent');
    expect(Object.keys(reply)).toEqual(['failure reason']);
  });

  test('one that comes to the list in time is served', async () => {
    const { torrents, arrivals, announce } = announcerWith(10_000);
    const answer = announce({});
    torrents.add('test', { infoHashHex: A });
    arrivals.call(A);
    expect((await answer).outcome).toBe('ok');
  });

  test('a tracker whose list is not read says so', async () => {
    const { torrents, announce } = announcerWith();
    torrents.isSynced = false;
    expect((await announce({})).outcome).toBe('NotReady');
  });

  test('a request that makes no sense need not come again', async () => {
    const { announce } = announcerWith();
    const { reply, outcome } = await announce({ port: 0 });
    expect(outcome).toBe('BadParameter');
    expect(reply).toEqual({
      'failure reason': Buffer.from('port must be a number from 1 to 65535'),
      'retry in': Buffer.from('never'),
    });
  });

  test('nobody lacks more than the torrent has', async () => {
    const { torrents, registry, announce } = announcerWith();
    torrents.add('test', { infoHashHex: A, totalBytes: 1000 });
    await announce({ left: '9223372036854775807' });
    expect(registry.summary(A)?.bytesLeft).toBe(1000);
  });

  test.each([300, 600])(
    'a foreign leecher that comes every %i s, as clients do, is always known',
    async (floor) => {
      const { torrents, registry, clock, announce } = announcerWith();
      torrents.add('test', { infoHashHex: A });
      for (let round = 0; round < 5; round += 1) {
        const { reply } = await announce({ left: 5 });
        expect(reply.interval).toBeGreaterThanOrEqual(300);
        clock.now += Math.max(floor, Number(reply.interval)) * 1000;
        registry.expire(clock.now);
        expect(registry.peerCount).toBe(1);
      }
      registry.expire(clock.now + 3_600_000);
      expect(registry.peerCount).toBe(0);
    },
  );

  test('a foreign peer that is late even for its own least interval is told behind the others', async () => {
    const { torrents, registry, clock, announce } = announcerWith();
    torrents.add('test', { infoHashHex: A });
    await announce({ left: 5, port: 1 }, '192.0.2.1');
    clock.now = 11 * 60_000;
    registry.expire(clock.now);
    await announce({ left: 5, port: 2 }, '192.0.2.2');
    const told = async () =>
      ((await announce({ left: 5, port: 3 }, '192.0.2.3')).reply.peers as Buffer).toString('hex');
    expect(await told()).toHaveLength(24);
    clock.now = 13 * 60_000;
    registry.expire(clock.now);
    expect(await told()).toBe('c00002020002c00002010001');
    await announce({ left: 5, port: 1 }, '192.0.2.1');
    clock.now = 24 * 60_000;
    registry.expire(clock.now);
    expect(await told()).toBe('c00002010001c00002020002');
  });

  test.each(['Enxame', 'enxame2', 'enxam', ''])('client=%p is not our own', async (client) => {
    const { torrents, announce } = announcerWith();
    torrents.add('test', { infoHashHex: A });
    expect((await announce({ left: 5, client })).reply.interval).toBeGreaterThanOrEqual(300);
  });

  test('a client of ours is forgotten after twice its interval', async () => {
    const { torrents, registry, clock, announce: announceAny } = announcerWith();
    const announce = (changes: object) => announceAny({ ...changes, client: 'enxame' });
    torrents.add('test', { infoHashHex: A });
    const { reply } = await announce({ left: 5 });
    expect(reply.interval).toBeLessThanOrEqual(11);
    const interval = Number(reply.interval);
    registry.expire(2 * interval * 1000 - 1);
    expect(registry.peerCount).toBe(1);
    clock.now = interval * 1000;
    await announce({ left: 5 });
    registry.expire(2 * interval * 1000 + 5_000);
    expect(registry.peerCount).toBe(1);
    registry.expire(4 * interval * 1000 + 10_000);
    expect(registry.peerCount).toBe(0);
  });

  test('a connection that is gone already changes nothing', async () => {
    const { torrents, registry, announcer } = announcerWith();
    torrents.add('test', { infoHashHex: A });
    expect(
      (await announcer.announce({ query: announceQuery(), host: undefined, credentials: NO_CREDENTIALS }))
        .outcome,
    ).toBe('BadParameter');
    expect(registry.peerCount).toBe(0);
  });
});

describe('scrape', () => {
  test('counts those that are served and leaves out the others', async () => {
    const { announcer, torrents, announce } = announcerWith();
    torrents.add('test', { infoHashHex: A });
    torrents.add('test', { infoHashHex: '01'.repeat(20) });
    await announce({ left: 0 });
    const query = [0xaa, 1, 2].map((byte) => `info_hash=${escapeBytes(hashOf(byte))}`).join('&');
    expect(decode(Buffer.from(announcer.scrape(query, NO_CREDENTIALS).body, 'latin1'))).toMatchObject({
      files: {
        ['\xaa'.repeat(20)]: { complete: 1, downloaded: 0, incomplete: 0 },
        ['\x01'.repeat(20)]: { complete: 0, downloaded: 0, incomplete: 0 },
      },
    });
    expect(
      Object.keys(
        (decode(Buffer.from(announcer.scrape(query, NO_CREDENTIALS).body, 'latin1')) as { files: object })
          .files,
      ),
    ).toHaveLength(2);
  });

  test('a bad one is refused', () => {
    const { announcer } = announcerWith();
    expect(decode(Buffer.from(announcer.scrape('info_hash=1', NO_CREDENTIALS).body))).toHaveProperty(
      'failure reason',
    );
  });
});
