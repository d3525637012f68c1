import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Layout } from '../../../torrent/storage/layout.ts';
import { fuzzParameters } from '../fuzz.ts';
import { makeTorrent } from './content.ts';

test('segments cover a range without gap or overlap, each within its file', () => {
  const lengths = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 40_000 })), {
    minLength: 1,
    maxLength: 12,
  });
  fc.assert(
    fc.property(lengths, fc.nat(), fc.nat(), (list, a, b) => {
      const { metainfo } = makeTorrent(list.map((length, i) => ({ path: `f${i}`, length })));
      const layout = new Layout(metainfo);
      if (metainfo.totalBytes === 0) return;
      const start = a % metainfo.totalBytes;
      const length = 1 + (b % (metainfo.totalBytes - start));
      let at = 0;
      for (const segment of layout.segments(start, length)) {
        const file = metainfo.files[segment.fileIndex];
        if (file === undefined) throw new Error('no such file');
        expect(segment.rangeOffset).toBe(at);
        expect(file.offsetBytes + segment.fileOffset).toBe(start + at);
        expect(segment.lengthBytes).toBeGreaterThan(0);
        expect(segment.fileOffset + segment.lengthBytes).toBeLessThanOrEqual(file.lengthBytes);
        at += segment.lengthBytes;
      }
      expect(at).toBe(length);
    }),
    fuzzParameters(200),
  );
});
