import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encodeBencode } from '../../../torrent/bencode.ts';
import { parseInfo } from '../../../torrent/metainfo.ts';
import { spansOf } from '../../../torrent/web-seed/urls.ts';
import { makeTorrent } from '../storage/content.ts';

const single = parseInfo(
  encodeBencode({ name: 'a b.bin', length: 100, 'piece length': 16384, pieces: Buffer.alloc(20) }),
);
const { metainfo } = makeTorrent([
  { path: 'x/ç?#', length: 10 },
  { path: 'pad', length: 6, padding: true },
  { path: 'empty', length: 0 },
  { path: 'y', length: 20 },
]);

test('a single file is the URL itself, or lies in the folder that the URL names', () => {
  expect(spansOf('http://h/f?x=1', single, 10, 5)).toEqual([
    { file: 0, url: 'http://h/f?x=1', start: 10, length: 5, fileBytes: 100 },
  ]);
  expect(spansOf('http://h/d/', single, 0, 1)[0]?.url).toBe('http://h/d/a%20b.bin');
});

test('files lie below the name, each part encoded; padding is nowhere', () => {
  for (const seed of ['http://h/d', 'http://h/d/']) {
    expect(spansOf(seed, metainfo, 8, 10)).toEqual([
      { file: 0, url: 'http://h/d/test/x/%C3%A7%3F%23', start: 8, length: 2, fileBytes: 10 },
      { file: 1, url: undefined, start: 0, length: 6, fileBytes: 6 },
      { file: 3, url: 'http://h/d/test/y', start: 0, length: 2, fileBytes: 20 },
    ]);
  }
});

test('spans cover a range once, in order', () => {
  fc.assert(
    fc.property(fc.nat(35), fc.integer({ min: 1, max: 36 }), (offset, length) => {
      const wanted = Math.min(length, 36 - offset);
      const spans = spansOf('http://h', metainfo, offset, wanted);
      expect(spans.reduce((sum, span) => sum + span.length, 0)).toBe(wanted);
      for (const { start, length: bytes, fileBytes } of spans) {
        expect(bytes).toBeGreaterThan(0);
        expect(start + bytes).toBeLessThanOrEqual(fileBytes);
      }
    }),
  );
});
