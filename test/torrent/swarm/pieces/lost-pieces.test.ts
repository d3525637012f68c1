// A held piece that is not on the disk any more (BEP 54), by what the links are told.
import { describe, expect, jest, test } from '@jest/globals';
import { RarityOrder } from '../../../../torrent/swarm/pieces/rarity-order.ts';
import { BLOCK, makeSwarm } from '../harness.ts';

// Written out, so that a changed number is noticed.
const LOST_PIECES_PER_SECOND = 1;
const MAX_LOST_PIECES = 500;

/** A swarm that holds pieces 0 and 1 of 4, with interested peers that are unchoked. */
function serving(have = [0, 1], pieces = 4) {
  const world = makeSwarm({ pieces, policy: 'cluster', have });
  const connect = (shows: number[], fast = true) => {
    const peer = world.connect({ ownAgent: true, pieces: shows, fast });
    world.swarm.interested(peer.neighbour);
    return peer;
  };
  return { world, connect };
}

test('whoever knows the message is told, whoever does not is left', () => {
  const { world, connect } = serving();
  const [told, ignorant, plain] = [connect([]), connect([]), connect([], false)];
  ignorant.link.knowsLosses = false;
  world.swarm.pieceLost(1);
  expect(told.link.said.filter((words) => words.startsWith('dontHave'))).toEqual(['dontHave 1']);
  expect(told.link.closedBecause).toBeUndefined();
  expect(ignorant.link.closedBecause).toMatch(/lost a piece/);
  expect(plain.link.closedBecause).toMatch(/lost a piece/);
  expect(world.swarm.held.count).toBe(1);
  // Once is enough.
  world.swarm.pieceLost(1);
  expect(told.link.said.filter((words) => words.startsWith('dontHave'))).toHaveLength(1);
});

test('what waits to be sent of it is refused, and later requests too', () => {
  const { world, connect } = serving();
  const peer = connect([]);
  for (const piece of [0, 1, 0]) world.swarm.request(peer.neighbour, piece, 0, BLOCK);
  world.swarm.request(peer.neighbour, 1, BLOCK, BLOCK);
  world.swarm.pieceLost(1);
  world.swarm.settle();
  expect(peer.link.said.filter((words) => words.startsWith('reject'))).toEqual([
    `reject 1 0 ${BLOCK}`,
    `reject 1 ${BLOCK} ${BLOCK}`,
  ]);
  expect(peer.link.sending.map(([piece]) => piece)).toEqual([0, 0]);
  world.swarm.request(peer.neighbour, 1, 0, BLOCK);
  expect(peer.link.said.at(-1)).toBe(`reject 1 0 ${BLOCK}`);
});

test('it is asked of those who have it, and announced again once it is back', () => {
  const { world, connect } = serving([0, 1, 2, 3]);
  const peer = connect([1]);
  world.swarm.unchoke(peer.neighbour);
  expect(peer.neighbour.amInterested).toBe(false);
  world.swarm.pieceLost(1);
  expect(world.swarm.isComplete).toBe(false);
  expect(peer.link.said).toContain('interested');
  expect(peer.link.wanted.map(([piece]) => piece)).toEqual([1, 1]);
  while (peer.link.wanted.length > 0) world.answer(peer);
  for (const piece of world.received) world.swarm.pieceVerified(piece);
  world.swarm.flushHaves();
  expect(world.swarm.isComplete).toBe(true);
  expect(peer.link.said.at(-1)).toBe('have 1');
});

test('a piece that was to be announced is not, and one that a seed was to direct is not suggested', () => {
  const { world, connect } = serving([0, 1]);
  const giver = connect([2]);
  world.swarm.unchoke(giver.neighbour);
  while (giver.link.wanted.length > 0) world.answer(giver);
  for (const piece of world.received) world.swarm.pieceVerified(piece);
  const listener = connect([]);
  world.swarm.pieceLost(2);
  world.swarm.flushHaves();
  expect(listener.link.said).not.toContain('have 2');

  const seeding = makeSwarm({ pieces: 2, policy: 'cluster', have: [0, 1] });
  seeding.swarm.pieceLost(1);
  const taker = seeding.connect({ ownAgent: true, pieces: [] });
  seeding.swarm.interested(taker.neighbour);
  for (const piece of [0, 1]) seeding.swarm.request(taker.neighbour, piece, 0, BLOCK);
  seeding.pass(3000);
  expect(taker.link.said).toContain('suggest 0');
  expect(taker.link.said).not.toContain('suggest 1');
});

test('a block that cannot be read is refused, and its place at the uplink is free again', () => {
  const { world, connect } = serving();
  const peer = connect([]);
  world.swarm.request(peer.neighbour, 0, 0, BLOCK);
  world.swarm.settle();
  expect(peer.neighbour.upload.handedBytes).toBe(BLOCK);
  peer.link.pendingBytes = 0;
  world.swarm.unsent(peer.neighbour, 0, 0, BLOCK);
  expect(peer.link.said.at(-1)).toBe(`reject 0 0 ${BLOCK}`);
  expect(peer.neighbour.upload.handedBytes).toBe(0);
});

test('a loss of a piece beyond the last one ends the connection', () => {
  const { world, connect } = serving();
  const peer = connect([1]);
  world.swarm.lost(peer.neighbour, 4);
  expect(peer.link.closedBecause).toMatch(/lost piece 4/);
});

describe('a peer that loses pieces and gets them again', () => {
  test.each([0, 1])('costs nothing that grows with the torrent (it lacks %s pieces at first)', (lacks) => {
    const pieces = 2 * MAX_LOST_PIECES;
    const world = makeSwarm({ pieces });
    const { swarm } = world;
    const peer = world.connect({ pieces: Array.from({ length: pieces - lacks }, (_, piece) => piece) });
    const wholeLooks = jest.spyOn(RarityOrder.prototype, 'shift');
    for (let piece = 0; piece < MAX_LOST_PIECES; piece++) {
      swarm.lost(peer.neighbour, piece);
      expect(swarm.picker.availability(piece)).toBe(0);
      swarm.have(peer.neighbour, piece);
      expect(swarm.picker.availability(piece)).toBe(1);
    }
    // The first time, one that had every piece is counted piece by piece from then on.
    expect(wholeLooks.mock.calls.length).toBeLessThanOrEqual(1);
    wholeLooks.mockRestore();
    expect(peer.link.closedBecause).toBeUndefined();
    swarm.disconnected(peer.neighbour);
    for (let piece = 0; piece < pieces; piece++) expect(swarm.picker.availability(piece)).toBe(0);
  });

  test('is dropped where that has no end, and not where a piece is lost now and then', () => {
    const world = makeSwarm({ pieces: 4 });
    const [flood, unlucky] = [world.connect({ pieces: 'all' }), world.connect({ pieces: 'all' })];
    for (let i = 0; i <= MAX_LOST_PIECES; i++) {
      expect(flood.link.closedBecause).toBeUndefined();
      world.swarm.lost(flood.neighbour, i % 4);
      if (flood.neighbour.connected) world.swarm.have(flood.neighbour, i % 4);
    }
    expect(flood.link.closedBecause).toMatch(/loses pieces/);
    for (let i = 0; i < 2 * MAX_LOST_PIECES; i++) {
      world.swarm.heard(unlucky.neighbour, world.clock.time);
      world.pass(1000 / LOST_PIECES_PER_SECOND);
      world.swarm.lost(unlucky.neighbour, i % 4);
      world.swarm.have(unlucky.neighbour, i % 4);
    }
    expect(unlucky.link.closedBecause).toBeUndefined();
    for (let seconds = 0; seconds < 600 && unlucky.neighbour.connected; seconds++) {
      world.swarm.heard(unlucky.neighbour, world.clock.time);
      world.pass(1000);
      for (const piece of [0, 1]) {
        if (unlucky.neighbour.connected) world.swarm.lost(unlucky.neighbour, piece);
        if (unlucky.neighbour.connected) world.swarm.have(unlucky.neighbour, piece);
      }
    }
    expect(unlucky.link.closedBecause).toMatch(/loses pieces/);
  });
});
