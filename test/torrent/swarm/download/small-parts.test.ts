// The small parts of the swarm: rates, limits, queues, evidence.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { OutstandingBlocks } from '../../../../torrent/swarm/download/outstanding-blocks.ts';
import { SmartBan } from '../../../../torrent/swarm/download/smart-ban.ts';
import { Geometry } from '../../../../torrent/swarm/pieces/geometry.ts';
import { TokenBucket } from '../../../../torrent/swarm/token-bucket.ts';
import { TransferRate } from '../../../../torrent/swarm/transfer-rate.ts';
import { TICK_MILLISECONDS } from '../../../../torrent/swarm/tunables.ts';
import { RequestQueue } from '../../../../torrent/swarm/upload/request-queue.ts';

describe('geometry', () => {
  test('every block is named by one number, and covers its bytes once', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(16384, 32768, 262144),
        fc.integer({ min: 1, max: 2_000_000 }),
        (pieceLength, totalBytes) => {
          const geometry = new Geometry(pieceLength, totalBytes);
          let bytes = 0;
          for (let piece = 0; piece < geometry.pieceCount; piece++) {
            for (let place = 0; place < geometry.blocksIn(piece); place++) {
              const block = piece * geometry.blocksPerPiece + place;
              expect(geometry.pieceOf(block)).toBe(piece);
              const begin = geometry.beginOf(block);
              const length = geometry.lengthOf(block);
              expect(piece * pieceLength + begin).toBe(bytes);
              expect(geometry.blockAt(piece, begin, length)).toBe(block);
              expect(geometry.blockAt(piece, begin, length - 1)).toBe(-1);
              expect(geometry.blockAt(piece, begin + 1, length)).toBe(-1);
              bytes += length;
            }
          }
          expect(bytes).toBe(totalBytes);
          expect(geometry.blockAt(geometry.pieceCount, 0, 16384)).toBe(-1);
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('transfer rate', () => {
  test('a steady rate is told rightly from early on, and forgotten when it ends', () => {
    const rate = new TransferRate(1000);
    const begin = 1000;
    expect(rate.perMillisecond(begin)).toBe(0);
    for (let time = 5; time <= 5000; time += 5) {
      rate.add(16384, begin + time);
      if (time === 50 || time === 500 || time === 5000) {
        expect(rate.perMillisecond(begin + time)).toBeGreaterThan(0.95 * (16384 / 5));
        expect(rate.perMillisecond(begin + time)).toBeLessThan(1.05 * (16384 / 5));
      }
    }
    expect(rate.perMillisecond(begin + 15_000)).toBeLessThan(1);
  });
});

describe('token bucket', () => {
  test('never lets more through than rate × time, a burst and one block', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1000, max: 10_000_000 }),
        fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 100, size: 'max' }),
        (bytesPerSecond, waits) => {
          const bucket = new TokenBucket(bytesPerSecond, 0);
          let now = 0;
          let passed = 0;
          // What had gathered before the limit was set is a burst too.
          const burst = Math.max(16384, bytesPerSecond / 4);
          for (const wait of waits) {
            now += wait;
            while (bucket.isOpen(now)) {
              bucket.spend(16384);
              passed += 16384;
            }
            expect(passed).toBeLessThanOrEqual((bytesPerSecond * now) / 1000 + burst + 16384);
          }
        },
      ),
    );
  });

  test('reaches its rate when asked at every tick', () => {
    const bucket = new TokenBucket(1_000_000, 0);
    let passed = 0;
    for (let now = 0; now <= 10_000; now += TICK_MILLISECONDS) {
      while (bucket.isOpen(now)) {
        bucket.spend(16384);
        passed += 16384;
      }
    }
    expect(passed).toBeGreaterThan(9_900_000);
  });

  test('without a rate it is always open, also after a limit was lifted', () => {
    for (const none of [undefined, 0, Number.NaN, -1]) {
      const bucket = new TokenBucket(1, 0);
      bucket.isOpen(0);
      bucket.spend(1e9);
      expect(bucket.isOpen(1)).toBe(false);
      bucket.setRate(none, 1);
      bucket.spend(1e12);
      expect(bucket.isOpen(1)).toBe(true);
    }
  });
});

describe('request queue', () => {
  test('is first in first out, also with entries taken out of the middle', () => {
    const operation = fc.oneof(
      fc.record({ do: fc.constant('push' as const), value: fc.integer({ min: 0, max: 5 }) }),
      fc.record({ do: fc.constant('remove' as const), value: fc.integer({ min: 0, max: 5 }) }),
      fc.record({ do: fc.constant('shift' as const), value: fc.constant(0) }),
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200, size: 'max' }), (operations) => {
        const queue = new RequestQueue();
        const outstanding = new OutstandingBlocks();
        const model: number[] = [];
        const blocks: number[] = [];
        for (const step of operations) {
          if (step.do === 'push') {
            queue.push(step.value, step.value * 2, 7);
            model.push(step.value);
            outstanding.push(step.value, step.value, 2 * step.value);
            blocks.push(step.value);
          } else if (step.do === 'remove') {
            expect(queue.remove(step.value, step.value * 2, 8)).toBe(false);
            const at = model.indexOf(step.value);
            expect(queue.remove(step.value, step.value * 2, 7)).toBe(at >= 0);
            if (at >= 0) model.splice(at, 1);
            const place = blocks.indexOf(step.value);
            expect(outstanding.remove(step.value)).toBe(place >= 0);
            if (place >= 0) blocks.splice(place, 1);
          } else if (model.length > 0) {
            queue.shift();
            model.shift();
          }
          expect(queue.size).toBe(model.length);
          if (model.length > 0) expect([queue.firstPiece, queue.firstLength]).toEqual([model[0], 7]);
          expect(outstanding.size).toBe(blocks.length);
          expect(blocks.map((_, i) => outstanding.at(i))).toEqual(blocks);
        }
      }),
    );
  });
});

describe('evidence', () => {
  test('who gave a bad piece alone is guilty', () => {
    expect(new SmartBan().failed(3, [5, 5, 5], ['a', 'b', 'c'])).toEqual([5]);
  });

  test('of several, those whose blocks differ from the good piece', () => {
    const evidence = new SmartBan();
    expect(evidence.failed(3, [1, 2, 3], ['a', 'bad', 'c'])).toEqual([]);
    expect(evidence.isOpen(3)).toBe(true);
    expect(evidence.verified(3, ['a', 'b', 'c'])).toEqual([2]);
    expect(evidence.isOpen(3)).toBe(false);
    expect(evidence.verified(3, ['a', 'b', 'c'])).toEqual([]);
  });

  test('is bounded', () => {
    const evidence = new SmartBan();
    for (let piece = 0; piece < 1000; piece++) evidence.failed(piece, [1, 2], ['x', 'y']);
    const open = Array.from({ length: 1000 }, (_, piece) => piece).filter((piece) => evidence.isOpen(piece));
    expect(open).toEqual(Array.from({ length: 64 }, (_, i) => 936 + i));
  });
});
