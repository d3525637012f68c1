// What choked peers may have, and what we take while choked (BEP 6).
import { describe, expect, test } from '@jest/globals';
import { fastSet, fastSetSize } from '../../../../torrent/swarm/upload/fast-set.ts';
import { BLOCK, makeSwarm } from '../harness.ts';

// Written out, so that a changed number is noticed.
const MAX_ALLOWED_FAST = 32;

const INFO_HASH = Buffer.alloc(20, 0xaa);

test('the example of BEP 6', () => {
  const nine = [1059, 431, 808, 1217, 287, 376, 1188, 353, 508];
  expect(fastSet(INFO_HASH, '80.4.4.200', 1313, 7)).toEqual(nine.slice(0, 7));
  expect(fastSet(INFO_HASH, '80.4.4.200', 1313, 9)).toEqual(nine);
});

test('a network has one set; a torrent of few pieces ends; without IPv4 there is none', () => {
  expect(fastSet(INFO_HASH, '80.4.4.1', 1313, 7)).toEqual(fastSet(INFO_HASH, '80.4.4.254', 1313, 7));
  expect(fastSet(INFO_HASH, '80.4.4.1', 3, 10).sort()).toEqual([0, 1, 2]);
  expect(fastSet(INFO_HASH, '2001:db8::1', 1313, 7)).toEqual([]);
  expect(fastSet(INFO_HASH, '', 1313, 7)).toEqual([]);
});

test('what is given for nothing is bounded, whatever the length of pieces', () => {
  for (const length of [16 * 1024, 1024 * 1024, 16 * 1024 * 1024]) {
    expect(fastSetSize(length) * length).toBeLessThanOrEqual(8 * 1024 * 1024);
  }
  expect(fastSetSize(16 * 1024)).toBe(10);
});

describe('a choked peer', () => {
  /** A seed of 100 pieces of 2 blocks, and as many interested peers as have its slots. */
  function fullSeed() {
    const have = Array.from({ length: 100 }, (_, piece) => piece);
    const world = makeSwarm({ pieces: 100, have, infoHash: INFO_HASH, shortBy: 0 });
    for (let i = 0; i < 4; i++) world.swarm.interested(world.connect({ pieces: [] }).neighbour);
    const peer = world.connect({ pieces: [] });
    world.swarm.interested(peer.neighbour);
    expect(peer.neighbour.choke.amChoking).toBe(true);
    const granted = peer.link.said
      .filter((words) => words.startsWith('allowedFast'))
      .map((words) => Number(words.split(' ')[1]));
    return { world, peer, granted };
  }

  test('may have the pieces of its set, and no others', () => {
    const { world, peer, granted } = fullSeed();
    expect(granted).toEqual(fastSet(INFO_HASH, peer.neighbour.identity, 100, 10));
    const other = [...Array(100).keys()].find((piece) => !granted.includes(piece)) as number;
    world.swarm.request(peer.neighbour, granted[0] as number, 0, BLOCK);
    world.swarm.request(peer.neighbour, other, 0, BLOCK);
    world.swarm.settle();
    expect(peer.link.sending).toEqual([[granted[0], 0, BLOCK]]);
    expect(peer.link.said.at(-1)).toBe(`reject ${other} 0 ${BLOCK}`);
  });

  test('has each of them twice at most', () => {
    const { world, peer, granted } = fullSeed();
    for (let i = 0; i < 100; i++) world.swarm.request(peer.neighbour, granted[0] as number, 0, BLOCK);
    const refused = peer.link.said.filter((words) => words.startsWith('reject')).length;
    expect(refused).toBe(100 - 2 * granted.length * 2);
  });

  test('that has as many pieces as the set is a newcomer no more', () => {
    const { world, peer, granted } = fullSeed();
    for (const piece of granted) world.swarm.have(peer.neighbour, piece);
    world.swarm.request(peer.neighbour, granted[0] as number, 0, BLOCK);
    expect(peer.link.said.at(-1)).toMatch(/^reject/);
  });

  test('keeps the requests of its set when it is choked, not the others', () => {
    const { world, peer, granted } = fullSeed();
    world.limits.upload = 0;
    const [unchoked] = world.swarm.peers;
    if (unchoked === undefined) throw new Error('nobody');
    const set = unchoked.upload.allowedFast;
    const other = [...Array(100).keys()].find((piece) => !set.includes(piece)) as number;
    world.swarm.request(unchoked, other, 0, BLOCK);
    world.swarm.request(unchoked, set[0] as number, 0, BLOCK);
    expect(unchoked.upload.requests.size).toBe(2);
    // It wants nothing any more and loses its slot in the next round.
    world.swarm.notInterested(unchoked);
    world.pass(10_100);
    expect(unchoked.choke.amChoking).toBe(true);
    expect(unchoked.upload.requests.size).toBe(1);
    expect(unchoked.upload.requests.firstPiece).toBe(set[0]);
    expect(peer.neighbour.upload.allowedFast).toEqual(granted);
  });

  test('of a paused torrent gets nothing', () => {
    const { world, peer, granted } = fullSeed();
    world.swarm.pause();
    world.swarm.request(peer.neighbour, granted[0] as number, 0, BLOCK);
    expect(peer.link.said.at(-1)).toMatch(/^reject/);
  });

  test('without BEP 6 is told nothing; nor is an own agent, which is never choked', () => {
    const classic = makeSwarm({ pieces: 100, have: [...Array(100).keys()], infoHash: INFO_HASH });
    expect(classic.connect({ fast: false }).link.said.join()).not.toContain('allowedFast');
    const cluster = makeSwarm({
      pieces: 100,
      have: [...Array(100).keys()],
      infoHash: INFO_HASH,
      policy: 'cluster',
    });
    expect(cluster.connect({ ownAgent: true }).link.said.join()).not.toContain('allowedFast');
    const foreign = cluster.connect();
    cluster.swarm.introduced(foreign.neighbour, { ownAgent: false, requestQueue: 1, uploadOnly: false });
    expect(foreign.link.said.join()).toContain('allowedFast');
  });
});

describe('while we are choked', () => {
  test('we ask for what we are allowed, and for nothing else', () => {
    const world = makeSwarm({ pieces: 20 });
    const peer = world.connect({ pieces: 'all' });
    world.swarm.allowedFast(peer.neighbour, 7);
    expect(peer.link.wanted.map(([piece]) => piece)).toEqual([7, 7]);
    while (peer.link.wanted.length > 0) world.answer(peer);
    expect(world.received).toEqual([7]);
    world.swarm.pieceVerified(7);
    world.pass(1000);
    expect(peer.link.wanted).toEqual([]);
  });

  test('a refusal is taken for an answer: another peer is asked', () => {
    const world = makeSwarm({ pieces: 1 });
    const peer = world.connect({ pieces: 'all' });
    world.swarm.allowedFast(peer.neighbour, 0);
    for (const [piece, begin, length] of peer.link.wanted.splice(0)) {
      world.swarm.reject(peer.neighbour, piece, begin, length);
    }
    world.pass(5000);
    expect(peer.link.wanted).toEqual([]);
    const other = world.connect({ pieces: 'all' });
    world.swarm.unchoke(other.neighbour);
    expect(other.link.wanted).toHaveLength(2);
  });

  test('of a piece that the peer does not have nothing is asked until it has', () => {
    const world = makeSwarm({ pieces: 20 });
    const peer = world.connect({ pieces: [1] });
    world.swarm.allowedFast(peer.neighbour, 7);
    expect(peer.link.wanted).toEqual([]);
    world.swarm.have(peer.neighbour, 7);
    expect(peer.link.wanted.map(([piece]) => piece)).toEqual([7, 7]);
  });

  test('what is allowed is bounded, and pieces beyond the end end the connection', () => {
    const world = makeSwarm({ pieces: 200 });
    const peer = world.connect({ pieces: [] });
    for (let piece = 0; piece < 200; piece++) world.swarm.allowedFast(peer.neighbour, piece);
    expect(peer.neighbour.download.allowedFast).toHaveLength(MAX_ALLOWED_FAST);
    world.swarm.allowedFast(peer.neighbour, 200);
    expect(peer.link.closedBecause).toContain('200');
  });
});
