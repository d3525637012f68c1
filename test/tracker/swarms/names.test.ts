import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Names } from '../../../tracker/swarms/names.ts';

test('a name has one number as long as it is used, and no other name has it', () => {
  const step = fc.record({ name: fc.constantFrom('a', 'b', 'c', 'd'), isUse: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const names = new Names(3);
      const held: { name: string; number: number }[] = [];
      for (const { name, isUse } of steps) {
        if (isUse) {
          const number = names.use(name);
          const known = new Set(held.map((use) => use.name));
          if (!known.has(name) && known.size === 3) expect(number).toBe(0);
          else held.push({ name, number });
        } else names.release(held.shift()?.number ?? 0);
        for (const use of held) expect(names.name(use.number)).toBe(use.name);
      }
    }),
  );
  expect(new Names(1).use(undefined)).toBe(0);
});
