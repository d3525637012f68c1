// Whom we serve: chokes by policy, and the order of the uplink.
import { describe, expect, test } from '@jest/globals';
import { seededRandom } from '../../../../simulation/random.ts';
import type { Peer as SwarmPeer } from '../../../../torrent/swarm/peers/peer.ts';
import { clusterPolicy } from '../../../../torrent/swarm/policy/cluster.ts';
import { BLOCK, makeSwarm, type Peer, type TestSwarm } from '../harness.ts';

// Written out, so that a changed number is noticed.
const MAX_IDLE_MESSAGES_PER_SECOND = 500;
const MAX_QUEUED_REQUESTS = 2000;

function chokes({ link }: Peer): string[] {
  return link.said.filter((words) => words === 'choke' || words === 'unchoke');
}

function interestedPeers(world: TestSwarm, count: number): Peer[] {
  return Array.from({ length: count }, () => {
    const peer = world.connect();
    world.swarm.haveNone(peer.neighbour);
    world.swarm.interested(peer.neighbour);
    return peer;
  });
}

const unchoked = (peers: readonly Peer[]) => peers.filter(({ neighbour }) => !neighbour.choke.amChoking);

describe('classic', () => {
  test('a free slot is given at once; three regular and one optimistic, no more', () => {
    const world = makeSwarm({ pieces: 4, have: [0, 1] });
    const peers = interestedPeers(world, 7);
    expect(unchoked(peers)).toHaveLength(4);
    world.pass(60_000);
    expect(unchoked(peers)).toHaveLength(4);
  });

  test('an own agent has no more rights than others', () => {
    const world = makeSwarm({ pieces: 4, have: [0, 1] });
    interestedPeers(world, 4);
    const agent = world.connect({ ownAgent: true });
    world.swarm.interested(agent.neighbour);
    expect(chokes(agent)).toEqual([]);
  });

  test('after a round those are unchoked that gave most, and one at random', () => {
    const world = makeSwarm({ pieces: 400, have: [0], random: () => 0.99 });
    const peers = Array.from({ length: 6 }, () => world.connect({ pieces: 'all' }));
    for (const { neighbour } of peers) {
      world.swarm.interested(neighbour);
      world.swarm.unchoke(neighbour);
    }
    for (let round = 0; round < 10; round++) {
      // The last three give most.
      for (const [index, peer] of peers.entries()) {
        for (let i = 0; i < (index < 3 ? 1 : 8); i++) world.answer(peer);
      }
      world.pass(1000);
    }
    const chosen = peers.map(({ neighbour }) => !neighbour.choke.amChoking);
    expect(chosen.slice(3)).toEqual([true, true, true]);
    expect(chosen.slice(0, 3).filter(Boolean)).toHaveLength(1);
  });

  test('what a peer gave counts for thirty seconds', () => {
    const world = makeSwarm({ pieces: 400, have: [0], random: () => 0.99 });
    const peers = Array.from({ length: 8 }, () => world.connect({ pieces: 'all' }));
    const [lately, before] = [peers.slice(0, 4), peers.slice(4, 7)];
    for (const { neighbour } of peers) {
      world.swarm.interested(neighbour);
      world.swarm.unchoke(neighbour);
    }
    const round = (giving: Peer[], blocks: number) => {
      for (const { neighbour } of peers) world.swarm.heard(neighbour, world.clock.time);
      world.pass(5000);
      for (const peer of giving) for (let i = 0; i < blocks; i++) world.answer(peer);
      world.pass(5000);
    };
    const isChosen = (all: Peer[]) =>
      all.map(({ neighbour }) => !neighbour.choke.amChoking && !neighbour.choke.isOptimistic);
    round(before, 4);
    for (let i = 0; i < 2; i++) {
      round(lately, 1);
      expect(isChosen(before)).toEqual([true, true, true]);
    }
    round(lately, 1);
    expect(isChosen(before)).toEqual([false, false, false]);
  });

  test('the optimistic slot goes to somebody else every thirty seconds', () => {
    const world = makeSwarm({ pieces: 4, have: [0, 1], random: seededRandom(5) });
    const peers = interestedPeers(world, 20);
    const chosen: number[] = [];
    for (let round = 0; round < 30; round++) {
      for (const { neighbour } of peers) world.swarm.heard(neighbour, world.clock.time);
      world.pass(10_000);
      chosen.push(peers.findIndex(({ neighbour }) => neighbour.choke.isOptimistic));
    }
    const changes = chosen.flatMap((who, round) => (round > 0 && who !== chosen[round - 1] ? [round] : []));
    expect(changes.length).toBeGreaterThan(5);
    expect(changes.map((round) => round % 3)).toEqual(changes.map(() => 0));
  });

  test('everybody who is interested gets the optimistic slot in time', () => {
    let draw = 0;
    const world = makeSwarm({ pieces: 4, have: [0, 1, 2, 3], random: () => (draw = (draw + 0.377) % 1) });
    const peers = interestedPeers(world, 8);
    // Three of them take all that we send.
    for (let round = 0; round < 100; round++) {
      for (const peer of peers.slice(0, 3)) {
        peer.neighbour.upload.left(1_000_000, world.clock.time);
      }
      world.pass(10_000);
      for (const { neighbour } of peers) world.swarm.heard(neighbour, world.clock.time);
    }
    for (const peer of peers.slice(3)) expect(chokes(peer)).toContain('unchoke');
  });

  test('a seed keeps those that take most of it, and gives one slot at random', () => {
    let draw = 0;
    const random = () => (draw = (draw + 0.377) % 1);
    const world = makeSwarm({ pieces: 400, have: [...Array(400).keys()], random, shortBy: 0 });
    const peers = interestedPeers(world, 7);
    const take = ({ link, neighbour }: Peer, blocks: number) => {
      for (let i = 0; i < blocks; i++) {
        world.swarm.request(neighbour, i, 0, BLOCK);
        world.swarm.settle();
        for (const [, , length] of link.sending.splice(0)) {
          link.pendingBytes -= length;
          world.swarm.uploaded(neighbour, length);
        }
      }
    };
    // The first slots are for whoever came first; the last three take more, once they have a slot at random.
    for (let second = 0; second < 400; second++) {
      for (const [index, peer] of peers.entries()) {
        if (!peer.neighbour.choke.amChoking) take(peer, index >= 4 ? 8 : 1);
        world.swarm.heard(peer.neighbour, world.clock.time);
      }
      world.pass(1000);
    }
    const chosen = peers.map(({ neighbour }) => !neighbour.choke.amChoking);
    expect(chosen.slice(4)).toEqual([true, true, true]);
    expect(chosen.filter(Boolean)).toHaveLength(4);
  });

  test('snubbed by all that let us ask, we try one more at random', () => {
    const snubbed = (count: number) => {
      const world = makeSwarm({ pieces: 100, have: [0] });
      const peers = Array.from({ length: 8 }, () => world.connect({ pieces: 'all' }));
      for (const { neighbour } of peers) world.swarm.interested(neighbour);
      for (const { neighbour } of peers.slice(0, 2)) world.swarm.unchoke(neighbour);
      for (let second = 0; second < 60; second++) {
        for (const [index, peer] of peers.entries()) {
          if (index >= count && index < 2 && peer.link.wanted.length > 0) world.answer(peer);
          world.swarm.heard(peer.neighbour, world.clock.time);
        }
        world.pass(1000);
      }
      return unchoked(peers).length;
    };
    expect(snubbed(1)).toBe(4);
    expect(snubbed(2)).toBe(5);
  });

  test('who snubs us loses its slot to others', () => {
    const world = makeSwarm({ pieces: 100, have: [0] });
    const snubs = world.connect({ pieces: 'all' });
    world.swarm.interested(snubs.neighbour);
    world.swarm.unchoke(snubs.neighbour);
    world.answer(snubs);
    const others = interestedPeers(world, 6);
    expect(unchoked([snubs])).toHaveLength(1);
    for (let i = 0; i < 60; i++) {
      for (const { neighbour } of [snubs, ...others]) world.swarm.heard(neighbour, world.clock.time);
      world.pass(1000);
    }
    expect(chokes(snubs)).toContain('choke');
  });
});

describe('cluster', () => {
  test('every own agent is unchoked at once, without interest and however many there are', () => {
    const world = makeSwarm({ pieces: 4, policy: 'cluster', have: [0] });
    const agents = Array.from({ length: 35 }, () => world.connect({ ownAgent: true }));
    for (const agent of agents) expect(chokes(agent)).toEqual(['unchoke']);
    world.pass(50_000);
    for (const agent of agents) expect(chokes(agent)).toEqual(['unchoke']);
  });

  test('foreign peers share the slots of the classic choker', () => {
    const world = makeSwarm({ pieces: 4, policy: 'cluster', have: [0] });
    for (let i = 0; i < 6; i++) world.connect({ ownAgent: true });
    expect(unchoked(interestedPeers(world, 7))).toHaveLength(4);
  });

  const nextOf = (all: readonly SwarmPeer[], seeding: boolean) =>
    all.reduce((chosen, one) => (clusterPolicy.servesBefore(one, chosen, seeding) ? one : chosen));

  test('the uplink goes to those who are far behind, in turn', () => {
    const world = makeSwarm({ pieces: 64, policy: 'cluster' });
    const all = Array.from({ length: 12 }, (_, index) =>
      world.connect({ ownAgent: true, pieces: Array.from({ length: index + 1 }, (_, piece) => piece) }),
    ).map(({ neighbour }) => neighbour);
    const served: number[] = [];
    for (let turn = 1; turn <= 6; turn++) {
      const next = nextOf(all, false);
      next.upload.beginTurn(turn);
      served.push(next.pieces.count);
    }
    expect(served).toEqual([1, 2, 3, 1, 2, 3]);
  });

  test('a seed sends a piece in one go, a leecher goes on to the next in turn', () => {
    const world = makeSwarm({ pieces: 8, policy: 'cluster' });
    const [first, second] = [0, 1].map(() => world.connect({ ownAgent: true }).neighbour) as [
      SwarmPeer,
      SwarmPeer,
    ];
    for (const [neighbour, piece] of [
      [first, 3],
      [second, 5],
    ] as const)
      neighbour.upload.requests.push(piece, 0, BLOCK);
    first.upload.noteServed(3, BLOCK, 2 * BLOCK);
    first.upload.beginTurn(1);
    expect(nextOf([first, second], true)).toBe(first);
    expect(nextOf([first, second], false)).toBe(second);
    first.upload.noteServed(2, BLOCK, 2 * BLOCK);
    expect(nextOf([first, second], true)).toBe(second);
  });
});

describe('requests of a peer', () => {
  const seed = () => makeSwarm({ pieces: 64, have: Array.from({ length: 64 }, (_, i) => i), shortBy: 0 });

  test('are served while unchoked, and refused while choked', () => {
    const world = seed();
    const peers = interestedPeers(world, 5);
    const [first, last] = [peers[0] as Peer, peers[4] as Peer];
    for (const { neighbour } of [first, last]) world.swarm.request(neighbour, 3, BLOCK, BLOCK);
    world.swarm.settle();
    expect(first.link.sending).toEqual([[3, BLOCK, BLOCK]]);
    expect(last.link.sending).toEqual([]);
    expect(last.link.said.at(-1)).toBe(`reject 3 ${BLOCK} ${BLOCK}`);
  });

  test.each([
    ['beyond the last piece', 64, 0, BLOCK],
    ['beyond the end of its piece', 0, 2 * BLOCK, BLOCK],
    ['over the end of its piece', 0, BLOCK + 1, BLOCK],
    ['of no bytes', 0, 0, 0],
    ['of more than 16 KiB', 0, 0, BLOCK + 1],
    ['with numbers of 32 bits', 0xffffffff, 0xffffffff, 0xffffffff],
  ])('%s end the connection', (_, piece, begin, length) => {
    const world = seed();
    const [peer] = interestedPeers(world, 1) as [Peer];
    world.swarm.request(peer.neighbour, piece, begin, length);
    world.swarm.settle();
    expect(peer.link.closedBecause).toBeDefined();
    expect(peer.link.sending).toEqual([]);
  });

  test('for what we lack are refused', () => {
    const world = makeSwarm({ pieces: 4, have: [0] });
    const [peer] = interestedPeers(world, 1) as [Peer];
    world.swarm.request(peer.neighbour, 1, 0, BLOCK);
    world.swarm.settle();
    expect(peer.link.said.at(-1)).toBe(`reject 1 0 ${BLOCK}`);
    expect(peer.link.closedBecause).toBeUndefined();
  });

  test('wait in a bounded queue; what is handed to one link is bounded too', () => {
    const world = seed();
    const [peer] = interestedPeers(world, 1) as [Peer];
    for (let i = 0; i < MAX_QUEUED_REQUESTS + 50; i++) {
      world.swarm.request(peer.neighbour, i % 64, 0, BLOCK);
    }
    expect(peer.neighbour.upload.requests.size).toBe(MAX_QUEUED_REQUESTS);
    expect(peer.link.said.filter((words) => words.startsWith('reject'))).toHaveLength(50);
    world.swarm.settle();
    expect(peer.link.pendingBytes).toBeLessThanOrEqual(1024 * 1024);
    expect(peer.neighbour.upload.requests.size).toBeGreaterThan(MAX_QUEUED_REQUESTS - 64);
  });

  test('together hand no more to all links than leaves in a moment', () => {
    const world = seed();
    const peers = interestedPeers(world, 4);
    const ask = () => {
      for (const { neighbour } of peers) {
        while (neighbour.upload.requests.size < 200)
          world.swarm.request(neighbour, neighbour.upload.requests.size % 64, 0, BLOCK);
      }
    };
    const handed = () => peers.reduce((sum, { link }) => sum + link.pendingBytes, 0);
    ask();
    world.swarm.settle();
    expect(handed()).toBe(64 * 1024);
    // 1 Gbit/s for two seconds.
    const rate = 125_000;
    for (let time = 0; time < 2000; time++) {
      world.clock.time++;
      let room = rate;
      for (const { link, neighbour } of peers) {
        while (room > 0 && link.sending.length > 0) {
          const [, , length] = link.sending.shift() as [number, number, number];
          link.pendingBytes -= length;
          world.swarm.uploaded(neighbour, length);
          room -= length;
        }
      }
      ask();
      world.swarm.settle();
      // 10 ms, and the turn of 5 ms that was begun before.
      expect(handed()).toBeLessThan(17 * rate);
    }
    expect(handed()).toBeGreaterThan(8 * rate);
  });

  test('too many of a peer without BEP 6, which cannot be refused, end the connection', () => {
    const world = seed();
    const peer = world.connect({ fast: false, pieces: [] });
    world.swarm.interested(peer.neighbour);
    for (let i = 0; i <= MAX_QUEUED_REQUESTS; i++) world.swarm.request(peer.neighbour, 0, 0, BLOCK);
    expect(peer.link.closedBecause).toMatch(/more than/);
  });

  test('that are taken back in time are not served', () => {
    const world = seed();
    const [peer] = interestedPeers(world, 1) as [Peer];
    world.swarm.request(peer.neighbour, 1, 0, BLOCK);
    world.swarm.request(peer.neighbour, 2, 0, BLOCK);
    world.swarm.cancel(peer.neighbour, 1, 0, BLOCK);
    world.swarm.cancel(peer.neighbour, 7, 0, BLOCK);
    world.swarm.settle();
    expect(peer.link.sending).toEqual([[2, 0, BLOCK]]);
  });

  test('that are taken back without having been made, in a flood, end the connection', () => {
    const world = seed();
    world.limits.upload = 0;
    const [peer] = interestedPeers(world, 1) as [Peer];
    // Whoever waits for nothing may have been refused or served while the cancels were on their way.
    for (let i = 0; i <= MAX_IDLE_MESSAGES_PER_SECOND; i++) world.swarm.cancel(peer.neighbour, 1, 0, BLOCK);
    expect(peer.link.closedBecause).toBeUndefined();
    world.swarm.request(peer.neighbour, 2, 0, BLOCK);
    for (let i = 0; i <= MAX_IDLE_MESSAGES_PER_SECOND; i++) world.swarm.cancel(peer.neighbour, 1, 0, BLOCK);
    expect(peer.link.closedBecause).toMatch(/floods/);
  });

  test('keep to the limit on uploads', () => {
    const world = seed();
    world.limits.upload = 3 * BLOCK;
    const peers = interestedPeers(world, 2);
    for (let i = 0; i < 10; i++) {
      for (const { neighbour } of peers) world.swarm.request(neighbour, i, 0, BLOCK);
    }
    world.swarm.settle();
    const sent = () => peers.reduce((sum, { link }) => sum + link.sending.length, 0);
    expect(sent()).toBe(3);
    world.limits.upload = BLOCK;
    world.pass(100);
    expect(sent()).toBe(4);
  });

  test.each(['classic', 'cluster'] as const)('come from nobody while a %s torrent is paused', (policy) => {
    const world = makeSwarm({ pieces: 4, have: [0], policy, paused: true });
    const agent = world.connect({ ownAgent: true });
    const peers = [agent, ...interestedPeers(world, 2)];
    world.swarm.interested(agent.neighbour);
    world.pass(20_000);
    expect(unchoked(peers)).toEqual([]);
    world.swarm.resume();
    expect(unchoked(peers)).toHaveLength(3);
  });

  test('are all refused when the torrent is paused', () => {
    const world = seed();
    world.limits.upload = 0;
    const [peer] = interestedPeers(world, 1) as [Peer];
    world.swarm.request(peer.neighbour, 1, 0, BLOCK);
    world.swarm.pause();
    expect(peer.link.said.slice(-2)).toEqual(['choke', `reject 1 0 ${BLOCK}`]);
    world.limits.upload = 100 * BLOCK;
    world.pass(20_000);
    expect(peer.link.sending).toEqual([]);
  });
});

describe('connections', () => {
  test('floods of messages that say nothing end the connection', () => {
    const floods: ((world: TestSwarm, peer: Peer) => void)[] = [
      (world, { neighbour }) => world.swarm.keepAlive(neighbour),
      (world, { neighbour }) => world.swarm.choke(neighbour),
      (world, { neighbour }) => world.swarm.interested(neighbour),
      (world, { neighbour }) => world.swarm.have(neighbour, 0),
      // In turn, so that each changes something.
      (world, { neighbour }) =>
        neighbour.peerInterested ? world.swarm.notInterested(neighbour) : world.swarm.interested(neighbour),
      (world, { neighbour }) =>
        neighbour.peerChoking ? world.swarm.unchoke(neighbour) : world.swarm.choke(neighbour),
    ];
    for (const say of floods) {
      const world = makeSwarm({ pieces: 4 });
      const peer = world.connect({ pieces: [0] });
      for (let i = 0; i < MAX_IDLE_MESSAGES_PER_SECOND; i++) say(world, peer);
      expect(peer.link.closedBecause).toBeUndefined();
      say(world, peer);
      say(world, peer);
      expect(peer.link.closedBecause).toMatch(/floods/);
    }
  });

  test.each([
    ['cluster', 60],
    ['classic', 120],
  ] as const)(
    '%s: we say that we live after %d s, and drop who is silent for a minute longer',
    (policy, seconds) => {
      const world = makeSwarm({ pieces: 4, policy });
      const peer = world.connect({ pieces: [0], ownAgent: true });
      world.pass((seconds - 1) * 1000);
      expect(peer.link.said).not.toContain('keepAlive');
      world.pass(2000);
      expect(peer.link.said).toContain('keepAlive');
      world.pass(58_000);
      expect(peer.link.said.filter((words) => words === 'keepAlive')).toHaveLength(1);
      expect(peer.link.closedBecause).toBeUndefined();
      world.pass(2000);
      expect(peer.link.closedBecause).toMatch(/silent/);
    },
  );

  test('two that have everything part', () => {
    const world = makeSwarm({ pieces: 1 });
    const seed = world.connect({ pieces: 'all' });
    const leecher = world.connect({ pieces: [] });
    world.swarm.unchoke(seed.neighbour);
    while (seed.link.wanted.length > 0) world.answer(seed);
    world.swarm.pieceVerified(0);
    expect(seed.link.closedBecause).toMatch(/every piece/);
    expect(leecher.link.closedBecause).toBeUndefined();
    expect(leecher.link.said).toContain('have 0');
    world.swarm.have(leecher.neighbour, 0);
    expect(leecher.link.closedBecause).toMatch(/every piece/);
  });

  test('two that only upload part (BEP 21)', () => {
    const world = makeSwarm({ pieces: 2, have: [0, 1] });
    const { link, neighbour } = world.connect({ pieces: [0] });
    world.swarm.introduced(neighbour, { ownAgent: false, requestQueue: 250, uploadOnly: true });
    expect(link.closedBecause).toMatch(/only upload/);
  });

  test('what we have is said as BEP 6 says it, or as a bitfield', () => {
    const empty = makeSwarm({ pieces: 9 });
    expect(empty.connect().link.said).toEqual(['haveNone']);
    expect(empty.connect({ fast: false }).link.said).toEqual([]);
    const some = makeSwarm({ pieces: 9, have: [0, 8] });
    expect(some.connect().link.said).toEqual(['bitfield 8080']);
    const all = makeSwarm({ pieces: 2, have: [0, 1] });
    expect(all.connect().link.said).toEqual(['haveAll']);
    expect(all.connect({ fast: false }).link.said).toEqual(['bitfield c0']);
  });
});
