import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encodeBencode } from '../../../torrent/bencode.ts';
import { encodePeerExchange, parsePeerExchange } from '../../../torrent/wire/peer-exchange.ts';

test('what is written is read back, both families and flags', () => {
  const added = [
    { host: '10.0.0.1', port: 6881, isSeed: true, isReachable: false },
    { host: '10.0.0.2', port: 65535, isSeed: false, isReachable: true },
    { host: '2001:db8::1', port: 1, isSeed: true, isReachable: true },
  ];
  const read = parsePeerExchange(encodePeerExchange({ added, dropped: [{ host: '10.9.9.9', port: 7 }] }));
  expect(read.added).toEqual(added);
  expect(read.dropped).toMatchObject([{ host: '10.9.9.9', port: 7 }]);
});

test('a message as BEP 11 has it', () => {
  const payload = encodePeerExchange({
    added: [
      { host: '10.0.0.1', port: 6881, isSeed: true },
      { host: '10.0.0.2', port: 6882, isReachable: true },
      { host: '2001:db8::1', port: 6883 },
    ],
    dropped: [],
  });
  const strings: Record<string, string> = {
    added: '0a0000011ae10a0000021ae2',
    'added.f': '0210',
    added6: '20010db80000000000000000000000011ae3',
    'added6.f': '00',
    dropped: '',
    dropped6: '',
  };
  const expected = Object.entries(strings).map(([key, hex]) => [key, Buffer.from(hex, 'hex')]);
  expect(payload).toEqual(encodeBencode(Object.fromEntries(expected)));
});

test('names are not told, and no more than fifty addresses', () => {
  const many = Array.from({ length: 300 }, (_, i) => ({ host: `10.0.1.${i % 250}`, port: i + 1 }));
  const payload = encodePeerExchange({ added: [{ host: 'peer.example', port: 1 }, ...many], dropped: many });
  expect(parsePeerExchange(payload).added).toHaveLength(50);
  expect(payload.length).toBeLessThan(50 * 14 + 200);
});

test('of thousands of entries fifty are read; an incomplete last one is left out', () => {
  const list = Buffer.alloc(6 * 5000 + 3, 9);
  const { added, dropped } = parsePeerExchange(encodeBencode({ added: list, dropped: list }));
  expect([added.length, dropped.length]).toEqual([50, 50]);
  expect(parsePeerExchange(encodeBencode({ added: Buffer.alloc(8, 9) })).added).toHaveLength(1);
});

test('what is no such message says nothing', () => {
  for (const value of [['x'], { added: 5, dropped: ['y'] }, {}]) {
    const payload = encodeBencode(value as Parameters<typeof encodeBencode>[0]);
    expect(parsePeerExchange(payload)).toEqual({ added: [], dropped: [] });
  }
});

test('rubbish is a TorrentError and nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        parsePeerExchange(bytes);
      } catch (error) {
        expect(error).toMatchObject({ code: 'InvalidBencode' });
      }
    }),
  );
});

test('keys may be in any order, and repeated: the first counts', () => {
  const message = 'd7:dropped0:5:added6:\x0a\x00\x00\x01\x1a\xe15:added0:7:added.f1:\x02e';
  expect(parsePeerExchange(Buffer.from(message, 'latin1')).added).toEqual([
    { host: '10.0.0.1', port: 6881, isSeed: true, isReachable: false },
  ]);
});
