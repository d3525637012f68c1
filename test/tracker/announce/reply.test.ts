import { expect, test } from '@jest/globals';
import { announceReply, failureReply, scrapeReply } from '../../../tracker/announce/reply.ts';
import { compactHost, setPort } from '../../../tracker/swarms/peer-address.ts';
import { Flag, PeerTable } from '../../../tracker/swarms/peer-table.ts';
import { NO_COUNTS } from '../../../tracker/swarms/swarm.ts';
import { decode } from '../bdecode.ts';

const COUNTS = { seeders: 2, leechers: 3, partialSeeds: 1, completed: 4 };
const INTERVALS = { intervalSeconds: 10, minIntervalSeconds: 2 };
const PEER_ID = Buffer.from('-XX0001-\x00\xff2345678901', 'latin1');

/** The answer that tells of peers at these addresses. */
function replyWith(
  peers: readonly [host: string, port: number][],
  form: { compact: boolean; omitPeerIds: boolean },
): unknown {
  const table = new PeerTable(1000);
  const picked = peers.map(([host, port]) => {
    const compact = compactHost(host);
    if (compact === undefined) throw new Error(`no address: ${host}`);
    setPort(compact, port);
    const peer = table.take();
    table.setAddress(peer, compact);
    table.peerId.set(PEER_ID, peer * 20);
    expect(table.has(peer, Flag.Ipv6)).toBe(host.includes(':'));
    return peer;
  });
  // What lies behind the count is of another answer.
  const announced = {
    counts: COUNTS,
    picked: Int32Array.from([...picked, 0, 0]),
    pickedCount: picked.length,
  };
  return decode(Buffer.from(announceReply(table, announced, INTERVALS, form), 'latin1'));
}

test('compact: IPv4 in peers, IPv6 in peers6', () => {
  const peers: [string, number][] = [
    ['192.0.2.1', 6881],
    ['2001:db8::1', 80],
    ['192.0.2.2', 80],
  ];
  const reply = replyWith(peers, { compact: true, omitPeerIds: false });
  expect(reply).toEqual({
    complete: 2,
    downloaded: 4,
    incomplete: 3,
    interval: 10,
    'min interval': 2,
    peers: Buffer.from('c00002011ae1c00002020050', 'hex'),
    peers6: Buffer.from('20010db80000000000000000000000010050', 'hex'),
  });
});

test('compact: an empty peers is there, an empty peers6 is not', () => {
  const reply = replyWith([], { compact: true, omitPeerIds: false });
  expect(reply).toMatchObject({ peers: Buffer.alloc(0) });
  expect(reply).not.toHaveProperty('peers6');
});

test('the list has ip, peer id and port', () => {
  const peers: [string, number][] = [
    ['192.0.2.1', 6881],
    ['2001:db8::1', 80],
  ];
  const reply = replyWith(peers, { compact: false, omitPeerIds: false });
  expect(reply).toMatchObject({
    peers: [
      { ip: Buffer.from('192.0.2.1'), 'peer id': PEER_ID, port: 6881 },
      { ip: Buffer.from('2001:db8::1'), 'peer id': PEER_ID, port: 80 },
    ],
  });
});

test('the list leaves peer ids out if asked to', () => {
  const reply = replyWith([['192.0.2.1', 1]], { compact: false, omitPeerIds: true });
  expect(reply).toMatchObject({ peers: [{ ip: Buffer.from('192.0.2.1'), port: 1 }] });
});

test('a failure has its reason, and retry in where that is known', () => {
  expect(failureReply('no: ü').toString()).toBe('d14:failure reason6:no: üe');
  expect(decode(failureReply('a', 'never'))).toEqual({
    'failure reason': Buffer.from('a'),
    'retry in': Buffer.from('never'),
  });
  expect(decode(failureReply('a', 5))).toEqual({ 'failure reason': Buffer.from('a'), 'retry in': 5 });
});

test('a scrape has its files in order', () => {
  const reply = scrapeReply(
    new Map([
      ['bb'.repeat(20), COUNTS],
      ['0a'.repeat(20), NO_COUNTS],
    ]),
    60,
  );
  expect(decode(reply)).toEqual({
    files: {
      ['\n'.repeat(20)]: { complete: 0, downloaded: 0, downloaders: 0, incomplete: 0 },
      ['\xbb'.repeat(20)]: { complete: 2, downloaded: 4, downloaders: 2, incomplete: 3 },
    },
    flags: { min_request_interval: 60 },
  });
  expect(decode(scrapeReply(new Map(), 60))).toMatchObject({ files: {} });
});
