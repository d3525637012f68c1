// In which order a classic seed serves what one peer asks for.
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Geometry } from '../../../../torrent/swarm/pieces/geometry.ts';
import { FirstCopies } from '../../../../torrent/swarm/upload/first-copies.ts';
import { RequestQueue } from '../../../../torrent/swarm/upload/request-queue.ts';
import { BLOCK, makeSwarm, type Peer } from '../harness.ts';

type World = ReturnType<typeof makeSwarm>;

function seedOf(pieces: number) {
  return makeSwarm({ pieces, have: [...Array(pieces).keys()], shortBy: 0 });
}

/** Pieces that were handed to a peer's link, in order; each leaves, and what follows it is handed over. */
function handed(world: World, { link, neighbour }: Peer): number[] {
  const pieces: number[] = [];
  for (let block = link.sending.shift(); block !== undefined; block = link.sending.shift()) {
    const [piece, , length] = block;
    link.pendingBytes -= length;
    pieces.push(piece);
    world.swarm.uploaded(neighbour, length);
  }
  return pieces;
}

test('what was never sent comes first, then the rest, and nothing is refused', () => {
  const world = seedOf(8);
  const [a, b] = [world.connect({ pieces: [] }), world.connect({ pieces: [] })];
  for (const { neighbour } of [a, b]) world.swarm.interested(neighbour);
  for (const piece of [0, 1, 2, 3]) world.swarm.request(a.neighbour, piece, 0, BLOCK);
  world.swarm.settle();
  expect(handed(world, a)).toEqual([0, 1, 2, 3]);
  // Both asked for the same; the second gets what is new first.
  for (const piece of [0, 1, 4, 2, 5]) world.swarm.request(b.neighbour, piece, 0, BLOCK);
  world.swarm.settle();
  expect(handed(world, b)).toEqual([4, 5, 0, 1, 2]);
  expect(b.link.said.join()).not.toContain('reject');
});

test('once everything has left, requests are served as they come', () => {
  const world = seedOf(2);
  const a = world.connect({ pieces: [] });
  world.swarm.interested(a.neighbour);
  for (const piece of [0, 1]) {
    for (const begin of [0, BLOCK]) world.swarm.request(a.neighbour, piece, begin, BLOCK);
  }
  world.swarm.settle();
  expect(handed(world, a)).toEqual([0, 0, 1, 1]);
  for (const piece of [1, 0, 1]) world.swarm.request(a.neighbour, piece, 0, BLOCK);
  world.swarm.settle();
  expect(handed(world, a)).toEqual([1, 0, 1]);
});

test('a leecher serves in the order asked: its copies are not the only ones', () => {
  const world = makeSwarm({ pieces: 8, have: [0, 1, 2, 3], shortBy: 0 });
  const [a, b] = [world.connect({ pieces: [] }), world.connect({ pieces: [] })];
  for (const { neighbour } of [a, b]) world.swarm.interested(neighbour);
  world.swarm.request(a.neighbour, 0, 0, BLOCK);
  for (const piece of [0, 1]) world.swarm.request(b.neighbour, piece, 0, BLOCK);
  world.swarm.settle();
  expect(handed(world, b)).toEqual([0, 1]);
});

test('bringing a request forward keeps all others in order', () => {
  fc.assert(
    fc.property(
      fc.nat(40),
      fc.array(fc.nat(1000), { minLength: 1, maxLength: 60 }),
      fc.nat(),
      (before, pieces, draw) => {
        const queue = new RequestQueue();
        // The queue's start lies anywhere in its storage.
        for (let i = 0; i < before; i++) {
          queue.push(0, 0, 0);
          queue.shift();
        }
        for (const piece of pieces) queue.push(piece, piece + 1, piece + 2);
        const place = draw % pieces.length;
        expect([queue.pieceAt(place), queue.beginAt(place)]).toEqual([
          pieces[place],
          (pieces[place] as number) + 1,
        ]);
        queue.bringForward(place);
        const expected = [pieces[place] as number, ...pieces.filter((_, i) => i !== place)];
        for (const piece of expected) {
          expect([queue.firstPiece, queue.firstBegin, queue.firstLength]).toEqual([
            piece,
            piece + 1,
            piece + 2,
          ]);
          queue.shift();
        }
        expect(queue.size).toBe(0);
      },
    ),
  );
});

test.each([
  [255, 300],
  [256, 0],
])('behind %d requests for what was sent, the next one served is for piece %d', (sent, expected) => {
  const copies = new FirstCopies(new Geometry(BLOCK, 400 * BLOCK));
  const queue = new RequestQueue();
  for (let piece = 0; piece < sent; piece++) {
    copies.handed(piece, 0);
    queue.push(piece, 0, BLOCK);
  }
  queue.push(300, 0, BLOCK);
  copies.choose(queue);
  expect(queue.firstPiece).toBe(expected);
});
