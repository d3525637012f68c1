// What is kept of a plan when another one comes, and what is refused at a glance.
import { describe, expect, test } from '@jest/globals';
import { judgePlan, mergePlan } from '../../../agent/ingest/plan.ts';
import type { IngestFile } from '../../../agent/ingest/record.ts';
import { PATIENCE } from '../../patience.ts';
import { reservationOf, SOURCE_STATE } from '../fake-cluster.ts';

const file = (path: string, changes: Partial<IngestFile> = {}): IngestFile => ({
  path,
  executable: false,
  sizeBytes: 10,
  sha256: null,
  validator: 'v1',
  ...changes,
});
const COMPLETE = { sha256: 'a'.repeat(64), sizeBytes: 10 };

describe('another plan', () => {
  test('that is the same changes nothing', () => {
    const files = [file('a', { complete: COMPLETE }), file('b')];
    const merged = mergePlan([file('a'), file('b')], files, [10, 4]);
    expect(merged).toEqual({ files, offsets: [10, 4], dropped: [], isUnchanged: true });
  });

  test('keeps files wherever they stand in it now, and drops what it lacks', () => {
    const files = [file('a', { complete: COMPLETE }), file('b'), file('c')];
    const {
      isUnchanged,
      offsets,
      dropped,
      files: merged,
    } = mergePlan([file('0'), file('a'), file('c')], files, [10, 4, 7]);
    expect({ isUnchanged, offsets, dropped }).toEqual({
      isUnchanged: false,
      offsets: [0, 10, 7],
      dropped: ['b'],
    });
    expect(merged.map(({ path, complete }) => [path, complete?.sizeBytes])).toEqual([
      ['0', undefined],
      ['a', 10],
      ['c', undefined],
    ]);
  });

  test.each([
    ['validator', { validator: 'v2' }],
    ['size', { sizeBytes: 11 }],
    ['checksum', { sha256: 'b'.repeat(64) }],
    ['executable bit', { executable: true }],
  ])('with another %s of a file begins that file anew', (_, change) => {
    const merged = mergePlan([file('a', change)], [file('a', { complete: COMPLETE })], [10]);
    expect(merged.offsets).toEqual([0]);
    expect(merged.files[0]?.complete).toBeUndefined();
  });
});

describe('too many files', () => {
  const many = (count: number, pathLength: number) =>
    Array.from({ length: count }, (_, index) => file(`${'x/'.repeat(pathLength / 2)}${1e6 + index}`));
  const judge = (files: IngestFile[]) => () =>
    judgePlan({ sourceState: SOURCE_STATE, files }, reservationOf());

  test('are refused with the numbers, however many, before anything else is looked at', () => {
    const files = many(100_000, 100);
    const begin = performance.now();
    expect(judge(files)).toThrow(
      /^100000 files of 976\.6 KiB in all need more than the 8\.0 MiB of metainfo .*: put them into fewer files or shorter paths$/,
    );
    expect(performance.now() - begin).toBeLessThan(PATIENCE * 500);
  });

  test('are refused exactly where the metainfo would be too large', () => {
    expect(judge(many(1000, 20))).not.toThrow();
    // At a glance this passes: it is the piece hashes of 6 TiB that are too much besides.
    const flat = Array.from({ length: 50_000 }, (_, index) => file(`${'p'.repeat(80)}${1e6 + index}`));
    expect(judge([file('0', { sizeBytes: 6 * 1024 ** 4 }), ...flat])).toThrow(/need more than the 8\.0 MiB/);
  });
});
