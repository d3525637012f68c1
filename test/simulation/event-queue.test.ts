import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { EventQueue } from '../../simulation/event-queue.ts';

test('events come in order of their time, equal times in order of their making, whatever is put in meanwhile', () => {
  const steps = fc.array(fc.option(fc.integer({ min: 0, max: 20 }), { freq: 3 }), {
    maxLength: 3000,
    size: 'max',
  });
  fc.assert(
    // Buckets from a thousandth of what lies ahead, so that they do not reach, to many times that.
    fc.property(steps, fc.constantFrom(0.0001, 0.01, 1, 7, 100), (delays, bucketMilliseconds) => {
      const queue = new EventQueue<string>(bucketMilliseconds);
      const model: { time: number; order: number }[] = [];
      let made = 0;
      const takeOne = () => {
        model.sort((a, b) => a.time - b.time || a.order - b.order);
        const expected = model.shift();
        const there = queue.next();
        if (there !== (expected !== undefined)) throw new Error(`next() gives ${there}`);
        if (expected === undefined) return;
        const got = [queue.time, queue.a, queue.b, queue.c, queue.kind, queue.target, queue.extra];
        const { time, order } = expected;
        expect(got).toEqual([time, order, -1 - order, 7, order % 23, `t${order}`, order]);
      };
      for (const delay of delays) {
        if (delay === null) takeOne();
        else {
          const order = made++;
          const time = queue.time + delay;
          queue.push(time, `t${order}`, order % 23, order, -1 - order, 7, order);
          model.push({ time, order });
        }
        if (queue.size !== model.length) throw new Error(`size ${queue.size} instead of ${model.length}`);
      }
      while (model.length > 0) takeOne();
      takeOne();
    }),
    { numRuns: 30 },
  );
});
