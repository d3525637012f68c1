// The seed directs: which pieces it suggests to whom.
import { expect, test } from '@jest/globals';
import { seededRandom } from '../../../../simulation/random.ts';
import { BLOCK, makeSwarm, type Peer, type TestSwarm } from '../harness.ts';

const PIECES = 12;
const all = Array.from({ length: PIECES }, (_, piece) => piece);

function suggestions({ link }: Peer): number[] {
  return link.said.filter((words) => words.startsWith('suggest')).map((words) => Number(words.split(' ')[1]));
}

function seed() {
  const world = makeSwarm({ pieces: PIECES, policy: 'cluster', have: all, random: seededRandom(3) });
  /** Asks for the first block of a piece. */
  const ask = ({ neighbour }: Peer, piece: number) => world.swarm.request(neighbour, piece, 0, BLOCK);
  return { world, ask, agent: () => world.connect({ ownAgent: true, pieces: [] }) };
}

test('one unrequested suggestion a peer at most, and the next as soon as it is taken up', () => {
  const { agent, ask } = seed();
  const [peer, other] = [agent(), agent()];
  expect(suggestions(peer)).toHaveLength(1);
  ask(peer, suggestions(peer)[0] as number);
  expect(suggestions(peer)).toHaveLength(2);
  expect(suggestions(other)).toHaveLength(1);
});

test('whoever is alone is told of four, once it has taken up the first', () => {
  const { agent, ask } = seed();
  const peer = agent();
  expect(suggestions(peer)).toHaveLength(1);
  ask(peer, suggestions(peer)[0] as number);
  expect(suggestions(peer)).toHaveLength(1 + 4);
});

test('every piece is suggested once before any is suggested twice', () => {
  const { agent, ask } = seed();
  const peers = [agent(), agent(), agent()];
  const taken = [0, 0, 0];
  for (let i = 0; i < PIECES - 3; i++) {
    const index = i % 3;
    const peer = peers[index] as Peer;
    ask(peer, suggestions(peer)[taken[index] as number] as number);
    taken[index] = (taken[index] as number) + 1;
  }
  const suggested = peers.flatMap(suggestions);
  expect(suggested).toHaveLength(PIECES);
  expect(new Set(suggested).size).toBe(PIECES);
});

test('a piece that a neighbour has is out: it is suggested no more', () => {
  const { world, agent } = seed();
  const holder = agent();
  for (const piece of all.slice(0, PIECES - 1)) world.swarm.have(holder.neighbour, piece);
  const peer = agent();
  expect(suggestions(peer)).toEqual([PIECES - 1]);
});

test('a piece that a neighbour has is not out any more when that one leaves, unless another has it', () => {
  const { world, agent } = seed();
  const first = agent();
  const second = agent();
  for (const piece of all) world.swarm.have(first.neighbour, piece);
  for (const piece of all.slice(0, PIECES - 1)) world.swarm.have(second.neighbour, piece);
  world.swarm.disconnected(first.neighbour);
  const last = agent();
  expect(suggestions(last)).toEqual([PIECES - 1]);
});

test('what was suggested and not taken up returns to the pool; so does what a peer that left was to fetch', () => {
  const { world, agent, ask } = seed();
  const lost = agent();
  const first = suggestions(lost)[0] as number;
  ask(lost, first);
  world.swarm.disconnected(lost.neighbour);
  const lazy = agent();
  const peer = agent();
  for (let i = 0; i < PIECES; i++) {
    const latest = suggestions(peer).at(-1) as number;
    ask(peer, latest);
    world.swarm.have(peer.neighbour, latest);
  }
  expect(suggestions(peer)).toContain(first);
  world.pass(600);
  // The lazy one's piece is free again, unless the other was told of it in the meantime.
  world.pass(2000);
  expect(new Set([...suggestions(peer), ...suggestions(lazy)]).size).toBe(PIECES);
});

test.each<[string, (world: TestSwarm, agent: () => Peer) => number]>([
  [
    'what was suggested and not taken up',
    (world, agent) => {
      const lazy = agent();
      world.pass(3000);
      return suggestions(lazy)[0] as number;
    },
  ],
  [
    'what was suggested to one that left',
    (world, agent) => {
      const gone = agent();
      world.swarm.disconnected(gone.neighbour);
      return suggestions(gone)[0] as number;
    },
  ],
  [
    'what one that left had asked for by itself',
    (world) => {
      const gone = world.connect({ pieces: [] });
      world.swarm.interested(gone.neighbour);
      for (const begin of [0, BLOCK]) world.swarm.request(gone.neighbour, 5, begin, BLOCK);
      world.swarm.disconnected(gone.neighbour);
      return 5;
    },
  ],
])('%s is assigned to nobody again, and comes first', (_, leave) => {
  const { world, agent, ask } = seed();
  const free = leave(world, agent);
  // A foreign peer asks for each other piece, without being told.
  const foreign = world.connect({ pieces: [] });
  world.swarm.interested(foreign.neighbour);
  for (const piece of all) if (piece !== free) ask(foreign, piece);
  for (let i = 0; i < 3; i++) {
    const peer = agent();
    expect(suggestions(peer)).toEqual([free]);
    world.swarm.disconnected(peer.neighbour);
  }
});

test('who is quick to act on a suggestion has half a second for the next one', () => {
  const { world, agent, ask } = seed();
  const peer = agent();
  const [first] = suggestions(peer) as [number];
  world.clock.time += 10;
  ask(peer, first);
  const second = suggestions(peer)[1] as number;
  world.pass(400);
  expect(peer.neighbour.suggested.isAssigned(second)).toBe(true);
  world.pass(200);
  expect(peer.neighbour.suggested.isAssigned(second)).toBe(false);
});

test('foreign peers, seeds, and everybody under the classic policy are told nothing', () => {
  const { world } = seed();
  const foreign = world.connect({ pieces: [] });
  world.swarm.interested(foreign.neighbour);
  expect(suggestions(foreign)).toEqual([]);
  expect(suggestions(world.connect({ ownAgent: true, fast: false, pieces: [] }))).toEqual([]);
  const classic = makeSwarm({ pieces: PIECES, policy: 'classic', have: all });
  expect(suggestions(classic.connect({ ownAgent: true, pieces: [] }))).toEqual([]);
  const leecher = makeSwarm({ pieces: PIECES, policy: 'cluster', have: [1, 2] });
  expect(suggestions(leecher.connect({ ownAgent: true, pieces: [] }))).toEqual([]);
});

test('a leecher that becomes complete begins to direct', () => {
  const world = makeSwarm({ pieces: 2, policy: 'cluster', have: [0] });
  const giver = world.connect({ ownAgent: true, pieces: 'all' });
  const peer = world.connect({ ownAgent: true, pieces: [] });
  world.swarm.unchoke(giver.neighbour);
  while (giver.link.wanted.length > 0) world.answer(giver);
  expect(suggestions(peer)).toEqual([]);
  world.swarm.pieceVerified(1);
  expect(suggestions(peer)).toHaveLength(1);
});

test('who did not act on its only suggestion gets no other one for a second', () => {
  const { world, agent } = seed();
  const peer = agent();
  world.pass(3000);
  expect(peer.neighbour.suggested.isAssigned(suggestions(peer)[0] as number)).toBe(false);
  world.pass(900);
  expect(suggestions(peer)).toHaveLength(1);
  world.pass(200);
  expect(suggestions(peer)).toHaveLength(2);
});
