import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { WorkQueue } from '../../kube/work-queue.ts';
import { FakeClock, settle } from '../base/fake-clock.ts';

function started(options: { workers?: number; handler: (key: string) => Promise<void> }) {
  const clock = new FakeClock();
  const queue = new WorkQueue<string>({ clock, random: () => 1 });
  const end = new AbortController();
  const done = queue.run({ workers: 1, ...options, signal: end.signal });
  const stop = () => {
    end.abort();
    return done;
  };
  return { clock, queue, stop };
}

describe('WorkQueue', () => {
  test('hands out a key once, however often it was added', async () => {
    const seen: string[] = [];
    const queue = new WorkQueue<string>();
    for (const key of ['a', 'b', 'a', 'a']) queue.add(key);
    const end = new AbortController();
    const done = queue.run({ workers: 2, signal: end.signal, handler: async (key) => void seen.push(key) });
    await settle();
    end.abort();
    await done;
    expect(seen).toEqual(['a', 'b']);
  });

  test('takes the earliest of several delays', async () => {
    const seen: number[] = [];
    const { clock, queue, stop } = started({ handler: async () => void seen.push(clock.now()) });
    const start = clock.now();
    queue.addAfter('a', 500);
    queue.addAfter('a', 200);
    queue.addAfter('a', 900);
    await clock.advance(2000);
    expect(seen).toEqual([start + 200]);
    await stop();
  });

  test('waits longer after each failure, up to a bound, and begins anew after forget', async () => {
    const clock = new FakeClock();
    const queue = new WorkQueue<string>({ clock, random: () => 1, maxDelayMilliseconds: 1000 });
    const end = new AbortController();
    const at: number[] = [];
    const done = queue.run({
      workers: 1,
      signal: end.signal,
      handler: async () => {
        at.push(clock.now());
        throw new Error('again');
      },
    });
    queue.add('a');
    await clock.advance(3500);
    const delays = at.slice(1).map((time, index) => time - at[index]!);
    expect(delays).toEqual([100, 200, 400, 800, 1000, 1000]);
    queue.forget('a');
    const before = at.length;
    await clock.advance(1300);
    // The delay that ran already was of the old series; then 100, 200 …
    expect(at[before + 1]! - at[before]!).toBe(100);
    end.abort();
    await done;
    expect(clock.pending).toBe(0);
  });

  test('never works on a key twice at once, and misses no key that was added', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat({ max: 30 })), { maxLength: 60 }),
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 10 }),
        async (adds, workers, durations) => {
          const clock = new FakeClock();
          const queue = new WorkQueue<string>({ clock });
          const end = new AbortController();
          const inWork = new Set<string>();
          const lastAdded = new Map<string, number>();
          const lastBegun = new Map<string, number>();
          let order = 0;
          let turn = 0;
          const done = queue.run({
            workers,
            signal: end.signal,
            handler: async (key) => {
              expect(inWork.has(key)).toBe(false);
              expect(inWork.size).toBeLessThan(workers);
              inWork.add(key);
              order += 1;
              lastBegun.set(key, order);
              turn += 1;
              const wait = durations[turn % durations.length]!;
              await new Promise<void>((resolve) => clock.after(wait, resolve));
              inWork.delete(key);
            },
          });
          for (const [key, pause] of adds) {
            queue.add(key);
            order += 1;
            lastAdded.set(key, order);
            if (pause > 20) await clock.advance(pause - 20);
          }
          await clock.advance(60 * 21);
          end.abort();
          await done;
          for (const [key, added] of lastAdded) expect(lastBegun.get(key)!).toBeGreaterThan(added);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('finishes what it began when it is told to end, and begins nothing more', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const seen: string[] = [];
    const { queue, stop } = started({
      handler: async (key) => {
        seen.push(key);
        await promise;
      },
    });
    queue.add('a');
    queue.add('b');
    await settle();
    const stopped = stop();
    let isOver = false;
    void stopped.then(() => {
      isOver = true;
    });
    await settle();
    expect(isOver).toBe(false);
    resolve();
    await stopped;
    expect(seen).toEqual(['a']);
  });
});
