import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Expiring, ExpiryWheel } from '../../tracker/expiry-wheel.ts';

const SLOT = 5;

interface Thing extends Expiring {
  readonly name: number;
}

test('each thing is told as expired once, within a slot of its deadline, and never before', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('schedule'), name: fc.nat(9), in: fc.nat(60) }),
    fc.record({ do: fc.constant('cancel'), name: fc.nat(9), in: fc.constant(0) }),
    fc.record({ do: fc.constant('advance'), name: fc.constant(0), in: fc.nat(30) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      let now = 1000;
      const wheel = new ExpiryWheel<Thing>(SLOT, now);
      const things = Array.from(
        { length: 10 },
        (_, name): Thing => ({ name, expiresAt: 0, slot: undefined }),
      );
      const deadlines = new Map<number, number>();
      for (const { do: action, name, in: milliseconds } of steps) {
        if (action === 'schedule') {
          wheel.schedule(things[name] as Thing, now + milliseconds);
          deadlines.set(name, now + milliseconds);
        } else if (action === 'cancel') {
          wheel.cancel(things[name] as Thing);
          deadlines.delete(name);
        } else {
          now += milliseconds;
          wheel.advance(now, (thing) => {
            expect(deadlines.get(thing.name)).toBeLessThanOrEqual(now);
            expect(deadlines.delete(thing.name)).toBe(true);
          });
          for (const deadline of deadlines.values()) expect(deadline).toBeGreaterThan(now - SLOT);
        }
      }
    }),
  );
});
