import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Bitfield } from '../../torrent/bitfield.ts';
import { TorrentError } from '../../torrent/errors.ts';
import { failureOf } from './failure.ts';
import { fuzzParameters } from './fuzz.ts';

describe('Bitfield', () => {
  test('has piece 0 in the high bit of the first byte', () => {
    const bitfield = new Bitfield(10);
    bitfield.set(0);
    bitfield.set(9);
    expect(bitfield.toBytes()).toEqual(Buffer.from([0x80, 0x40]));
  });

  test('refuses another length and spare bits off the wire', () => {
    expect(failureOf(() => Bitfield.fromBytes(Buffer.alloc(1), 9)).code).toBe('InvalidBitfield');
    expect(failureOf(() => Bitfield.fromBytes(Buffer.alloc(3), 9)).code).toBe('InvalidBitfield');
    expect(failureOf(() => Bitfield.fromBytes(Buffer.from([0, 0x40]), 9)).message).toContain('spare');
    expect(failureOf(() => Bitfield.fromBytes(Buffer.from([0, 0x01]), 9)).message).toContain('spare');
    expect(Bitfield.fromBytes(Buffer.from([0xff, 0x80]), 9).isFull).toBe(true);
    expect(failureOf(() => Bitfield.fromBytes(Buffer.from([1]), 0)).code).toBe('InvalidBitfield');
  });

  test('of no pieces is full and empty', () => {
    const bitfield = Bitfield.fromBytes(Buffer.alloc(0), 0);
    expect([bitfield.isFull, bitfield.isEmpty, bitfield.nextMissing(0), bitfield.nextSet(0)]).toEqual([
      true,
      true,
      -1,
      -1,
    ]);
  });

  test('says no to pieces outside and throws when they are set', () => {
    const bitfield = Bitfield.full(9);
    expect([
      bitfield.get(9),
      bitfield.get(-1),
      bitfield.get(15),
      bitfield.get(2 ** 31),
      bitfield.get(2 ** 32 - 1),
    ]).toEqual([false, false, false, false, false]);
    for (const index of [9, -1, 2 ** 32, Number.NaN]) {
      expect(failureOf(() => bitfield.set(index)).code).toBe('InvalidRequest');
      expect(failureOf(() => bitfield.clear(index)).code).toBe('InvalidRequest');
    }
  });

  test('copies what it is made from and what it gives away', () => {
    const bytes = Buffer.from([0x80]);
    const bitfield = Bitfield.fromBytes(bytes, 8);
    bytes[0] = 0;
    bitfield.toBytes()[0] = 0;
    bitfield.clone().clear(0);
    expect(bitfield.get(0)).toBe(true);
    expect(bitfield.count).toBe(1);
  });

  test('behaves as a set of numbers', () => {
    const step = fc.record({ kind: fc.constantFrom('set', 'clear', 'setAll', 'clearAll'), index: fc.nat() });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 70 }), fc.array(step, { maxLength: 100 }), (length, steps) => {
        const bitfield = new Bitfield(length);
        let model = new Set<number>();
        for (const { kind, index: any } of steps) {
          const index = any % length;
          if (kind === 'set') {
            expect(bitfield.set(index)).toBe(!model.has(index));
            model.add(index);
          } else if (kind === 'clear') expect(bitfield.clear(index)).toBe(model.delete(index));
          else if (kind === 'setAll') {
            bitfield.setAll();
            model = new Set(Array.from({ length }, (_, i) => i));
          } else {
            bitfield.clearAll();
            model.clear();
          }
        }
        const set = [];
        for (let i = bitfield.nextSet(0); i >= 0; i = bitfield.nextSet(i + 1)) set.push(i);
        const missing = [];
        for (let i = bitfield.nextMissing(0); i >= 0; i = bitfield.nextMissing(i + 1)) missing.push(i);
        const all = Array.from({ length }, (_, i) => i);
        expect(set).toEqual([...model].sort((a, b) => a - b));
        expect(missing).toEqual(all.filter((i) => !model.has(i)));
        expect(all.map((i) => bitfield.get(i))).toEqual(all.map((i) => model.has(i)));
        expect(bitfield.count).toBe(model.size);
        expect(bitfield.isFull).toBe(model.size === length);
        expect(bitfield.isEmpty).toBe(model.size === 0);
        const again = Bitfield.fromBytes(bitfield.toBytes(), length);
        expect(again.toBytes()).toEqual(bitfield.toBytes());
        expect(again.count).toBe(bitfield.count);
      }),
      fuzzParameters(300),
    );
  });

  test('lacksSomeOf is true exactly if the other has a piece more', () => {
    const bits = fc.array(fc.boolean(), { minLength: 20, maxLength: 20 });
    const from = (list: boolean[]) => {
      const bitfield = new Bitfield(list.length);
      for (const [index, isSet] of list.entries()) if (isSet) bitfield.set(index);
      return bitfield;
    };
    fc.assert(
      fc.property(bits, bits, (mine, theirs) => {
        expect(from(mine).lacksSomeOf(from(theirs))).toBe(theirs.some((has, i) => has && !mine[i]));
      }),
      fuzzParameters(300),
    );
  });

  test('any bytes end in a bitfield or a TorrentError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5 }), fc.integer({ min: 0, max: 40 }), (bytes, length) => {
        try {
          const bitfield = Bitfield.fromBytes(bytes, length);
          expect(bitfield.toBytes()).toEqual(Buffer.from(bytes));
          expect(bitfield.count).toBeLessThanOrEqual(length);
        } catch (error) {
          expect(error).toBeInstanceOf(TorrentError);
        }
      }),
      fuzzParameters(1000),
    );
  });
});
