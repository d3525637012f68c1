import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encodeBencode } from '../../../torrent/bencode.ts';
import {
  encodeMetadataData,
  encodeMetadataReject,
  encodeMetadataRequest,
  metadataPieces,
  parseMetadataMessage,
} from '../../../torrent/wire/metadata-message.ts';
import { failureOf } from '../failure.ts';

test('what is written is read back; data stands behind the dictionary', () => {
  const info = Buffer.alloc(40_000, 'x');
  expect(parseMetadataMessage(encodeMetadataRequest(3))).toEqual({ kind: 'request', piece: 3 });
  expect(parseMetadataMessage(encodeMetadataReject(0))).toEqual({ kind: 'reject', piece: 0 });
  const parts = Array.from({ length: metadataPieces(info.length) }, (_, piece) => {
    const message = parseMetadataMessage(encodeMetadataData(piece, info));
    return message?.kind === 'data' ? message.data : Buffer.alloc(0);
  });
  expect(parts.map(({ length }) => length)).toEqual([16384, 16384, 7232]);
  expect(Buffer.concat(parts).equals(info)).toBe(true);
});

test('messages as BEP 9 has them', () => {
  expect(encodeMetadataRequest(3).toString()).toBe('d8:msg_typei0e5:piecei3ee');
  expect(encodeMetadataData(0, Buffer.from('xyz')).toString()).toBe(
    'd8:msg_typei1e5:piecei0e10:total_sizei3eexyz',
  );
  expect(encodeMetadataReject(3).toString()).toBe('d8:msg_typei2e5:piecei3ee');
});

test('kinds that nobody knows are skipped (BEP 9)', () => {
  expect(parseMetadataMessage(encodeBencode({ msg_type: 7, piece: 0 }))).toBeUndefined();
});

describe('is refused', () => {
  test.each([
    ['a list', ['x']],
    ['no type', { piece: 0 }],
    ['a type that is a string', { msg_type: '1', piece: 0 }],
    ['no piece', { msg_type: 0 }],
    ['a negative piece', { msg_type: 0, piece: -1 }],
    ['a piece beyond any metainfo', { msg_type: 1, piece: 512 }],
  ])('%s', (_, value) => {
    const payload = encodeBencode(value as Parameters<typeof encodeBencode>[0]);
    expect(failureOf(() => parseMetadataMessage(payload)).code).toBe('PeerProtocol');
  });

  test('rubbish, with a TorrentError and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        try {
          parseMetadataMessage(bytes);
        } catch (error) {
          expect(error).toMatchObject({ code: expect.stringMatching(/InvalidBencode|PeerProtocol/) });
        }
      }),
    );
  });
});

test('keys may be in any order, and repeated: the first counts', () => {
  const message = parseMetadataMessage(
    Buffer.from('d5:piecei2e8:msg_typei1e5:piecei9e10:total_sizei007eed1:ae'),
  );
  expect(message).toMatchObject({ kind: 'data', piece: 2 });
  expect(message?.kind === 'data' && Buffer.from(message.data).toString()).toBe('d1:ae');
});
