import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MemoryShare } from '../../../../torrent/memory-ledger.ts';
import { SpanMemory } from '../../../../torrent/storage/reading/span-memory.ts';

const MIB = 1024 * 1024;

describe('memory of spans', () => {
  test('is used anew when its last user gives it back, and not before', () => {
    const memory = new SpanMemory(new MemoryShare(48 * MIB));
    const first = memory.take(1000);
    const view = first.subarray(100, 200);
    memory.retain(view);
    memory.release(first);
    expect(memory.take(1000).buffer).not.toBe(first.buffer);
    memory.release(view);
    expect(memory.take(500).buffer).not.toBe(first.buffer);
    const again = memory.take(1000);
    expect(again.buffer).toBe(first.buffer);
    expect(again.length).toBe(1000);
  });

  test('of others is none of its business', () => {
    const memory = new SpanMemory(new MemoryShare(48 * MIB));
    const foreign = Buffer.alloc(10);
    memory.retain(foreign);
    memory.release(foreign);
    memory.release(foreign);
    expect(memory.take(10).buffer).not.toBe(foreign.buffer);
  });

  test('is kept up to a bound', () => {
    const memory = new SpanMemory(new MemoryShare(12_000));
    const taken = [memory.take(1000), memory.take(1000), memory.take(1000)];
    for (const buffer of taken) memory.release(buffer);
    const again = new Set(
      [memory.take(1000), memory.take(1000), memory.take(1000)].map(({ buffer }) => buffer),
    );
    expect(taken.filter(({ buffer }) => again.has(buffer))).toHaveLength(2);
  });

  test('is kept up to a sixth of its share', () => {
    const memory = new SpanMemory(new MemoryShare(48 * MIB));
    const take = () => Array.from({ length: 10 }, () => memory.take(MIB));
    const taken = take();
    for (const buffer of taken) memory.release(buffer);
    const again = new Set(take().map(({ buffer }) => buffer));
    expect(taken.filter(({ buffer }) => again.has(buffer))).toHaveLength(8);
  });

  test('is charged to its share, and short before all of that is in use', () => {
    const share = new MemoryShare(6000);
    const memory = new SpanMemory(share);
    const taken = Array.from({ length: 5 }, () => memory.take(1000));
    expect([share.usedBytes, memory.isShort]).toEqual([5000, false]);
    const last = memory.take(1);
    expect([share.usedBytes, memory.isShort]).toEqual([5001, true]);
    for (const buffer of [...taken, last]) memory.release(buffer);
    expect(share.usedBytes).toBe(0);
  });

  test('is never handed out while somebody has the use of it', () => {
    const step = fc.record({
      kind: fc.constantFrom('take', 'retain', 'release'),
      pick: fc.nat(),
      length: fc.constantFrom(64, 128),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const memory = new SpanMemory(new MemoryShare(6 * 256));
        const held: Buffer[] = [];
        for (const { kind, pick, length } of steps) {
          const one = held[pick % Math.max(1, held.length)];
          if (kind === 'take') {
            const buffer = memory.take(length);
            expect(held.some((other) => other.buffer === buffer.buffer)).toBe(false);
            held.push(buffer);
          } else if (one !== undefined && kind === 'retain') {
            memory.retain(one);
            held.push(one);
          } else if (one !== undefined) {
            memory.release(one);
            held.splice(held.indexOf(one), 1);
          }
        }
      }),
    );
  });
});
