import { describe, expect, test } from '@jest/globals';
import { median, spread } from '../../bench/statistics.ts';
import { tableOf } from '../../bench/table.ts';

describe('the numbers of several runs', () => {
  test.each<[number[], number]>([
    [[3], 3],
    [[9, 1, 5], 5],
    [[10, 2, 30, 4], 10],
  ])('the middle of %j is %d', (values, middle) => {
    expect(median(values)).toBe(middle);
  });

  test('are told by the middle one, the least and the most', () => {
    const show = (value: number) => value.toFixed(1);
    expect(spread([2, 1, 9], show)).toBe('2.0 (1.0–9.0)');
    expect(spread([2], show)).toBe('2.0');
    expect(spread([], show)).toBe('–');
  });
});

test('a row has ours, each peer with the ratio, the target and whether it is reached', () => {
  const row = {
    number: '1',
    work: 'MB/s',
    ours: [300, 100, 200],
    peers: { other: [100] },
    digits: 0,
    target: '≥ 1.5 × other',
  };
  expect(tableOf([{ ...row, isReached: true }]).split('\n')[2]).toBe(
    '| 1 | MB/s | 200 (100–300) | other 100, × 2.00 | ≥ 1.5 × other | yes |',
  );
  expect(tableOf([{ ...row, peers: {}, isReached: false }])).toContain('| – | ≥ 1.5 × other | **no** |');
});
