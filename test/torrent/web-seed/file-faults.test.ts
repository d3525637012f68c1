import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FileFaults } from '../../../torrent/web-seed/file-faults.ts';
import { makeTorrent } from '../storage/content.ts';

const KIB = 1024;
const { metainfo } = makeTorrent(
  [80, 10, 0, 38, 70].map((kib, number) => ({ path: `${number}`, length: kib * KIB })),
  { pieceLength: 64 * KIB },
);
/** One sign a piece. File 0 is in pieces 0 and 1, files 1 and 3 in 1, file 4 in 2 and 3. */
const pieces = (faults: FileFaults, inPart: boolean) => {
  const available = faults.available(inPart);
  return Array.from({ length: available.length }, (_, piece) => (available.get(piece) ? '+' : '-')).join('');
};
const SECOND = 1000;
const MINUTE = 60 * SECOND;

test('pieces that a file has a part in cannot be had, or can in part', () => {
  const faults = new FileFaults(metainfo, () => 1);
  expect([pieces(faults, false), pieces(faults, true)]).toEqual(['++++', '++++']);
  faults.failed(1, 0);
  expect([pieces(faults, false), pieces(faults, true)]).toEqual(['+-++', '++++']);
  faults.failed(0, 0);
  expect([pieces(faults, false), pieces(faults, true)]).toEqual(['--++', '-+++']);
  faults.failed(4, 0);
  expect([pieces(faults, false), pieces(faults, true)]).toEqual(['----', '-+--']);
  faults.succeeded(0);
  expect(pieces(faults, false)).toBe('+---');
  expect(faults.out).toEqual([1, 4]);
});

test('bytes can be had where no such file has a part in them', () => {
  // Not the empty one: nothing is ever asked of it.
  const out = fc.uniqueArray(fc.constantFrom(0, 1, 3, 4));
  fc.assert(
    fc.property(out, fc.nat(190), fc.integer({ min: 1, max: 50 }), (numbers, kib, length) => {
      const faults = new FileFaults(metainfo, () => 1);
      for (const number of numbers) faults.failed(number, 0);
      const [start, end] = [kib * KIB, (kib + length) * KIB];
      const isFree = numbers.every((number) => {
        const { offsetBytes = 0, lengthBytes = 0 } = metainfo.files[number] ?? {};
        return offsetBytes >= end || offsetBytes + lengthBytes <= start;
      });
      expect(faults.has(start, end - start)).toBe(isFree);
    }),
  );
});

test('a file is tried again after a minute, two, four, up to an hour, and from the start once it came', () => {
  const faults = new FileFaults(metainfo, () => 1);
  let now = 0;
  for (const minutes of [1, 2, 4, 8, 16, 32, 60, 60]) {
    faults.failed(1, now);
    expect(faults.release(now + minutes * MINUTE - 1)).toBe(false);
    expect(faults.out).toEqual([1]);
    now += minutes * MINUTE;
    expect(faults.release(now)).toBe(true);
    expect([faults.out, faults.release(now)]).toEqual([[], false]);
  }
  faults.succeeded(1);
  faults.failed(1, now);
  expect(faults.release(now + MINUTE)).toBe(true);
});

test('never before the server said', () => {
  const faults = new FileFaults(metainfo, () => 1);
  faults.failed(1, 0, 600);
  expect([faults.release(599 * SECOND), faults.release(600 * SECOND)]).toEqual([false, true]);
});
