import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Sampler } from '../../../tracker/swarms/sampler.ts';
import { seededRandom } from '../seeded-random.ts';

test('picks each at most once, never the one left out, as many as there are', () => {
  const lists = fc.array(fc.nat(300), { minLength: 1, maxLength: 5 });
  const sampler = new Sampler(200, seededRandom(5));
  fc.assert(
    fc.property(lists, fc.nat(250), fc.nat(400), (lengths, wanted, excluded) => {
      sampler.begin();
      let next = 0;
      const left = excluded < (lengths[0] ?? 0) ? excluded : -1;
      for (const [at, length] of lengths.entries())
        sampler.add(
          Array.from({ length }, () => next++),
          at === 0 ? left : -1,
        );
      const available = next - (left < 0 ? 0 : 1);
      expect(sampler.available).toBe(available);
      sampler.pick(wanted);
      const picked = [...sampler.picked.subarray(0, sampler.pickedCount)];
      expect(picked).toHaveLength(Math.min(wanted, available, 200));
      expect(new Set(picked).size).toBe(picked.length);
      for (const item of picked) expect(item >= 0 && item < next && item !== left).toBe(true);
    }),
  );
});

test('every set is as likely as any other, and so is every order', () => {
  const sampler = new Sampler(200, seededRandom(9));
  const seen = new Map<string, number>();
  const rounds = 12_000;
  for (let round = 0; round < rounds; round += 1) {
    sampler.begin();
    sampler.add([0, 9, 1], 1);
    sampler.add([2, 3]);
    sampler.pick(2);
    const key = sampler.picked.subarray(0, 2).join();
    seen.set(key, (seen.get(key) ?? 0) + 1);
  }
  expect(seen.size).toBe(12);
  for (const count of seen.values()) expect(Math.abs(count - 1000)).toBeLessThan(5 * Math.sqrt(1000));
});
