import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encodeHandshake, HandshakeReader } from '../../../torrent/wire/handshake.ts';
import { failureOf } from '../failure.ts';

const infoHash = Buffer.alloc(20, 1);
const peerId = Buffer.from('-EX0100-abcdefghijkl');

test('our handshake is 68 bytes with the bits of BEP 6 and BEP 10', () => {
  const bytes = encodeHandshake(infoHash, peerId);
  expect(bytes.length).toBe(68);
  expect(bytes.subarray(0, 20).toString('latin1')).toBe('\x13BitTorrent protocol');
  expect([...bytes.subarray(20, 28)]).toEqual([0, 0, 0, 0, 0, 0x10, 0, 0x04]);
  expect(bytes.subarray(28, 48)).toEqual(infoHash);
  expect(bytes.subarray(48)).toEqual(peerId);
});

test('an info hash or peer id of another length is refused', () => {
  expect(failureOf(() => encodeHandshake(Buffer.alloc(19), peerId)).code).toBe('InvalidRequest');
  expect(failureOf(() => encodeHandshake(infoHash, Buffer.alloc(32))).code).toBe('InvalidRequest');
});

test('a handshake in chunks of any size is read, and what follows is left alone', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 20, maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
      fc.uint8Array({ maxLength: 50 }),
      (hash, sizes, rest) => {
        const bytes = Buffer.concat([encodeHandshake(hash, peerId), rest]);
        const reader = new HandshakeReader();
        let at = 0;
        for (let i = 0; reader.result === undefined; i++) {
          at += reader.push(bytes.subarray(at, at + (sizes[i % sizes.length] as number)));
          if (at < 48) expect(reader.infoHash).toBeUndefined();
        }
        expect(at).toBe(68);
        expect(reader.result.infoHash.equals(hash)).toBe(true);
        expect(reader.result.peerId.equals(peerId)).toBe(true);
        expect(reader.result).toMatchObject({ fast: true, extensions: true });
      },
    ),
  );
});

test('reserved bits that are not set are not assumed', () => {
  const bytes = encodeHandshake(infoHash, peerId);
  bytes.fill(0, 20, 28);
  const reader = new HandshakeReader();
  reader.push(bytes);
  expect(reader.result).toMatchObject({ fast: false, extensions: false });
});

describe('what is no BitTorrent handshake is known by its first wrong byte', () => {
  test.each([
    ['an encrypted opening (MSE)', Buffer.from([0x7f, 1, 2, 3])],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n')],
    ['another protocol name', Buffer.from('\x13BitTorrent protocoX', 'latin1')],
    ['a length of 0', Buffer.from([0])],
  ])('%s', (_name, bytes) => {
    expect(failureOf(() => new HandshakeReader().push(bytes)).code).toBe('PeerProtocol');
  });
});
