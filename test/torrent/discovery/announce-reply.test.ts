import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Encodable, encodeBencode } from '../../../torrent/bencode.ts';
import {
  type AnnounceRefusal,
  type AnnounceReply,
  DEFAULT_INTERVAL_SECONDS,
  datagramReply,
  MAX_INTERVAL_SECONDS,
  MAX_REPLY_BYTES,
  MAX_REPLY_PEERS,
  MIN_INTERVAL_SECONDS,
  parseAnnounceReply,
} from '../../../torrent/discovery/announce-reply.ts';
import { TorrentError } from '../../../torrent/errors.ts';
import { failureOf } from '../failure.ts';
import { fuzzParameters, mutated } from '../fuzz.ts';

type Dictionary = { [key: string]: Encodable | undefined };

function parse(reply: Dictionary): AnnounceReply {
  const parsed = parseAnnounceReply(encodeBencode(reply));
  if (parsed.kind !== 'reply') throw new Error(`refused: ${parsed.reason}`);
  return parsed;
}

function refused(reply: Dictionary): AnnounceRefusal {
  const parsed = parseAnnounceReply(encodeBencode(reply));
  if (parsed.kind !== 'refusal') throw new Error('not refused');
  return parsed;
}

function invalid(bytes: Uint8Array): string {
  const error = failureOf(() => parseAnnounceReply(bytes));
  expect(error.code).toBe('InvalidTrackerReply');
  return error.message;
}

const ipv6 = (hex: string, port: number) =>
  Buffer.concat([Buffer.from(hex, 'hex'), Buffer.from([port >> 8, port & 255])]);

describe('a reply', () => {
  test('is read in its compact form (BEP 23), with IPv6 beside it (BEP 7)', () => {
    const reply = parse({
      interval: 1800,
      'min interval': 300,
      complete: 3,
      incomplete: 4,
      'tracker id': 'abc',
      'warning message': 'old client',
      peers: Buffer.from([10, 0, 0, 1, 0x1a, 0xe1, 127, 0, 0, 1, 0, 1]),
      peers6: ipv6('20010db8000000000000000000000001', 51413),
    });
    expect(reply).toEqual({
      kind: 'reply',
      peers: [
        { host: '10.0.0.1', port: 6881 },
        { host: '127.0.0.1', port: 1 },
        { host: '2001:db8::1', port: 51413 },
      ],
      intervalSeconds: 1800,
      minIntervalSeconds: 300,
      trackerId: Buffer.from('abc'),
      seeders: 3,
      leechers: 4,
      warning: 'old client',
    });
  });

  test('is read in its list form (BEP 3), with names, and without what cannot be dialled', () => {
    const entry = (ip: Encodable, port: Encodable) => ({ ip, port, 'peer id': 'x'.repeat(20) });
    const reply = parse({
      interval: 60,
      peers: [
        entry('10.0.0.1', 6881),
        entry('2001:DB8::1', 6882),
        entry('::ffff:10.0.0.9', 6883),
        entry('peer-1.example.com', 6884),
        entry('10.0.0.2', 0),
        entry('10.0.0.2', 70_000),
        entry('10.0.0.2', -1),
        entry('10.0.0.2', '6881'),
        entry(5, 6881),
        entry('0.0.0.0', 6881),
        entry('224.0.0.1', 6881),
        entry('255.255.255.255', 6881),
        entry('::', 6881),
        entry('ff02::1', 6881),
        entry('0x7f.1', 6881),
        entry('127.1', 6881),
        entry('010.0.0.1', 6881),
        entry('a b', 6881),
        entry('x/../y', 6881),
        entry('x\u0000y', 6881),
        entry('fe80::1%eth0', 6881),
        entry('', 6881),
        entry('y'.repeat(300), 6881),
        'no dictionary',
        {},
      ],
    });
    expect(reply.peers).toEqual([
      { host: '10.0.0.1', port: 6881 },
      { host: '2001:db8::1', port: 6882 },
      { host: '10.0.0.9', port: 6883 },
      { host: 'peer-1.example.com', port: 6884 },
    ]);
  });

  test('drops port 0 and addresses that nobody listens on from the compact forms', () => {
    const reply = parse({
      interval: 60,
      peers: Buffer.from([
        10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 26, 225, 239, 1, 1, 1, 26, 225, 255, 255, 255, 255, 26, 225,
      ]),
      peers6: Buffer.concat([ipv6('0'.repeat(32), 6881), ipv6('20010db8000000000000000000000001', 0)]),
    });
    expect(reply.peers).toEqual([]);
  });

  test('may come without peers', () => {
    expect(parse({ interval: 60 }).peers).toEqual([]);
    expect(parse({ interval: 60, peers: [] }).peers).toEqual([]);
    expect(parse({ interval: 60, peers: '' }).peers).toEqual([]);
  });

  test.each<[string, Encodable | undefined, number]>([
    ['0', 0, DEFAULT_INTERVAL_SECONDS],
    ['negative', -1800, DEFAULT_INTERVAL_SECONDS],
    ['missing', undefined, DEFAULT_INTERVAL_SECONDS],
    ['text', '1800', DEFAULT_INTERVAL_SECONDS],
    ['tiny', 1, MIN_INTERVAL_SECONDS],
    ['huge', Number.MAX_SAFE_INTEGER, MAX_INTERVAL_SECONDS],
    ['sensible', 900, 900],
  ])('whose interval is %s can be obeyed', (_, interval, seconds) => {
    expect(parse({ interval, peers: '' }).intervalSeconds).toBe(seconds);
  });

  test('whose min interval is longer than the interval, negative or missing can be obeyed', () => {
    const minimum = (value: Encodable | undefined) =>
      parse({ interval: 100, 'min interval': value }).minIntervalSeconds;
    expect([minimum(500), minimum(-3), minimum(undefined), minimum('x'), minimum(0)]).toEqual([
      100, 60, 60, 60, 0,
    ]);
    expect(parse({ interval: 10 }).minIntervalSeconds).toBe(10);
  });

  test('with more peers than anybody can use is cut', () => {
    const peers = Buffer.alloc(6 * (MAX_REPLY_PEERS + 500), 10);
    expect(parse({ interval: 60, peers }).peers).toHaveLength(MAX_REPLY_PEERS);
    const list = Array.from({ length: MAX_REPLY_PEERS + 500 }, () => ({ ip: '10.0.0.1', port: 5 }));
    expect(parse({ interval: 60, peers: list }).peers).toHaveLength(MAX_REPLY_PEERS);
  });
});

describe('what is odd in a reply costs itself alone:', () => {
  const peer = Buffer.from([10, 0, 0, 1, 0x1a, 0xe1]);
  const read = [{ host: '10.0.0.1', port: 6881 }];

  test.each<[string, Dictionary, string | undefined]>([
    ['peers6 of 17 bytes', { peers6: Buffer.alloc(17, 1) }, 'peers6 has 17 bytes, no multiple of 18'],
    ['peers6 that are a number', { peers6: 6 }, 'peers6 is neither a string nor a list'],
    ['peers6 that are a dictionary', { peers6: { a: 1 } }, 'peers6 is neither'],
    ['peers6 that are an empty list', { peers6: [] }, undefined],
    ['peers of 11 bytes', { peers: Buffer.concat([peer, Buffer.alloc(5, 9)]) }, 'peers has 11 bytes'],
    ['an interval that is text', { interval: 'soon' }, undefined],
    ['an interval that is a list', { interval: [] }, undefined],
    ['a min interval that is text', { 'min interval': '5' }, undefined],
    ['a warning that is a number', { 'warning message': 5 }, undefined],
    ['a warning that is a list', { 'warning message': ['x'] }, undefined],
    ['a negative number of seeds', { complete: -1, incomplete: -7 }, undefined],
    ['a number of seeds that is text', { complete: '3', downloaded: [] }, undefined],
    ['a tracker id that is a number', { 'tracker id': 5 }, undefined],
    ['an external ip of 3 bytes', { 'external ip': 'abc' }, undefined],
    [
      'a bad entry among others',
      { peers: [5, { ip: '10.0.0.1', port: 6881 }, { ip: 7, port: 6881 }, { port: 1 }, ['x'], {}] },
      undefined,
    ],
  ])('%s', (_, odd, leftOut) => {
    const reply = parse({ interval: 60, peers: peer, ...odd });
    expect(reply.peers).toEqual(read);
    if (leftOut === undefined) expect(reply.leftOut).toBeUndefined();
    else expect(reply.leftOut).toContain(leftOut);
    expect([reply.seeders, reply.leechers, reply.warning, reply.trackerId]).toEqual(Array(4).fill(undefined));
  });

  test('peers that are a number', () => {
    const reply = parse({ interval: 60, peers: 6, peers6: ipv6('20010db8000000000000000000000001', 7) });
    expect(reply.peers).toEqual([{ host: '2001:db8::1', port: 7 }]);
    expect(reply.leftOut).toBe('peers is neither a string nor a list');
  });

  test('peers6 in the list form', () => {
    expect(parse({ peers6: [{ ip: '2001:db8::1', port: 7 }] }).peers).toEqual([
      { host: '2001:db8::1', port: 7 },
    ]);
  });

  test.each([
    ['keys in another order', 'd5:peers6:\x0a\x00\x00\x01\x1a\xe18:intervali60ee'],
    ['bytes behind it', 'd8:intervali60e5:peers6:\x0a\x00\x00\x01\x1a\xe1e\r\n'],
    [
      'a repeated key, of which the first counts',
      'd8:intervali60e5:peers6:\x0a\x00\x00\x01\x1a\xe15:peers0:e',
    ],
    ['odd integers', 'd8:completei-0e8:intervali060e5:peers6:\x0a\x00\x00\x01\x1a\xe1e'],
    ['the key __proto__', 'd9:__proto__d5:peersi1ee5:peers6:\x0a\x00\x00\x01\x1a\xe1e'],
  ])('%s', (_, text) => {
    const reply = parseAnnounceReply(Buffer.from(text, 'latin1'));
    expect(reply).toMatchObject({ kind: 'reply', peers: read });
  });

  test('whether it was handed on', () => {
    expect(parse({ 'handed on': 1 }).isHandedOn).toBe(true);
    expect(parse({ 'handed on': 'yes' }).isHandedOn).toBeUndefined();
  });

  test('what is kept of it is a copy', () => {
    const bytes = encodeBencode({ 'tracker id': 'abc' });
    const reply = parseAnnounceReply(bytes);
    bytes.fill(0);
    expect(reply).toMatchObject({ trackerId: Buffer.from('abc') });
  });

  test('a datagram of no whole number of peers', () => {
    const reply = datagramReply(Buffer.concat([Buffer.alloc(12), peer, Buffer.alloc(3)]), false);
    expect([reply.peers, reply.leftOut]).toEqual([read, 'the list of peers has 9 bytes, no multiple of 6']);
  });
});

describe('a refusal', () => {
  test('carries the reason, without what does harm in a terminal', () => {
    expect(refused({ 'failure reason': 'unregistered torrent', interval: 5 }).reason).toBe(
      'unregistered torrent',
    );
    expect(refused({ 'failure reason': 'a\u001b[31m\nb' }).reason).toBe('a [31m b');
    expect(refused({ 'failure reason': 'x'.repeat(5000) }).reason).toHaveLength(200);
    expect(refused({ 'failure reason': 7 }).reason).toBe('no reason given');
  });

  test.each<[Encodable | undefined, number | undefined]>([
    [10, 600],
    ['10', 600],
    ['never', Number.POSITIVE_INFINITY],
    [' Never ', Number.POSITIVE_INFINITY],
    [-1, undefined],
    ['soon', undefined],
    [undefined, undefined],
    [Number.MAX_SAFE_INTEGER, undefined],
  ])('says when to come back (BEP 31): %p', (retry, seconds) => {
    expect(refused({ 'failure reason': 'busy', 'retry in': retry }).retryInSeconds).toBe(seconds);
  });
});

describe('no reply of a tracker', () => {
  test.each([
    ['an error page', Buffer.from('<html>502 Bad Gateway</html>')],
    ['nothing', Buffer.alloc(0)],
    ['a list', encodeBencode([1])],
    ['more than 1 MiB', Buffer.alloc(MAX_REPLY_BYTES + 1)],
    ['a million empty strings', Buffer.from(`d5:peersl${'0:'.repeat(500_000)}ee`)],
  ])('%s is an error', (_, bytes) => {
    expect(invalid(bytes)).not.toBe('');
  });
});

test('near-valid replies are refused, or can be obeyed and dialled', () => {
  const valid = fc.constantFrom(
    encodeBencode({
      complete: 1,
      interval: 60,
      'min interval': 20,
      peers: Buffer.alloc(12, 9),
      peers6: Buffer.alloc(18, 9),
    }),
    encodeBencode({ interval: 60, peers: [{ ip: '10.1.2.3', port: 6881 }] }),
    encodeBencode({ 'failure reason': 'no', 'retry in': 5 }),
  );
  fc.assert(
    fc.property(mutated(valid), (bytes) => {
      try {
        const reply = parseAnnounceReply(bytes);
        if (reply.kind === 'refusal') return;
        expect(reply.intervalSeconds).toBeGreaterThanOrEqual(MIN_INTERVAL_SECONDS);
        expect(reply.intervalSeconds).toBeLessThanOrEqual(MAX_INTERVAL_SECONDS);
        expect(reply.minIntervalSeconds).toBeLessThanOrEqual(reply.intervalSeconds);
        for (const { host, port } of reply.peers) {
          expect(host).toMatch(/^[0-9a-zA-Z.:_-]+$/);
          expect(port >= 1 && port <= 65535).toBe(true);
        }
      } catch (error) {
        if (!(error instanceof TorrentError)) throw error;
        expect(error.code).toBe('InvalidTrackerReply');
      }
    }),
    fuzzParameters(3000),
  );
});
