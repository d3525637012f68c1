import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ExpiryWheel, NOT_SCHEDULED } from '../../../tracker/swarms/expiry-wheel.ts';

const SLOT = 5;

test('each peer is told as expired once, within a slot of its deadline, and never before', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('schedule'), name: fc.nat(9), in: fc.nat(60) }),
    fc.record({ do: fc.constant('cancel'), name: fc.nat(9), in: fc.constant(0) }),
    fc.record({ do: fc.constant('advance'), name: fc.constant(0), in: fc.nat(30) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      let now = 1000;
      const columns = {
        expiresAt: new Float64Array(10),
        slot: new Int32Array(10).fill(NOT_SCHEDULED),
        next: new Int32Array(10),
        previous: new Int32Array(10),
      };
      const wheel = new ExpiryWheel(columns, SLOT, now);
      const deadlines = new Map<number, number>();
      for (const { do: action, name, in: milliseconds } of steps) {
        if (action === 'schedule') {
          wheel.schedule(name, now + milliseconds);
          deadlines.set(name, now + milliseconds);
        } else if (action === 'cancel') {
          wheel.cancel(name);
          deadlines.delete(name);
        } else {
          now += milliseconds;
          wheel.advance(now, (peer) => {
            expect(deadlines.get(peer)).toBeLessThanOrEqual(now);
            expect(deadlines.delete(peer)).toBe(true);
          });
          for (const deadline of deadlines.values()) expect(deadline).toBeGreaterThan(now - SLOT);
        }
      }
    }),
  );
});
