import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Bitfield } from '../../../torrent/bitfield.ts';
import { Holders } from '../../../torrent/swarm/holders.ts';
import type { Neighbour } from '../../../torrent/swarm/neighbour.ts';

const PIECES = 5;

/** As much of a neighbour as matters here. */
function newcomer(): Neighbour {
  return { slot: -1, pieces: new Bitfield(PIECES) } as unknown as Neighbour;
}

function holdersOf(holders: Holders, piece: number): Neighbour[] {
  const found: Neighbour[] = [];
  for (let slot = holders.next(piece, 0); slot >= 0; slot = holders.next(piece, slot + 1)) {
    expect(holders.at(slot).slot).toBe(slot);
    found.push(holders.at(slot));
  }
  return found;
}

const step = fc.record({
  what: fc.constantFrom('enter', 'enter', 'leave', 'add', 'add', 'add', 'addAll', 'remove'),
  who: fc.nat(1000),
  piece: fc.nat(PIECES - 1),
});

test('names those whose bitfields have the piece, whoever came and went, however many', () => {
  fc.assert(
    fc.property(fc.nat(100), fc.array(step, { maxLength: 200 }), (before, steps) => {
      const holders = new Holders(PIECES);
      const present: Neighbour[] = [];
      const enter = () => {
        const neighbour = newcomer();
        holders.enter(neighbour);
        present.push(neighbour);
      };
      for (let i = 0; i < before; i++) enter();
      for (const { what, who, piece } of steps) {
        const neighbour = present[who % Math.max(1, present.length)];
        if (what === 'enter' || neighbour === undefined) enter();
        else if (what === 'add') {
          if (neighbour.pieces.set(piece)) holders.add(neighbour, piece);
        } else if (what === 'addAll') {
          neighbour.pieces.setAll();
          holders.addAll(neighbour, neighbour.pieces);
        } else if (what === 'remove') {
          if (neighbour.pieces.clear(piece)) holders.remove(neighbour, piece);
        } else {
          holders.leave(neighbour);
          present.splice(present.indexOf(neighbour), 1);
        }
      }
      for (let piece = 0; piece < PIECES; piece++) {
        const expected = present.filter(({ pieces }) => pieces.get(piece));
        expect(new Set(holdersOf(holders, piece))).toEqual(new Set(expected));
      }
    }),
  );
});

test('slots of those who left are given again, so that it stays as narrow as the most at a time', () => {
  const holders = new Holders(PIECES);
  for (let i = 0; i < 1000; i++) {
    const neighbour = newcomer();
    holders.enter(neighbour);
    expect(neighbour.slot).toBe(0);
    holders.leave(neighbour);
  }
});
