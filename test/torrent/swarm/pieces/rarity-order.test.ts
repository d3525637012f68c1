// The order of pieces by count, against a model that sorts.
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Bitfield } from '../../../../torrent/bitfield.ts';
import { RarityOrder } from '../../../../torrent/swarm/pieces/rarity-order.ts';
import { fuzzParameters } from '../../fuzz.ts';
import { same } from '../../same.ts';

const PIECES = 24;

const piece = fc.integer({ min: 0, max: PIECES - 1 });
const pieces = fc.uniqueArray(piece, { maxLength: PIECES, size: 'max' });

const command = fc.oneof(
  fc.record({ do: fc.constant('add' as const), piece }),
  fc.record({ do: fc.constant('remove' as const), piece }),
  fc.record({ do: fc.constant('increment' as const), piece }),
  fc.record({ do: fc.constant('decrement' as const), piece }),
  fc.record({ do: fc.constant('shift up' as const), pieces }),
  fc.record({ do: fc.constant('shift down' as const), pieces }),
  fc.record({
    do: fc.constant('ask' as const),
    pieces,
    set: fc.boolean(),
    least: fc.integer({ min: 0, max: 3 }),
    draw: fc.double({ min: 0, max: 0.999, noNaN: true }),
  }),
);

function bitfieldOf(members: Iterable<number>): Bitfield {
  const bitfield = new Bitfield(PIECES);
  for (const member of members) bitfield.set(member);
  return bitfield;
}

test('the lowest is what sorting would find, after any sequence of changes', () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 200, size: 'max' }), (commands) => {
      const order = new RarityOrder(PIECES);
      const members = new Set<number>();
      const counts = new Array<number>(PIECES).fill(0);
      const change = (at: number, by: number) => {
        counts[at] = (counts[at] as number) + by;
      };
      for (const step of commands) {
        if (step.do === 'add') {
          order.add(step.piece);
          members.add(step.piece);
        } else if (step.do === 'remove') {
          order.remove(step.piece);
          members.delete(step.piece);
        } else if (step.do === 'increment') {
          order.increment(step.piece);
          change(step.piece, 1);
        } else if (step.do === 'decrement') {
          if (counts[step.piece] === 0) continue;
          order.decrement(step.piece);
          change(step.piece, -1);
        } else if (step.do === 'shift up') {
          order.shift(bitfieldOf(step.pieces), 1);
          for (const at of step.pieces) change(at, 1);
        } else if (step.do === 'shift down') {
          const possible = step.pieces.filter((at) => (counts[at] as number) > 0);
          order.shift(bitfieldOf(possible), -1);
          for (const at of possible) change(at, -1);
        } else {
          const eligible = [...members].filter(
            (at) => step.pieces.includes(at) === step.set && (counts[at] as number) >= step.least,
          );
          const found = order.lowest(bitfieldOf(step.pieces), step.set, step.least, step.draw);
          same('found one', eligible.includes(found), eligible.length > 0);
          if (eligible.length === 0) same('found none', found, -1);
          else same('count', counts[found], Math.min(...eligible.map((at) => counts[at] as number)));
          for (let count = 0; count < 5; count++) {
            const there = [...members].filter((at) => counts[at] === count).length;
            same(`members with count ${count}`, order.countOf(count), there);
          }
        }
        same('size', order.size, members.size);
        for (let at = 0; at < PIECES; at++) {
          same(`membership of ${at}`, order.has(at), members.has(at));
          same(`count of ${at}`, order.counts[at], counts[at]);
        }
      }
    }),
    fuzzParameters(500),
  );
});

test('ties are drawn: every piece of a bucket is found by some draw', () => {
  const order = new RarityOrder(PIECES);
  for (let at = 0; at < PIECES; at++) order.add(at);
  const found = new Set<number>();
  for (let i = 0; i < PIECES; i++) found.add(order.lowest(Bitfield.full(PIECES), true, 0, i / PIECES));
  expect(found.size).toBe(PIECES);
});
