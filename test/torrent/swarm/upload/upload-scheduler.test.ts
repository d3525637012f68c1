// How much is handed to whom at a time, and when: the numbers of the uplink.
import { describe, expect, test } from '@jest/globals';
import { BLOCK, makeSwarm, type Peer, type TestSwarm } from '../harness.ts';

const MIB = 1024 * 1024;

/** A seed and peers that it serves. */
function seedOf(peers: number, { ownAgent = false } = {}) {
  const have = Array.from({ length: 400 }, (_, piece) => piece);
  const world = makeSwarm({ pieces: 400, have, shortBy: 0, policy: ownAgent ? 'cluster' : 'classic' });
  const all = Array.from({ length: peers }, () => {
    const peer = world.connect({ pieces: [], ownAgent });
    world.swarm.interested(peer.neighbour);
    return peer;
  });
  return { world, peers: all };
}

/** The peer waits for so many blocks. */
function ask(world: TestSwarm, { neighbour }: Peer, blocks: number): void {
  while (neighbour.upload.requests.size < blocks)
    world.swarm.request(neighbour, neighbour.upload.requests.size % 400, 0, BLOCK);
}

/** Blocks leave at a rate, in bytes a millisecond, for half a second; nothing is left at the links after that. */
function sendAt(world: TestSwarm, peers: readonly Peer[], rate: number): void {
  const leave = ({ link, neighbour }: Peer) => {
    const [, , length = 0] = link.sending.shift() ?? [];
    link.pendingBytes -= length;
    if (length > 0) world.swarm.uploaded(neighbour, length);
    return length;
  };
  const leaveAll = (most: number) => {
    let left = most;
    for (let sent = 1; sent > 0 && left > 0; left -= sent) {
      sent = 0;
      for (const peer of peers) sent += leave(peer);
    }
    return left;
  };
  for (let [time, room] = [0, 0]; time < 500; time++) {
    world.clock.time++;
    for (const peer of peers) ask(world, peer, 400);
    world.swarm.settle();
    room = Math.min(0, leaveAll(room + rate));
  }
  world.limits.upload = 0;
  leaveAll(Number.POSITIVE_INFINITY);
}

describe('a turn', () => {
  test.each([
    ['is 5 ms of the rate', 10_000, 4],
    ['is 32 blocks at most', 300_000, 32],
  ])('%s', (_, rate, blocks) => {
    const { world, peers } = seedOf(2);
    sendAt(world, peers, rate);
    for (const peer of peers) ask(world, peer, 400);
    world.limits.upload = (blocks + 1) * BLOCK;
    world.swarm.settle();
    const [first, second] = peers.map(({ link }) => link.sending.length) as [number, number];
    expect([Math.max(first, second), Math.min(first, second)]).toEqual([blocks, 1]);
  });

  test.each([
    ['24 neighbours: a block each in turn', 24, [0, 9, 0, 9]],
    ['25 neighbours: a piece in one go', 25, [0, 0, 9, 9]],
  ])('of a seed with %s', (_, neighbours, expected) => {
    const { world, peers } = seedOf(neighbours, { ownAgent: true });
    const [first, second] = peers as [Peer, Peer];
    world.limits.upload = 0;
    for (const [peer, piece] of [
      [first, 0],
      [second, 9],
    ] as const)
      for (const begin of [0, BLOCK]) world.swarm.request(peer.neighbour, piece, begin, BLOCK);
    const pieces = expected.map(() => {
      world.limits.upload = BLOCK;
      world.swarm.settle();
      return [first, second].flatMap(({ link }) => link.sending.splice(0)).map(([piece]) => piece);
    });
    expect(pieces.flat()).toEqual(expected);
  });
});

test('all links together are handed what leaves in 10 ms, and the turn that was begun before', () => {
  const { world, peers } = seedOf(1);
  const [peer] = peers as [Peer];
  sendAt(world, peers, 20_000);
  ask(world, peer, 400);
  world.limits.upload = Number.POSITIVE_INFINITY;
  world.swarm.settle();
  expect(peer.link.pendingBytes).toBeGreaterThan(9 * 20_000);
  expect(peer.link.pendingBytes).toBeLessThanOrEqual(15 * 20_000 + BLOCK);
});

describe('a link that sends nothing any more', () => {
  test.each([
    ['128 KiB, where it never sent anything', 0, 128 * 1024],
    ['1 MiB, where it was quick', 300_000, MIB],
  ])('is handed %s', (_, rate, bytes) => {
    const { world, peers } = seedOf(1);
    const [peer] = peers as [Peer];
    if (rate > 0) sendAt(world, peers, rate);
    ask(world, peer, 400);
    world.limits.upload = Number.POSITIVE_INFINITY;
    world.pass(400);
    expect(peer.link.pendingBytes).toBe(bytes);
  });

  test('is handed what it sends in 150 ms', () => {
    const { world, peers } = seedOf(1);
    const [peer] = peers as [Peer];
    sendAt(world, peers, 4000);
    ask(world, peer, 400);
    world.limits.upload = Number.POSITIVE_INFINITY;
    world.pass(400);
    expect(peer.link.pendingBytes).toBeLessThanOrEqual(150 * 4000 + BLOCK);
    expect(peer.link.pendingBytes).toBeGreaterThan(50 * 4000);
  });

  test('keeps others waiting for a quarter of a second', () => {
    const { world, peers } = seedOf(2);
    const [stuck, other] = peers as [Peer, Peer];
    ask(world, stuck, 100);
    world.swarm.settle();
    expect(stuck.link.pendingBytes).toBe(64 * 1024);
    ask(world, other, 100);
    world.pass(200);
    expect(other.link.pendingBytes).toBe(0);
    world.pass(100);
    expect(other.link.pendingBytes).toBeGreaterThan(0);
  });
});

test('who waits for blocks is told every 3 s that we live', () => {
  const { world, peers } = seedOf(1);
  const [peer] = peers as [Peer];
  world.limits.upload = 0;
  ask(world, peer, 1);
  const keepAlives = () => peer.link.said.filter((words) => words === 'keepAlive').length;
  world.pass(3000);
  expect(keepAlives()).toBe(0);
  world.pass(100);
  expect(keepAlives()).toBe(1);
  world.pass(3100);
  expect(keepAlives()).toBe(2);
});
