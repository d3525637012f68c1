import { expect, test } from '@jest/globals';
import { seededRandom } from '../../simulation/random.ts';
import { fullMesh, nearRegular } from '../../simulation/topology.ts';

function degrees(nodes: number, pairs: readonly [number, number][]): number[] {
  const count = new Array<number>(nodes).fill(0);
  for (const [a, b] of pairs) {
    count[a] = (count[a] as number) + 1;
    count[b] = (count[b] as number) + 1;
  }
  return count;
}

test('a full mesh connects every two once', () => {
  const pairs = fullMesh(6);
  expect(pairs).toHaveLength(15);
  expect(degrees(6, pairs)).toEqual([5, 5, 5, 5, 5, 5]);
});

test.each([
  [50, 4],
  [300, 30],
])('of %i nodes nearly all have %i neighbours; nobody itself, no pair twice', (nodes, degree) => {
  const pairs = nearRegular(nodes, degree, seededRandom(4));
  expect(new Set(pairs.map((pair) => pair.join())).size).toBe(pairs.length);
  for (const [a, b] of pairs) expect(a).toBeLessThan(b);
  const count = degrees(nodes, pairs);
  expect(Math.max(...count)).toBeLessThanOrEqual(degree);
  expect(count.filter((each) => each === degree).length).toBeGreaterThanOrEqual(0.98 * nodes);
});

test('more neighbours than there are nodes is a full mesh', () => {
  expect(nearRegular(5, 30, seededRandom(1))).toEqual(fullMesh(5));
});

test('random numbers are the same for the same seed, spread evenly, and below 1', () => {
  const draw = (seed: number) => {
    const random = seededRandom(seed);
    return Array.from({ length: 20_000 }, () => random());
  };
  const numbers = draw(7);
  expect(draw(7)).toEqual(numbers);
  expect(draw(8)).not.toEqual(numbers);
  const buckets = new Array<number>(10).fill(0);
  for (const number of numbers) {
    if (!(number >= 0 && number < 1)) throw new Error(`${number}`);
    const at = Math.trunc(number * 10);
    buckets[at] = (buckets[at] as number) + 1;
  }
  for (const count of buckets) expect(Math.abs(count - 2000)).toBeLessThan(200);
});
