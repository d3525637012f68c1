import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encodeBencode } from '../../../torrent/bencode.ts';
import {
  encodeExtensionHandshake,
  PeerExtensionIds,
  parseExtensionHandshake,
} from '../../../torrent/wire/extension.ts';
import { failureOf } from '../failure.ts';
import { fuzzParameters } from '../fuzz.ts';

// Written out, so that a changed number is noticed.
const BLOCK_BYTES = 16_384;
const MAX_RUN_BYTES = 131_072;

const own = {
  client: 'Enxame 0.1.0',
  listenPort: 6881,
  yourIp: Buffer.from([10, 0, 0, 1]),
  uploadOnly: true,
  metadataBytes: 1234,
  ownAgent: true,
  exchangesPeers: true,
};

test('our handshake says what peers need, and marks own agents', () => {
  expect(parseExtensionHandshake(encodeExtensionHandshake(own))).toEqual({
    ids: new Map([
      ['enxame', 1],
      ['ut_metadata', 2],
      ['ut_pex', 3],
      ['lt_donthave', 4],
    ]),
    ownAgent: true,
    runBytes: MAX_RUN_BYTES,
    client: 'Enxame 0.1.0',
    listenPort: 6881,
    requestQueue: 2000,
    uploadOnly: true,
    metadataBytes: 1234,
    yourIp: Buffer.from([10, 0, 0, 1]),
  });
});

test('the name of the client does not make an own agent', () => {
  const said = parseExtensionHandshake(encodeExtensionHandshake({ ...own, ownAgent: false }));
  expect(said.client).toBe('Enxame 0.1.0');
  expect(said.ownAgent).toBe(false);
});

test.each([
  ['nothing', {}, 0],
  ['less than two blocks', { enxame_run: 2 * BLOCK_BYTES - 1 }, 0],
  ['no whole number of blocks', { enxame_run: 3 * BLOCK_BYTES + 5 }, 3 * BLOCK_BYTES],
  ['more than we send', { enxame_run: 2 ** 40 }, MAX_RUN_BYTES],
  ['a negative number', { enxame_run: -65536 }, 0],
  ['text', { enxame_run: 'long' }, 0],
])('of an own agent that says %s about runs of blocks', (_, says, expected) => {
  const parse = (ids: Record<string, number>) =>
    parseExtensionHandshake(encodeBencode({ m: ids, ...says })).runBytes;
  expect(parse({ enxame: 1 })).toBe(expected);
  // Whoever is none takes single blocks, whatever it says.
  expect(parse({})).toBe(0);
});

test('a later handshake adds to the ones before, and 0 switches an extension off (BEP 10)', () => {
  const ids = new PeerExtensionIds();
  ids.update(new Map(Object.entries({ a: 1, b: 2 })));
  ids.update(new Map(Object.entries({ b: 0, c: 3, a: 7 })));
  expect(['a', 'b', 'c'].map((name) => ids.of(name))).toEqual([7, undefined, 3]);
  for (let i = 0; i < 1000; i++) ids.update(new Map([[`x${i}`, 9]]));
  // With a and c these are 64.
  expect([ids.of('x61'), ids.of('x62')]).toEqual([9, undefined]);
});

describe('what makes no sense counts as not said', () => {
  const parse = (dictionary: Parameters<typeof encodeBencode>[0]) =>
    parseExtensionHandshake(encodeBencode(dictionary));
  test.each([
    ['ids over 255 or negative', { m: { a: 256, c: -1, d: 255 } }, { ids: new Map([['d', 255]]) }],
    ['ids that are no dictionary', { m: 'rubbish' }, { ids: new Map() }],
    ['an id that is a string', { m: { enxame: '1' } }, { ownAgent: false }],
    ['reqq 0', { reqq: 0 }, { requestQueue: undefined }],
    ['reqq negative', { reqq: -5 }, { requestQueue: undefined }],
    ['reqq that is a string', { reqq: 'many' }, { requestQueue: undefined }],
    ['port 0', { p: 0 }, { listenPort: undefined }],
    ['port 70000', { p: 70000 }, { listenPort: undefined }],
    ['an own address of 5 bytes', { yourip: 'abcde' }, { yourIp: undefined }],
    ['huge metadata', { metadata_size: 2 ** 40 }, { metadataBytes: undefined }],
    ['negative metadata', { metadata_size: -1 }, { metadataBytes: undefined }],
    ['a client with control characters', { v: 'a\u001b[2J\nb' }, { client: 'a?[2J?b' }],
    ['a list instead of a dictionary', ['m'], { ids: new Map(), requestQueue: undefined }],
  ])('%s', (_name, said, expected) => {
    expect(parse(said as Parameters<typeof encodeBencode>[0])).toMatchObject(expected);
  });

  test('a client name of 10,000 characters is cut', () => {
    expect(parse({ v: 'x'.repeat(10_000) }).client).toHaveLength(64);
  });

  test('a thousand extensions are not all kept', () => {
    const m = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`x${i}`, (i % 255) + 1]));
    expect(parse({ m }).ids.size).toBe(64);
  });
});

test('rubbish is a TorrentError and nothing else', () => {
  expect(failureOf(() => parseExtensionHandshake(Buffer.from('l-3:e'))).code).toBe('InvalidBencode');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        parseExtensionHandshake(bytes);
      } catch (error) {
        expect(error).toMatchObject({ code: 'InvalidBencode' });
      }
    }),
    fuzzParameters(500),
  );
});

test('a handshake as other programs write it: keys in any order, repeated, odd integers, bytes behind it', () => {
  const text =
    'd1:v3:abc4:reqqi99999999999999999999e1:md6:ut_pexi1e11:ut_metadatai2e6:ut_pexi7ee1:pi080e1:v1:xe\n';
  const said = parseExtensionHandshake(Buffer.from(text));
  expect([...said.ids]).toEqual([
    ['ut_pex', 1],
    ['ut_metadata', 2],
  ]);
  expect([said.client, said.requestQueue, said.listenPort]).toEqual(['abc', undefined, undefined]);
  expect([...parseExtensionHandshake(Buffer.from('d1:md9:__proto__i3eee')).ids]).toEqual([['__proto__', 3]]);
});

test('what is kept of a handshake is a copy', () => {
  const payload = encodeBencode({ yourip: Buffer.from([10, 0, 0, 1]) });
  const { yourIp } = parseExtensionHandshake(payload);
  payload.fill(0);
  expect(yourIp).toEqual(Buffer.from([10, 0, 0, 1]));
});
