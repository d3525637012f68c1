// Which piece is asked of whom, by what the links are told.
import { describe, expect, test } from '@jest/globals';
import { seededRandom } from '../../../../simulation/random.ts';
import { BLOCK, bitsOf, makeSwarm, type Peer, type TestSwarm } from '../harness.ts';

// Written out, so that a changed number is noticed.
const MAX_IDLE_MESSAGES_PER_SECOND = 500;
const MAX_UNSOLICITED_BLOCKS = 32;

/** Pieces in the order in which they were first asked of a peer. */
function piecesAsked({ link }: Peer): number[] {
  const pieces = link.said
    .filter((words) => words.startsWith('request '))
    .map((words) => Number(words.split(' ')[1]));
  return [...new Set(pieces)];
}

/** The peer answers all it is asked for, and pieces verify, until nothing is left or `pieces` are held. */
function serve(world: TestSwarm, peer: Peer, pieces = Number.POSITIVE_INFINITY): void {
  while (peer.link.wanted.length > 0 && world.swarm.held.count < pieces) {
    world.answer(peer);
    for (const piece of world.received.splice(0)) world.swarm.pieceVerified(piece);
  }
}

test('a seed that suggests no more is not waited for: we choose ourselves', () => {
  const world = makeSwarm({ pieces: 20, policy: 'cluster' });
  const seed = world.connect({ pieces: 'all', ownAgent: true });
  world.swarm.suggest(seed.neighbour, 7);
  world.swarm.unchoke(seed.neighbour);
  // Both blocks of the piece are asked for; the next suggestion is on its way.
  expect(piecesAsked(seed)).toEqual([7]);
  world.answer(seed);
  expect(piecesAsked(seed)).toEqual([7]);
  world.pass(200);
  expect(piecesAsked(seed).length).toBeGreaterThan(1);
});

test('a suggestion may take three times as long as the seed takes to answer', () => {
  const world = makeSwarm({ pieces: 20, policy: 'cluster' });
  const seed = world.connect({ pieces: 'all', ownAgent: true });
  world.swarm.suggest(seed.neighbour, 7);
  world.swarm.unchoke(seed.neighbour);
  world.clock.time += 99;
  world.answer(seed);
  world.pass(150);
  expect(piecesAsked(seed)).toEqual([7]);
  world.pass(100);
  expect(piecesAsked(seed).length).toBeGreaterThan(1);
});

test('of suggestions that we cannot act on the latest 1024 are remembered', () => {
  const world = makeSwarm({ pieces: 1100, policy: 'cluster' });
  const { neighbour } = world.connect({ pieces: 'all', ownAgent: true });
  for (let piece = 0; piece < 1100; piece++) world.swarm.suggest(neighbour, piece);
  expect([neighbour.download.suggestions.length, neighbour.download.suggestions[0]]).toEqual([1024, 76]);
});

test('nothing is asked for while choked, and what was outstanding is asked elsewhere after a choke', () => {
  const world = makeSwarm({ pieces: 4 });
  const a = world.connect({ pieces: 'all', fast: false });
  expect(a.link.said).toContain('interested');
  expect(a.link.wanted).toEqual([]);
  world.swarm.unchoke(a.neighbour);
  const wanted = [...a.link.wanted];
  expect(wanted.length).toBeGreaterThan(0);
  const b = world.connect({ pieces: 'all' });
  world.swarm.choke(a.neighbour);
  world.swarm.unchoke(b.neighbour);
  expect(b.link.wanted.slice(0, 2)).toEqual(wanted.slice(0, 2));
});

describe('which piece', () => {
  test('strict priority: a started piece is finished before a new one is begun', () => {
    const world = makeSwarm({ pieces: 6, blocksPerPiece: 4, random: seededRandom(1) });
    const peer = world.connect({ pieces: 'all' });
    world.swarm.unchoke(peer.neighbour);
    for (let i = 0; i < 200 && !world.swarm.isComplete; i++) {
      serve(world, peer, world.swarm.held.count + 1);
      // Of all started pieces at most one has blocks that nobody was asked for.
      expect(world.swarm.picker.open.length).toBeLessThanOrEqual(1);
    }
    expect(world.swarm.isComplete).toBe(true);
  });

  test('several peers share a started piece before either begins another', () => {
    const world = makeSwarm({ pieces: 3, blocksPerPiece: 8 });
    const [a, b] = [world.connect({ pieces: 'all' }), world.connect({ pieces: 'all' })];
    world.swarm.unchoke(a.neighbour);
    world.swarm.unchoke(b.neighbour);
    expect(piecesAsked(a)).toEqual(piecesAsked(b));
    const begins = [...a.link.wanted, ...b.link.wanted].map(([, begin]) => begin);
    expect(new Set(begins).size).toBe(begins.length);
  });

  test('rarest first, once four pieces are held', () => {
    const world = makeSwarm({ pieces: 8, have: [0, 1, 2, 3] });
    world.connect({ pieces: [4, 5, 6] });
    world.connect({ pieces: [4, 6] });
    world.connect({ pieces: [6] });
    const giver = world.connect({ pieces: [4, 5, 6, 7] });
    world.swarm.unchoke(giver.neighbour);
    serve(world, giver);
    expect(piecesAsked(giver)).toEqual([7, 5, 4, 6]);
  });

  test('of pieces that are as rare the draw decides', () => {
    const firsts = [0, 0.3, 0.6, 0.9].map((last) => {
      let draw = 0;
      const world = makeSwarm({ pieces: 8, have: [0, 1, 2, 3], random: () => draw });
      const giver = world.connect({ pieces: 'all' });
      draw = last;
      world.swarm.unchoke(giver.neighbour);
      return piecesAsked(giver)[0];
    });
    expect(new Set(firsts)).toEqual(new Set([4, 5, 6, 7]));
  });

  test('random first: without pieces, rarity does not decide', () => {
    const firsts = new Set<number>();
    for (let seed = 0; seed < 40; seed++) {
      const world = makeSwarm({ pieces: 8, random: seededRandom(seed) });
      world.connect({ pieces: [0, 1, 2, 3, 4, 5, 6] });
      const giver = world.connect({ pieces: 'all' });
      world.swarm.unchoke(giver.neighbour);
      firsts.add(piecesAsked(giver)[0] as number);
    }
    // Rarest first would always have begun with 7.
    expect(firsts.size).toBeGreaterThan(4);
  });

  test('cluster: a suggested piece before all others, of an own agent only', () => {
    for (const ownAgent of [true, false]) {
      const world = makeSwarm({ pieces: 20, policy: 'cluster', random: () => 0.5 });
      const giver = world.connect({ pieces: 'all', ownAgent });
      world.swarm.suggest(giver.neighbour, 17);
      world.swarm.unchoke(giver.neighbour);
      expect(piecesAsked(giver)[0] === 17).toBe(ownAgent);
    }
  });

  test('cluster: what another neighbour can give is not asked of a seed while only seeds have something', () => {
    const world = makeSwarm({ pieces: 8, policy: 'cluster' });
    const leecher = world.connect({ pieces: [0, 1], ownAgent: true });
    const seed = world.connect({ pieces: 'all', ownAgent: true });
    world.swarm.unchoke(seed.neighbour);
    expect(piecesAsked(seed).every((piece) => piece > 1)).toBe(true);
    world.swarm.unchoke(leecher.neighbour);
    expect(piecesAsked(leecher).every((piece) => piece <= 1)).toBe(true);
    expect(piecesAsked(leecher).length).toBeGreaterThan(0);
  });
});

test('cluster: nor are the rest of a piece that another one was asked for', () => {
  const world = makeSwarm({ pieces: 8, blocksPerPiece: 4, policy: 'cluster' });
  const leecher = world.connect({ pieces: [0], ownAgent: true });
  const seed = world.connect({ pieces: 'all', ownAgent: true });
  world.swarm.unchoke(leecher.neighbour);
  expect(leecher.link.wanted.map(([piece]) => piece)).toEqual([0, 0]);
  world.swarm.unchoke(seed.neighbour);
  expect(piecesAsked(seed)).toHaveLength(1);
  expect(piecesAsked(seed)).not.toContain(0);
});

describe('pipelining', () => {
  test('begins with four requests and grows by three for each block at once, then by one, to what the rate deserves', () => {
    const world = makeSwarm({ pieces: 1000, blocksPerPiece: 4 });
    const peer = world.connect({ pieces: 'all' });
    world.swarm.unchoke(peer.neighbour);
    expect(peer.link.wanted).toHaveLength(4);
    world.answer(peer);
    expect(peer.link.wanted).toHaveLength(7);
    world.answer(peer);
    expect(peer.link.wanted).toHaveLength(8);
    // A block each millisecond for 3 s: far more than the bounds allow.
    for (let i = 0; i < 1500; i++) {
      world.answer(peer);
      for (const piece of world.received.splice(0)) world.swarm.pieceVerified(piece);
      expect(peer.link.wanted.length).toBeLessThanOrEqual(250);
    }
    expect(peer.link.wanted.length).toBe(250);
  });

  test.each([
    [10, 7],
    [11, 5],
  ])('of %d givers, one that answers at once owes %d blocks after its first', (givers, owed) => {
    const world = makeSwarm({ pieces: 4000 });
    const peers = Array.from({ length: givers }, () => world.connect({ pieces: 'all' }));
    for (const { neighbour } of peers) world.swarm.unchoke(neighbour);
    world.answer(peers[0] as Peer);
    expect(peers[0]?.link.wanted).toHaveLength(owed);
  });

  test.each([
    ['grows where ten own agents give: nobody else fills a pause', 10, true],
    ['is what the path holds where eleven do', 11, false],
  ])('towards the end, what an own agent owes %s', (_, givers, grows) => {
    const world = makeSwarm({ pieces: 400, policy: 'cluster' });
    const peers = Array.from({ length: givers }, () => world.connect({ pieces: 'all', ownAgent: true }));
    for (const { neighbour } of peers) world.swarm.unchoke(neighbour);
    const { link, neighbour } = peers[0] as Peer;
    for (let round = 0; round < 6; round++) {
      world.clock.time += 50;
      for (const block of link.wanted.splice(0)) world.swarm.block(neighbour, ...block);
      for (const piece of world.received.splice(0)) world.swarm.pieceVerified(piece);
    }
    if (grows) expect(link.wanted.length).toBeGreaterThan(15);
    else expect(link.wanted.length).toBeLessThan(10);
  });

  test.each([
    [4, 3],
    [1, 1],
  ])('never what would fill the queue of a peer that lets %d wait', (requestQueue, most) => {
    const world = makeSwarm({ pieces: 100 });
    const peer = world.connect({ pieces: 'all' });
    world.swarm.introduced(peer.neighbour, { ownAgent: false, requestQueue, uploadOnly: undefined });
    world.swarm.unchoke(peer.neighbour);
    for (let i = 0; i < 20; i++) {
      expect(peer.link.wanted).toHaveLength(most);
      world.answer(peer);
    }
  });

  test('an own agent of which nothing is known owes two blocks where little is missing, others four', () => {
    const owed = (ownAgent: boolean) => {
      const world = makeSwarm({ pieces: 20, policy: 'cluster' });
      world.connect({ pieces: [], ownAgent: true });
      const { link, neighbour } = world.connect({ pieces: 'all', ownAgent });
      world.swarm.unchoke(neighbour);
      return link.wanted.length;
    };
    expect([owed(true), owed(false)]).toEqual([2, 4]);
  });

  test('an own agent that is alone owes four, however little is missing: it keeps nothing from others', () => {
    const world = makeSwarm({ pieces: 20, policy: 'cluster' });
    const { link, neighbour } = world.connect({ pieces: 'all', ownAgent: true });
    world.swarm.unchoke(neighbour);
    expect(link.wanted).toHaveLength(4);
  });

  test('an own agent owes 50 ms of its rate at least, while much is missing', () => {
    const world = makeSwarm({ pieces: 50_000, policy: 'cluster' });
    const peer = world.connect({ pieces: 'all', ownAgent: true });
    world.swarm.unchoke(peer.neighbour);
    for (let blocks = 0; blocks < 1000; blocks++) {
      world.answer(peer);
      for (const piece of world.received.splice(0)) world.swarm.pieceVerified(piece);
    }
    // One came in each millisecond.
    expect(peer.link.wanted.length).toBeGreaterThanOrEqual(49);
    expect(peer.link.wanted.length).toBeLessThan(100);
  });

  test('who gives pieces in their order owes 1 MiB from the start', () => {
    const world = makeSwarm({ pieces: 400 });
    const { link, neighbour } = world.connect({ pieces: 'all' });
    world.swarm.readInOrder(neighbour, true);
    world.swarm.unchoke(neighbour);
    expect(link.wanted).toHaveLength(64);
  });

  test('the rate of a peer is the average over a second', () => {
    const world = makeSwarm({ pieces: 4000 });
    const peer = world.connect({ pieces: 'all' });
    world.swarm.unchoke(peer.neighbour);
    for (let blocks = 0; blocks < 6000; blocks++) {
      world.answer(peer);
      for (const piece of world.received.splice(0)) world.swarm.pieceVerified(piece);
    }
    const { download } = peer.neighbour;
    const before = download.rate(world.clock.time);
    expect(before / BLOCK).toBeCloseTo(1, 2);
    expect(download.rate(world.clock.time + 1000) / before).toBeCloseTo(Math.exp(-1), 2);
  });

  test('what is refused does not count against a limit on downloads', () => {
    const world = makeSwarm({ pieces: 100 });
    world.limits.download = 10 * BLOCK;
    const { link, neighbour } = world.connect({ pieces: 'all' });
    world.swarm.unchoke(neighbour);
    expect(world.limits.download).toBe(6 * BLOCK);
    world.swarm.reject(neighbour, ...(link.wanted.shift() as [number, number, number]));
    expect(world.limits.download).toBe(7 * BLOCK);
  });

  test('a limit on downloads is kept by asking for less', () => {
    const world = makeSwarm({ pieces: 100 });
    world.limits.download = 2 * BLOCK;
    const peer = world.connect({ pieces: 'all' });
    world.swarm.unchoke(peer.neighbour);
    expect(peer.link.wanted).toHaveLength(2);
    world.answer(peer);
    expect(peer.link.wanted).toHaveLength(1);
    world.limits.download = BLOCK;
    world.pass(100);
    expect(peer.link.wanted).toHaveLength(2);
  });
});

describe('memory', () => {
  /** Pieces of which blocks may lie in memory, or wait for their hash. */
  const inMemory = ({ swarm }: TestSwarm) => swarm.picker.startedCount + swarm.picker.verifyingCount;

  test('started pieces are bounded, whatever peers unchoke and never deliver', () => {
    // 64 pieces of 8 MiB, and 40 peers that have one piece each and give nothing.
    const world = makeSwarm({ pieces: 64, blocksPerPiece: 512 });
    for (let i = 0; i < 40; i++) {
      const { neighbour } = world.connect({ pieces: [i] });
      world.swarm.unchoke(neighbour);
    }
    for (let i = 0; i < 100; i++) {
      world.pass(1000);
      expect(inMemory(world) * 8).toBeLessThanOrEqual(256);
    }
  });

  /** Memory for so many pieces; the others that are started are staged. */
  function memoryFor(pieces: number, mostOutstandingBytes = Number.POSITIVE_INFINITY) {
    const kept: number[] = [];
    const staged: number[] = [];
    return {
      kept,
      staged,
      mostOutstandingBytes,
      hasRoomFor: () => kept.length < pieces,
      started: (piece: number) => void (kept.length < pieces ? kept : staged).push(piece),
    };
  }

  test('where it is short, no peer with a long piece of its own is left without a request', () => {
    // 60 pieces of 32 MiB, and 30 peers that have two each: memory holds two pieces.
    const memory = memoryFor(2);
    const world = makeSwarm({ pieces: 60, blocksPerPiece: 2048, memory });
    const peers = Array.from({ length: 30 }, (_, i) => {
      const peer = world.connect({ pieces: [2 * i, 2 * i + 1] });
      world.swarm.unchoke(peer.neighbour);
      return peer;
    });
    expect(peers.filter(({ link }) => link.wanted.length === 0)).toEqual([]);
    expect([memory.kept.length, memory.staged.length]).toEqual([2, 28]);
  });

  test('where it is short, peers share a piece rather than to stage another, and the metric says so', () => {
    const memory = memoryFor(1);
    const world = makeSwarm({ pieces: 20, blocksPerPiece: 64, memory });
    for (let i = 0; i < 8; i++) world.swarm.unchoke(world.connect({ pieces: 'all' }).neighbour);
    expect([memory.kept.length, memory.staged.length, world.swarm.picker.startedCount]).toEqual([1, 0, 1]);
    const hungry = world.connect({ pieces: 'all' });
    world.swarm.unchoke(hungry.neighbour);
    while (hungry.link.wanted.length > 1) world.answer(hungry);
    // All blocks of the one piece are asked for: whoever has something to do gets no more.
    expect(memory.staged.length).toBe(0);
    expect(world.swarm.totals.memoryWaits).toBeGreaterThan(0);
    world.answer(hungry);
    expect(memory.staged.length).toBe(1);
  });

  test('where it is short, a piece that its giver suggests is staged', () => {
    const memory = memoryFor(1);
    const world = makeSwarm({ pieces: 20, blocksPerPiece: 64, memory, policy: 'cluster' });
    const seed = world.connect({ pieces: 'all', ownAgent: true });
    world.swarm.unchoke(seed.neighbour);
    world.swarm.suggest(seed.neighbour, 7);
    world.swarm.suggest(seed.neighbour, 8);
    expect(memory.kept).toHaveLength(1);
    while (seed.link.wanted.length > 0 && memory.staged.length === 0) world.answer(seed);
    expect([7, 8]).toContain(memory.staged[0]);
  });

  test('of suggested pieces two for each peer are staged', () => {
    const memory = memoryFor(0);
    const world = makeSwarm({ pieces: 20, blocksPerPiece: 4, memory, policy: 'cluster' });
    const seed = world.connect({ pieces: 'all', ownAgent: true });
    world.swarm.unchoke(seed.neighbour);
    for (let piece = 10; piece < 20; piece++) world.swarm.suggest(seed.neighbour, piece);
    // The last block of each piece is late: none is whole.
    for (let rounds = 0; rounds < 50; rounds++) {
      const late = seed.link.wanted.findIndex(([, begin]) => begin < 3 * 16 * 1024);
      if (late < 0) break;
      seed.link.wanted.unshift(...seed.link.wanted.splice(late, 1));
      world.answer(seed);
    }
    expect(memory.staged).toHaveLength(2);
  });

  test('pieces on disk are bounded too, for peers that come and go: four for each that unchokes us', () => {
    const memory = memoryFor(0);
    const world = makeSwarm({ pieces: 20, blocksPerPiece: 512, memory });
    for (let piece = 0; piece < 10; piece++) {
      const { link, neighbour } = world.connect({ pieces: [piece] });
      world.swarm.unchoke(neighbour);
      expect(link.wanted.length > 0).toBe(piece < 4);
      // Others have it too, so that it is not given up when this one leaves; they never unchoke us.
      world.connect({ pieces: [piece] });
      world.swarm.disconnected(neighbour);
    }
    expect(world.swarm.picker.startedCount).toBe(4);
  });

  test('while pieces are staged, what is outstanding at all peers is bounded', () => {
    const memory = memoryFor(0, 10 * 16 * 1024);
    const world = makeSwarm({ pieces: 20, blocksPerPiece: 64, memory });
    const peers = Array.from({ length: 2 }, () => world.connect({ pieces: 'all' }));
    for (const peer of peers) world.swarm.unchoke(peer.neighbour);
    world.pass(100);
    for (let round = 0; round < 40; round++) for (const peer of peers) world.answer(peer);
    for (const peer of peers) expect(peer.neighbour.download.outstandingCount).toBe(5);
    expect(world.swarm.totals.memoryWaits).toBeGreaterThan(0);
    memory.mostOutstandingBytes = 1;
    for (let round = 0; round < 10; round++) for (const peer of peers) world.answer(peer);
    for (const peer of peers) expect(peer.neighbour.download.outstandingCount).toBe(1);
  });

  describe('of 16 MiB each', () => {
    const world = (pieces: number) =>
      makeSwarm({ pieces, blocksPerPiece: 1, blockBytes: 16 * 1024 * 1024, shortBy: 0 });

    /** Peers with a piece each, that begin to give it and go on or not. */
    function begun(swarm: TestSwarm, count: number): Peer[] {
      return Array.from({ length: count }, (_, piece) => {
        const peer = swarm.connect({ pieces: [piece], fast: false });
        swarm.swarm.unchoke(peer.neighbour);
        swarm.swarm.choke(peer.neighbour);
        return peer;
      });
    }

    test('twice as many may be started as peers unchoke us, also beyond 64 MiB', () => {
      const swarm = world(20);
      const peers = Array.from({ length: 6 }, () => swarm.connect({ pieces: 'all' }));
      for (const { neighbour } of peers) swarm.swarm.unchoke(neighbour);
      expect(peers.map(({ link }) => link.wanted.length)).toEqual(Array(6).fill(1));
    });

    test('whoever can give none of those that are started may start one', () => {
      const swarm = world(20);
      begun(swarm, 4);
      const other = swarm.connect({ pieces: [9] });
      swarm.swarm.unchoke(other.neighbour);
      expect(piecesAsked(other)).toEqual([9]);
    });

    test('beyond 256 MiB one that nobody has any more makes room', () => {
      const swarm = world(20);
      const [first] = begun(swarm, 16) as [Peer];
      const other = swarm.connect({ pieces: [18] });
      swarm.swarm.unchoke(other.neighbour);
      expect(piecesAsked(other)).toEqual([]);
      swarm.swarm.disconnected(first.neighbour);
      expect(piecesAsked(other)).toEqual([18]);
      expect(swarm.events).toContain('dropped 0');
    });
  });

  test('one peer, however quick, is asked for blocks of 64 MiB of pieces at most', () => {
    const world = makeSwarm({ pieces: 400, blocksPerPiece: 64 });
    const { link, neighbour } = world.connect({ pieces: 'all' });
    world.swarm.introduced(neighbour, { ownAgent: false, requestQueue: 1e6, uploadOnly: undefined });
    world.swarm.unchoke(neighbour);
    let most = 0;
    // At 160 MB/s; 3 s of that would be more.
    for (let blocks = 0; blocks < 10_000; blocks++) {
      const [piece, begin, length] = link.wanted.shift() as [number, number, number];
      world.clock.time += 0.1;
      world.swarm.block(neighbour, piece, begin, length);
      for (const done of world.received.splice(0)) world.swarm.pieceVerified(done);
      most = Math.max(most, world.swarm.picker.startedCount);
    }
    expect(most).toBe(64);
  });

  test('nothing more is asked for while too much waits for its hash', () => {
    const world = makeSwarm({ pieces: 64, blocksPerPiece: 512 });
    const peer = world.connect({ pieces: 'all' });
    world.swarm.unchoke(peer.neighbour);
    while (peer.link.wanted.length > 0) world.answer(peer);
    expect(world.received.length * 8).toBeLessThanOrEqual(64);
    expect(world.received.length).toBeGreaterThan(1);
    for (const piece of world.received.splice(0)) world.swarm.pieceVerified(piece);
    expect(peer.link.wanted.length).toBeGreaterThan(0);
  });

  test('nor while too many pieces do that are shorter than a block', () => {
    const world = makeSwarm({ pieces: 3000, blocksPerPiece: 1 / 16 });
    const peer = world.connect({ pieces: 'all' });
    world.swarm.unchoke(peer.neighbour);
    while (peer.link.wanted.length > 0) world.answer(peer);
    // As many as there are blocks in 16 MiB, and what was asked for already.
    expect(world.received.length).toBeGreaterThanOrEqual(1024);
    expect(world.received.length).toBeLessThan(1024 + 512);
    while (world.received.length > 0) {
      for (const piece of world.received.splice(0)) world.swarm.pieceVerified(piece);
      while (peer.link.wanted.length > 0) world.answer(peer);
    }
    expect(world.swarm.isComplete).toBe(true);
  });
});

describe('endgame', () => {
  test('the last blocks are asked of a second peer, and cancelled there when they come', () => {
    const world = makeSwarm({ pieces: 2, blocksPerPiece: 4 });
    const quick = world.connect({ pieces: 'all', fast: false });
    world.swarm.unchoke(quick.neighbour);
    serve(world, quick, 1);
    world.swarm.choke(quick.neighbour);
    quick.link.wanted = [];
    const slow = world.connect({ pieces: 'all' });
    world.swarm.unchoke(slow.neighbour);
    expect(slow.link.wanted).toHaveLength(4);
    expect(world.swarm.totals.endgameRequests).toBe(0);
    world.swarm.unchoke(quick.neighbour);
    // Not all four: each is asked for where it would come first, when it would.
    expect(quick.link.wanted).toHaveLength(2);
    expect(world.swarm.totals.endgameRequests).toBe(2);
    const block = quick.link.wanted[0] as [number, number, number];
    world.answer(quick);
    expect(slow.link.said).toContain(`cancel ${block.join(' ')}`);
    serve(world, quick);
    world.pass(5000);
    serve(world, quick);
    expect(world.swarm.isComplete).toBe(true);
    expect(world.swarm.totals.duplicateBytes).toBe(0);
    // What was cancelled and comes all the same does no harm.
    for (const block of slow.link.takenBack) world.swarm.block(slow.neighbour, ...block);
    expect(world.swarm.totals.duplicateBytes).toBeGreaterThan(0);
  });

  /** A medium, a quick and a slow peer; the slow one owes the last two blocks, and nobody else was asked for them. */
  function lastTwoBlocks() {
    const world = makeSwarm({ pieces: 1, blocksPerPiece: 6 });
    const [medium, quick, slow] = [1, 2, 3].map(() => world.connect({ pieces: 'all' })) as [Peer, Peer, Peer];
    const pace = new Map([
      [medium, 50],
      [quick, 1],
    ]);
    for (const peer of [medium, quick, slow]) {
      world.limits.download = 2 * BLOCK;
      world.swarm.unchoke(peer.neighbour);
      expect(peer.link.wanted).toHaveLength(2);
      for (const _ of pace.has(peer) ? [1, 2] : []) {
        world.clock.time += pace.get(peer) ?? 0;
        world.answer(peer);
      }
    }
    expect(world.swarm.totals.endgameRequests).toBe(0);
    world.limits.download = Number.POSITIVE_INFINITY;
    return { world, medium, quick, slow };
  }

  test('at most two copies of a block are asked for, the second of the fastest', () => {
    const { world, medium, quick, slow } = lastTwoBlocks();
    const last = slow.link.wanted.map(String);
    world.pass(100);
    expect(quick.link.wanted.map(String).sort()).toEqual(last.sort());
    expect(medium.link.wanted).toEqual([]);
    expect(world.swarm.totals.endgameRequests).toBe(2);
    world.pass(300);
    expect(medium.link.wanted).toEqual([]);
    expect(world.swarm.totals.endgameRequests).toBe(2);
  });

  test.each(['quick', 'slow'] as const)(
    'whoever brings it (%s), the other request is taken back',
    (winner) => {
      const peers = lastTwoBlocks();
      const { world } = peers;
      const loser = winner === 'quick' ? peers.slow : peers.quick;
      world.pass(100);
      const [piece, begin, length] = peers[winner].link.wanted[0] as [number, number, number];
      world.answer(peers[winner]);
      expect(loser.link.said).toContain(`cancel ${piece} ${begin} ${length}`);
      expect(loser.link.wanted.some(([, at]) => at === begin)).toBe(false);
      expect(world.swarm.totals.duplicateBytes).toBe(0);
      // It had left already: it is here twice, and stored once.
      world.swarm.block(loser.neighbour, piece, begin, length);
      expect(world.events.filter((event) => event === `store ${piece} ${begin}`)).toHaveLength(1);
      expect(world.swarm.totals.duplicateBytes).toBe(length);
    },
  );
});

describe('peers that do not deliver', () => {
  test('what a silent peer owes is asked elsewhere, and it keeps one request to show that it lives', () => {
    const world = makeSwarm({ pieces: 8, blocksPerPiece: 4 });
    const silent = world.connect({ pieces: 'all' });
    world.swarm.unchoke(silent.neighbour);
    const owed = silent.link.wanted.map(([piece, begin]) => `${piece} ${begin}`);
    world.pass(3100);
    expect(silent.link.wanted).toHaveLength(1);
    expect(world.swarm.totals.stalledRequests).toBe(4);
    const other = world.connect({ pieces: 'all' });
    world.swarm.unchoke(other.neighbour);
    const asked = other.link.wanted.map(([piece, begin]) => `${piece} ${begin}`);
    expect(asked.filter((block) => owed.includes(block)).length).toBe(3);
  });

  test('who does not answer that request for 12 s either is left alone as long', () => {
    const world = makeSwarm({ pieces: 8, blocksPerPiece: 4 });
    const { link, neighbour } = world.connect({ pieces: 'all' });
    world.swarm.unchoke(neighbour);
    world.pass(3100);
    world.pass(11_900);
    expect(link.wanted).toHaveLength(1);
    world.pass(200);
    expect(link.wanted).toEqual([]);
    world.pass(11_800);
    expect(link.wanted).toEqual([]);
    world.pass(300);
    expect(link.wanted).toHaveLength(1);
  });

  test('an own agent that owes blocks and is silent is dropped after 10 s, and it completes without it', () => {
    const world = makeSwarm({ pieces: 4, policy: 'cluster' });
    const silent = world.connect({ pieces: 'all', ownAgent: true });
    world.swarm.unchoke(silent.neighbour);
    world.pass(20_000);
    expect(silent.link.closedBecause).toMatch(/silent/);
    const other = world.connect({ pieces: 'all', ownAgent: true });
    world.swarm.unchoke(other.neighbour);
    serve(world, other);
    expect(world.swarm.isComplete).toBe(true);
  });

  test('a piece that one peer alone was to give after a failure does not wait for it for ever', () => {
    const world = makeSwarm({ pieces: 1, blocksPerPiece: 2 });
    const [a, b] = [world.connect({ pieces: 'all' }), world.connect({ pieces: 'all' })];
    // Each gives one block, and the piece fails: it is proof against neither.
    world.swarm.introduced(a.neighbour, { ownAgent: false, requestQueue: 1, uploadOnly: undefined });
    world.swarm.introduced(b.neighbour, { ownAgent: false, requestQueue: 1, uploadOnly: undefined });
    world.swarm.unchoke(a.neighbour);
    world.swarm.unchoke(b.neighbour);
    world.answer(a);
    world.answer(b);
    expect(world.received.splice(0)).toEqual([0]);
    world.swarm.pieceCorrupt(0, ['x', 'y']);
    expect(world.events.filter((event) => event.startsWith('banned'))).toEqual([]);
    // From here on one of them says nothing but that it lives, and the other lets us ask only later.
    const [mute, other] = a.link.wanted.length > 0 ? [a, b] : [b, a];
    expect(other.link.wanted).toEqual([]);
    world.swarm.choke(other.neighbour);
    for (let i = 0; i < 150; i++) {
      world.swarm.heard(mute.neighbour, world.clock.time);
      world.pass(100);
    }
    expect(mute.link.wanted).toHaveLength(1);
    world.swarm.unchoke(other.neighbour);
    expect(other.link.wanted).toEqual([]);
    for (let i = 0; i < 600 && !world.swarm.isComplete; i++) {
      world.swarm.heard(mute.neighbour, world.clock.time);
      world.pass(100);
      serve(world, other);
    }
    expect(world.swarm.isComplete).toBe(true);
  });

  test.each([
    ['a second, where its queue is short', 20, true],
    ['longer, where that takes longer than a quarter of a second at its rate', 150, false],
  ])(
    'a peer that gave a block in a millisecond and falls silent is given up after %s',
    (_, queue, isGivenUp) => {
      const world = makeSwarm({ pieces: 1000 });
      const peer = world.connect({ pieces: 'all' });
      // The last place of a queue stays free.
      const requestQueue = queue + 1;
      world.swarm.introduced(peer.neighbour, { ownAgent: false, requestQueue, uploadOnly: undefined });
      world.swarm.unchoke(peer.neighbour);
      for (let i = 0; i < 500; i++) world.answer(peer);
      expect(peer.link.wanted).toHaveLength(queue);
      world.pass(1000);
      expect(world.swarm.totals.stalledRequests).toBe(0);
      world.pass(200);
      expect(world.swarm.totals.stalledRequests > 0).toBe(isGivenUp);
    },
  );

  test('a request that is refused is asked elsewhere, and not of the same peer at once', () => {
    const world = makeSwarm({ pieces: 2 });
    const peer = world.connect({ pieces: 'all' });
    world.swarm.unchoke(peer.neighbour);
    for (const request of peer.link.wanted.splice(0)) world.swarm.reject(peer.neighbour, ...request);
    expect(peer.link.wanted).toEqual([]);
    world.pass(500);
    expect(peer.link.wanted).toEqual([]);
    world.pass(700);
    expect(peer.link.wanted.length).toBeGreaterThan(0);
  });

  test('pieces that come after their cancel are accepted quietly, however many', () => {
    const world = makeSwarm({ pieces: 64 });
    const peer = world.connect({ pieces: 'all' });
    for (let rounds = 0; peer.link.takenBack.length <= 2 * MAX_UNSOLICITED_BLOCKS; rounds++) {
      world.swarm.unchoke(peer.neighbour);
      world.swarm.pause();
      world.swarm.resume();
      expect(rounds).toBeLessThan(100);
    }
    world.swarm.pause();
    const late = peer.link.takenBack.splice(0);
    for (const block of late) world.swarm.block(peer.neighbour, ...block);
    expect(late.length).toBeGreaterThan(MAX_UNSOLICITED_BLOCKS);
    expect(peer.link.closedBecause).toBeUndefined();
  });

  test('a block that comes again and again is stored once, and its sender is dropped before long', () => {
    const world = makeSwarm({ pieces: 64, blocksPerPiece: 4 });
    const peer = world.connect({ pieces: 'all' });
    world.swarm.unchoke(peer.neighbour);
    const [piece, begin, length] = peer.link.wanted[0] as [number, number, number];
    for (let i = 0; i <= MAX_UNSOLICITED_BLOCKS; i++) {
      expect(peer.link.closedBecause).toBeUndefined();
      world.swarm.block(peer.neighbour, piece, begin, length);
    }
    world.swarm.block(peer.neighbour, piece, begin, length);
    expect(peer.link.closedBecause).toMatch(/nobody had asked/);
    expect(world.events.filter((event) => event === `store ${piece} ${begin}`)).toHaveLength(1);
  });

  test('blocks that nobody asked for are not stored, and their sender is dropped before long', () => {
    const world = makeSwarm({ pieces: 64 });
    const peer = world.connect({ pieces: 'all' });
    for (let piece = 0; piece <= MAX_UNSOLICITED_BLOCKS; piece++) {
      expect(peer.link.closedBecause).toBeUndefined();
      world.swarm.block(peer.neighbour, piece, 0, BLOCK);
    }
    expect(peer.link.closedBecause).toMatch(/nobody had asked/);
    expect(world.events.filter((event) => event.startsWith('store'))).toEqual([]);
  });
});

describe('corrupt pieces', () => {
  test('who alone gave a corrupt piece is banned, and the piece is fetched from others', () => {
    const world = makeSwarm({ pieces: 2 });
    const liar = world.connect({ pieces: 'all', identity: 'liar' });
    world.swarm.unchoke(liar.neighbour);
    while (world.received.length === 0) world.answer(liar);
    world.swarm.pieceCorrupt(world.received.shift() as number, ['x', 'y']);
    expect(world.events).toContain('banned liar');
    expect(liar.link.closedBecause).toMatch(/failed their hash/);
    const honest = world.connect({ pieces: 'all' });
    world.swarm.unchoke(honest.neighbour);
    serve(world, honest);
    expect(world.swarm.isComplete).toBe(true);
    expect(world.swarm.totals.corruptBytes).toBeGreaterThan(0);
  });

  test('of several senders the one is banned whose block differs from the good one', () => {
    const world = makeSwarm({ pieces: 1, blocksPerPiece: 2 });
    const liar = world.connect({ pieces: 'all', identity: 'liar' });
    const honest = world.connect({ pieces: 'all', identity: 'honest' });
    for (const { neighbour } of [liar, honest]) {
      world.swarm.introduced(neighbour, { ownAgent: false, requestQueue: 1, uploadOnly: undefined });
      world.swarm.unchoke(neighbour);
    }
    const liarsBlock = (liar.link.wanted[0]?.[1] as number) / BLOCK;
    world.answer(liar);
    world.answer(honest);
    world.received.splice(0);
    const failed = liarsBlock === 0 ? ['bad', 'good1'] : ['good0', 'bad'];
    world.swarm.pieceCorrupt(0, failed);
    expect(world.swarm.wantsDigests(0)).toBe(true);
    world.swarm.disconnected(liar.neighbour);
    for (let i = 0; i < 300 && world.received.length === 0; i++) {
      world.pass(100);
      if (honest.link.wanted.length > 0) world.answer(honest);
    }
    world.swarm.pieceVerified(0, ['good0', 'good1']);
    expect(world.events.filter((event) => event.startsWith('banned'))).toEqual(['banned liar']);
  });
});

test('pause takes requests back, and resume asks again', () => {
  const world = makeSwarm({ pieces: 4 });
  const peer = world.connect({ pieces: 'all' });
  world.swarm.unchoke(peer.neighbour);
  expect(peer.link.wanted.length).toBeGreaterThan(0);
  world.swarm.pause();
  expect(peer.link.wanted).toEqual([]);
  expect(peer.link.said.at(-1)).toBe('notInterested');
  world.pass(5000);
  expect(peer.link.wanted).toEqual([]);
  world.swarm.resume();
  expect(peer.link.wanted.length).toBeGreaterThan(0);
  serve(world, peer);
  expect(world.swarm.isComplete).toBe(true);
});

test('a piece that could not be written is fetched again', () => {
  const world = makeSwarm({ pieces: 1 });
  const peer = world.connect({ pieces: 'all' });
  world.swarm.unchoke(peer.neighbour);
  while (peer.link.wanted.length > 0) world.answer(peer);
  world.swarm.pieceUnwritten(world.received.shift() as number);
  world.pass(200);
  serve(world, peer);
  expect(world.swarm.isComplete).toBe(true);
});

test('bitfields that do not fit, and pieces beyond the last one, end the connection', () => {
  const world = makeSwarm({ pieces: 9 });
  const spare = world.connect();
  world.swarm.bitfield(spare.neighbour, Buffer.from([0xff, 0xff]));
  expect(spare.link.closedBecause).toBeDefined();
  const short = world.connect();
  world.swarm.bitfield(short.neighbour, Buffer.from([0xff]));
  expect(short.link.closedBecause).toBeDefined();
  const beyond = world.connect();
  world.swarm.have(beyond.neighbour, 9);
  expect(beyond.link.closedBecause).toMatch(/piece 9/);
  const suggests = world.connect();
  world.swarm.suggest(suggests.neighbour, 0xffffffff);
  expect(suggests.link.closedBecause).toBeDefined();
  expect(world.swarm.peers).toEqual([]);
});

test('a second bitfield, as aria2 sends it, adds what the first did not have', () => {
  const world = makeSwarm({ pieces: 9 });
  const peer = world.connect({ pieces: [1] });
  world.swarm.unchoke(peer.neighbour);
  world.swarm.bitfield(peer.neighbour, bitsOf([1, 4], 9));
  expect(peer.link.closedBecause).toBeUndefined();
  expect(peer.neighbour.pieces.toBytes()).toEqual(bitsOf([1, 4], 9));
  expect([1, 4, 5].map((piece) => world.swarm.picker.availability(piece))).toEqual([1, 1, 0]);
  expect(new Set(piecesAsked(peer))).toEqual(new Set([1, 4]));
  world.swarm.haveAll(peer.neighbour);
  expect(world.swarm.picker.seeds).toBe(1);
  for (let i = 1; i < MAX_IDLE_MESSAGES_PER_SECOND; i++) world.swarm.haveNone(peer.neighbour);
  expect(peer.link.closedBecause).toBeUndefined();
  world.swarm.haveAll(peer.neighbour);
  expect(peer.link.closedBecause).toMatch(/floods/);
});

test('of a piece that a peer lost, what was outstanding is asked elsewhere (BEP 54)', () => {
  const swarm = makeSwarm({ pieces: 1, blocksPerPiece: 2 });
  const a = swarm.connect({ pieces: 'all' });
  swarm.swarm.unchoke(a.neighbour);
  expect(a.link.wanted).toHaveLength(2);
  const b = swarm.connect({ pieces: 'all' });
  swarm.swarm.unchoke(b.neighbour);
  expect(b.link.wanted).toHaveLength(0);
  swarm.swarm.lost(a.neighbour, 0);
  expect(b.link.wanted).toHaveLength(2);
  expect(a.neighbour.amInterested).toBe(false);
  expect(swarm.swarm.picker.availability(0)).toBe(1);
  // What it sends all the same is welcome; that it has the piece again is news.
  swarm.swarm.block(a.neighbour, 0, 0, 16 * 1024);
  expect(swarm.swarm.totals.duplicateBytes).toBe(0);
  swarm.swarm.have(a.neighbour, 0);
  expect(swarm.swarm.picker.availability(0)).toBe(2);
  expect(a.neighbour.amInterested).toBe(true);
});

test('HAVE leaves within 5 ms: the pieces of a burst together, to everybody', () => {
  const world = makeSwarm({ pieces: 4, blocksPerPiece: 1 });
  const giver = world.connect({ pieces: 'all' });
  const other = world.connect({ pieces: [] });
  world.swarm.unchoke(giver.neighbour);
  for (let blocks = 0; blocks < 2; blocks++) world.answer(giver);
  const [first, second] = world.received.splice(0) as [number, number];
  world.swarm.pieceVerified(first);
  world.swarm.pieceVerified(second);
  expect(world.events.filter((event) => event.startsWith('wake'))).toEqual(['wake within 5']);
  const said = () => other.link.said.filter((words) => words.startsWith('have '));
  expect(said()).toEqual([]);
  world.swarm.flushHaves();
  world.swarm.flushHaves();
  expect(said()).toEqual([`have ${first}`, `have ${second}`]);
  world.answer(giver);
  world.swarm.pieceVerified(world.received[0] as number);
  expect(world.events.filter((event) => event.startsWith('wake'))).toHaveLength(2);
});
