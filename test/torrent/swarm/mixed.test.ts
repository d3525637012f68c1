// Own agents and other clients in one torrent: each meets its own policy.
import { describe, expect, test } from '@jest/globals';
import { BLOCK, makeSwarm, type Peer } from './harness.ts';

const PIECES = 400;
const ALL = Array.from({ length: PIECES }, (_, piece) => piece);

/** The peer answers one block each millisecond, for so many of them. */
function answerFor(world: ReturnType<typeof makeSwarm>, peer: Peer, blocks: number): void {
  for (let i = 0; i < blocks; i++) {
    world.answer(peer);
    for (const piece of world.received.splice(0)) world.swarm.pieceVerified(piece);
  }
}

describe('under the cluster policy', () => {
  test('a foreign peer owes us 3 s of its rate, an own agent little', () => {
    const outstanding = (ownAgent: boolean) => {
      const world = makeSwarm({ pieces: PIECES, policy: 'cluster' });
      const peer = world.connect({ pieces: 'all', ownAgent });
      world.swarm.unchoke(peer.neighbour);
      answerFor(world, peer, 200);
      return peer.link.wanted.length;
    };
    expect(outstanding(false)).toBeGreaterThan(150);
    expect(outstanding(true)).toBeLessThan(80);
  });

  test('a foreign peer is told after two minutes that we live, and may be silent for three', () => {
    const world = makeSwarm({ pieces: 4, policy: 'cluster' });
    const { link } = world.connect({ pieces: [0] });
    world.pass(119_000);
    expect(link.said).not.toContain('keepAlive');
    world.pass(2000);
    expect(link.said).toContain('keepAlive');
    world.pass(58_000);
    expect(link.closedBecause).toBeUndefined();
    world.pass(2000);
    expect(link.closedBecause).toMatch(/silent/);
  });

  test('a foreign peer waits for the choker, and an own agent does not', () => {
    const world = makeSwarm({ pieces: 4, policy: 'cluster', have: [0, 1, 2, 3] });
    const own = world.connect({ pieces: [], ownAgent: true });
    const foreign = Array.from({ length: 6 }, () => world.connect({ pieces: [] }));
    for (const { neighbour } of foreign) {
      world.swarm.introduced(neighbour, { ownAgent: false, requestQueue: 250, uploadOnly: false });
      world.swarm.interested(neighbour);
    }
    expect(own.link.said).toContain('unchoke');
    expect(foreign.filter(({ link }) => link.said.includes('unchoke'))).toHaveLength(4);
  });

  test('the first pieces from foreign peers are chosen at random, not by rarity', () => {
    const random = () => 0.5;
    const world = makeSwarm({ pieces: PIECES, policy: 'cluster', random });
    // All pieces but the first are known to be had by many.
    const rarest = world.connect({ pieces: 'all' });
    for (let i = 0; i < 3; i++) world.connect({ pieces: ALL.slice(1) });
    world.swarm.unchoke(rarest.neighbour);
    const [first] = rarest.link.wanted;
    expect(first?.[0]).not.toBe(0);
  });
});

describe('a seed with limited room', () => {
  /** Everybody asks for much; returns who is served in turn. */
  function turns(owns: number, others: number, count: number): { own: number; other: number } {
    const world = makeSwarm({ pieces: PIECES, policy: 'cluster', have: ALL });
    const peers = [
      ...Array.from({ length: owns }, () => world.connect({ pieces: [], ownAgent: true })),
      ...Array.from({ length: others }, () => world.connect({ pieces: [] })),
    ];
    world.limits.upload = 0;
    for (const { neighbour } of peers) {
      world.swarm.interested(neighbour);
      for (let piece = 0; piece < 200; piece++) world.swarm.request(neighbour, piece, 0, BLOCK);
    }
    const sent = { own: 0, other: 0 };
    for (let turn = 0; turn < count; turn++) {
      world.limits.upload = BLOCK;
      world.pass(100);
      for (const { neighbour, link } of peers)
        for (const [, , length] of link.sending.splice(0)) {
          link.pendingBytes -= length;
          world.swarm.uploaded(neighbour, length);
          sent[neighbour.ownAgent ? 'own' : 'other']++;
        }
    }
    return sent;
  }

  test.each([
    { owns: 1, others: 1 },
    { owns: 3, others: 1 },
    { owns: 1, others: 3 },
    { owns: 4, others: 4 },
  ])('serves each alike: $owns own agents and $others others', ({ owns, others }) => {
    const { own, other } = turns(owns, others, 160);
    expect(own + other).toBe(160);
    expect(own / 160).toBeCloseTo(owns / (owns + others), 1);
  });
});

test('where own agents are to meet the classic policy, they do', () => {
  const world = makeSwarm({ pieces: 4, policy: 'classic', have: [0, 1, 2, 3] });
  const own = Array.from({ length: 6 }, () => world.connect({ pieces: [], ownAgent: true }));
  for (const { neighbour } of own) world.swarm.interested(neighbour);
  expect(own.filter(({ link }) => link.said.includes('unchoke'))).toHaveLength(4);
  expect(own.some(({ link }) => link.said.some((words) => words.startsWith('suggest')))).toBe(false);
});
