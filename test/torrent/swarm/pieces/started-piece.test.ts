import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { StartedPiece } from '../../../../torrent/swarm/pieces/started-piece.ts';

const BLOCKS = 4;

test('every block is free, asked for or here, whatever is done to it', () => {
  const step = fc.record({
    what: fc.constantFrom('take', 'addCopy', 'release', 'receive'),
    place: fc.nat(BLOCKS - 1),
    sender: fc.nat(1000),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const started = new StartedPiece(BLOCKS);
      started.begin(7, BLOCKS, 0, false);
      const copies = Array<number>(BLOCKS).fill(0);
      const senders = new Map<number, number>();
      for (const { what, place, sender } of steps) {
        const isHere = senders.has(place);
        const asked = copies[place] as number;
        if (what === 'take' && started.free > 0) {
          const first = copies.findIndex((count, at) => count === 0 && !senders.has(at));
          expect(started.take()).toBe(first);
          copies[first] = 1;
        } else if (what === 'addCopy' && asked === 1) {
          started.addCopy(place);
          copies[place] = 2;
        } else if (what === 'release') {
          expect(started.release(place)).toBe(asked === 1);
          copies[place] = Math.max(0, asked - 1);
        } else if (what === 'receive') {
          expect(started.receive(place, sender)).toBe(!isHere);
          if (!isHere) senders.set(place, sender);
          copies[place] = 0;
        }
        for (let at = 0; at < BLOCKS; at++) {
          expect(started.isHere(at)).toBe(senders.has(at));
          expect(started.copies(at)).toBe(copies[at]);
          expect(started.isFree(at)).toBe(copies[at] === 0 && !senders.has(at));
        }
        expect(started.missing).toBe(BLOCKS - senders.size);
        expect(started.free).toBe(copies.filter((count, at) => count === 0 && !senders.has(at)).length);
      }
      for (const [place, sender] of senders) expect(started.sendersOf()[place]).toBe(sender);
    }),
  );
});
