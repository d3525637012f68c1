import { expect, test } from '@jest/globals';
import { introduce } from '../../simulation/introductions.ts';
import { seededRandom } from '../../simulation/random.ts';

/** Names up to `most` others that came before, or came at all, at random. */
function namesOthers(most: number) {
  const random = seededRandom(3);
  const present = new Set<number>();
  return (asker: number) => {
    const others = [...present].filter((other) => other !== asker);
    present.add(asker);
    return others.sort(() => random() - 0.5).slice(0, most);
  };
}

test('nobody is left with few, nobody has too many, no pair comes twice', () => {
  const pairs = introduce(100, 12, namesOthers(50));
  expect(new Set(pairs.map((pair) => pair.join())).size).toBe(pairs.length);
  const counts = new Array<number>(100).fill(0);
  for (const [a, b] of pairs) {
    expect(a).toBeLessThan(b);
    counts[a] = (counts[a] as number) + 1;
    counts[b] = (counts[b] as number) + 1;
  }
  expect(Math.min(...counts)).toBeGreaterThanOrEqual(6);
  expect(Math.max(...counts)).toBeLessThanOrEqual(16);
});

test('it ends where there are not enough', () => {
  expect(introduce(4, 30, namesOthers(50))).toHaveLength(6);
  expect(introduce(4, 30, () => [])).toEqual([]);
});

test('whoever is told of itself, or twice of another, makes nothing of it', () => {
  expect(introduce(2, 4, () => [0, 0, 1, 1])).toEqual([[0, 1]]);
});
