import { describe, expect, test } from '@jest/globals';
import { progressLine } from '../../../cli/terminal/progress-line.ts';

const MIB = 1024 * 1024;
const half = { doing: 'downloading', doneBytes: 5 * MIB, totalBytes: 10 * MIB, bytesPerSecond: MIB };

describe('a line of progress', () => {
  test('without a terminal has the numbers and no bar', () => {
    expect(progressLine({ ...half, facts: ['3 peers'] })).toBe(
      'downloading 50%  1.0 MiB/s  5s left  3 peers  5.0 MiB of 10.0 MiB',
    );
  });

  test.each([200, 120, 80, 60, 40, 20, 5, 1])('keeps within %d columns', (columns) => {
    const line = progressLine({ ...half, facts: ['3 peers', 'up 2 MiB/s'] }, columns);
    expect(line.length).toBeLessThan(Math.max(columns, 1));
  });

  test.each([
    [
      100,
      /^downloading 50% \[=+ +\] {2}1\.0 MiB\/s {2}5s left {2}3 peers {2}5\.0 MiB of 10\.0 MiB {2}up 2\.0 MiB\/s$/,
    ],
    [80, /^downloading 50% \[=+ +\] {2}1\.0 MiB\/s {2}5s left {2}3 peers {2}5\.0 MiB of 10\.0 MiB$/],
    [70, /^downloading 50% \[=+ +\] {2}1\.0 MiB\/s {2}5s left {2}3 peers$/],
    [50, /^downloading 50% \[=+ +\] {2}1\.0 MiB\/s {2}5s left$/],
    [40, /^downloading 50% {2}1\.0 MiB\/s {2}5s left$/],
    [30, /^downloading 50% {2}1\.0 MiB\/s$/],
    [20, /^downloading 50%$/],
  ])('in %d columns it has what matters most, and a bar where there is room', (columns, expected) => {
    expect(progressLine({ ...half, facts: ['3 peers', 'up 2.0 MiB/s'] }, columns)).toMatch(expected);
  });

  test('the bar is as full as the part', () => {
    const bar = /\[(=*)( *)\]/.exec(progressLine(half, 100));
    expect(bar?.[1]?.length).toBe(bar?.[2]?.length);
  });

  test('100 % is for what is complete', () => {
    expect(progressLine({ ...half, doneBytes: 10 * MIB - 1 })).toContain(' 99%');
    expect(progressLine({ doing: 'checking', doneBytes: 0, totalBytes: 0 })).toContain('100%');
  });
});
