import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Bitfield } from '../../../../torrent/bitfield.ts';
import { AvailabilityIndex, type IndexedPeer } from '../../../../torrent/swarm/pieces/availability-index.ts';
import { Geometry } from '../../../../torrent/swarm/pieces/geometry.ts';
import { PeerAvailability } from '../../../../torrent/swarm/pieces/peer-availability.ts';
import { PiecePicker } from '../../../../torrent/swarm/pieces/piece-picker.ts';

const PIECES = 5;

const newcomer = (): IndexedPeer => ({ availability: new PeerAvailability(new Bitfield(PIECES)) });

/** An index and its picker, which holds these pieces. */
function makeIndex(held: readonly number[] = []) {
  const have = new Bitfield(PIECES);
  for (const piece of held) have.set(piece);
  const picker = new PiecePicker(new Geometry(16 * 1024, PIECES * 16 * 1024), have, () => 0);
  return { picker, holders: new AvailabilityIndex(picker) };
}

function holdersOf(holders: AvailabilityIndex, piece: number): IndexedPeer[] {
  const found: IndexedPeer[] = [];
  for (let slot = holders.next(piece, 0); slot >= 0; slot = holders.next(piece, slot + 1)) {
    expect(holders.at(slot).availability.slot).toBe(slot);
    found.push(holders.at(slot));
  }
  return found;
}

const step = fc.record({
  what: fc.constantFrom('enter', 'enter', 'leave', 'got', 'got', 'got', 'shown', 'lost'),
  who: fc.nat(1000),
  piece: fc.nat(PIECES - 1),
});

test('names those whose bitfields have the piece, whoever came and went, however many', () => {
  fc.assert(
    fc.property(fc.nat(100), fc.array(step, { maxLength: 200 }), (before, steps) => {
      const { holders, picker } = makeIndex([0, 3]);
      const present: IndexedPeer[] = [];
      const enter = () => {
        const peer = newcomer();
        holders.enter(peer);
        present.push(peer);
      };
      for (let i = 0; i < before; i++) enter();
      for (const { what, who, piece } of steps) {
        const peer = present[who % Math.max(1, present.length)];
        if (what === 'enter' || peer === undefined) enter();
        else if (what === 'got') {
          const isNews = !peer.availability.pieces.get(piece);
          expect(holders.got(peer, piece)).toBe(isNews);
        } else if (what === 'shown') {
          if (!peer.availability.isShown) holders.shown(peer, Bitfield.full(PIECES));
        } else if (what === 'lost') {
          if (peer.availability.pieces.get(piece)) holders.lost(peer, piece);
        } else {
          holders.leave(peer);
          present.splice(present.indexOf(peer), 1);
        }
      }
      for (let piece = 0; piece < PIECES; piece++) {
        const expected = present.filter(({ availability }) => availability.pieces.get(piece));
        expect(new Set(holdersOf(holders, piece))).toEqual(new Set(expected));
        expect(picker.availability(piece)).toBe(expected.length);
      }
      for (const { availability } of present) {
        const useful = [1, 2, 4].filter((piece) => availability.pieces.get(piece)).length;
        expect([availability.useful, availability.pickable]).toEqual([useful, useful]);
      }
    }),
  );
});

test('what we start, hold, lose and want again changes what their peers are good for', () => {
  const { holders, picker } = makeIndex();
  const [one, other] = [newcomer(), newcomer()];
  for (const peer of [one, other]) holders.enter(peer);
  holders.shown(one, Bitfield.full(PIECES));
  holders.got(other, 2);
  const counts = () => [one, other].map(({ availability }) => [availability.useful, availability.pickable]);
  expect(counts()).toEqual([
    [5, 5],
    [1, 1],
  ]);
  holders.started(2);
  picker.start(2, 0);
  expect(counts()).toEqual([
    [5, 4],
    [1, 0],
  ]);
  picker.drop(2);
  holders.wantedAgain(2);
  expect(counts()).toEqual([
    [5, 5],
    [1, 1],
  ]);
  holders.started(2);
  holders.held(2);
  expect(counts()).toEqual([
    [4, 4],
    [0, 0],
  ]);
  holders.missing(2);
  expect(counts()).toEqual([
    [5, 5],
    [1, 1],
  ]);
});

test('slots of those who left are given again, so that it stays as narrow as the most at a time', () => {
  const { holders } = makeIndex();
  for (let i = 0; i < 1000; i++) {
    const peer = newcomer();
    holders.enter(peer);
    expect(peer.availability.slot).toBe(0);
    holders.leave(peer);
  }
});
