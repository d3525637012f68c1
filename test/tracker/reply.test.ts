import { expect, test } from '@jest/globals';
import { peerAddress } from '../../tracker/peer-address.ts';
import { announceReply, failureReply, scrapeReply } from '../../tracker/reply.ts';
import { type Peer, Swarm } from '../../tracker/swarm.ts';
import { decode } from './bdecode.ts';

const COUNTS = { seeders: 2, leechers: 3, completed: 4 };
const INTERVALS = { intervalSeconds: 10, minIntervalSeconds: 2 };

function peer(host: string, port: number): Peer {
  const address = peerAddress(host, port);
  if (address === undefined) throw new Error(`no address: ${host}`);
  const swarm = new Swarm('aa'.repeat(20));
  const peerId = Buffer.from('-XX0001-\x00\xff2345678901', 'latin1');
  return swarm.put({ address, peerId, uploadedBytes: 0, downloadedBytes: 0, leftBytes: 1, node: undefined });
}

test('compact: IPv4 in peers, IPv6 in peers6', () => {
  const peers = [peer('192.0.2.1', 6881), peer('2001:db8::1', 80), peer('192.0.2.2', 80)];
  const reply = decode(announceReply(COUNTS, INTERVALS, peers, { compact: true, omitPeerIds: false }));
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
  const reply = decode(announceReply(COUNTS, INTERVALS, [], { compact: true, omitPeerIds: false }));
  expect(reply).toMatchObject({ peers: Buffer.alloc(0) });
  expect(reply).not.toHaveProperty('peers6');
});

test('the list has ip, peer id and port', () => {
  const peers = [peer('192.0.2.1', 6881), peer('2001:db8::1', 80)];
  const reply = decode(announceReply(COUNTS, INTERVALS, peers, { compact: false, omitPeerIds: false }));
  const peerId = Buffer.from('-XX0001-\x00\xff2345678901', 'latin1');
  expect(reply).toMatchObject({
    peers: [
      { ip: Buffer.from('192.0.2.1'), 'peer id': peerId, port: 6881 },
      { ip: Buffer.from('2001:db8::1'), 'peer id': peerId, port: 80 },
    ],
  });
});

test('the list leaves peer ids out if asked to', () => {
  const reply = decode(
    announceReply(COUNTS, INTERVALS, [peer('192.0.2.1', 1)], { compact: false, omitPeerIds: true }),
  );
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
      ['0a'.repeat(20), { seeders: 0, leechers: 0, completed: 0 }],
    ]),
    60,
  );
  expect(decode(reply)).toEqual({
    files: {
      ['\n'.repeat(20)]: { complete: 0, downloaded: 0, incomplete: 0 },
      ['\xbb'.repeat(20)]: { complete: 2, downloaded: 4, incomplete: 3 },
    },
    flags: { min_request_interval: 60 },
  });
  expect(decode(scrapeReply(new Map(), 60))).toMatchObject({ files: {} });
});
