// A seed's uplink among own agents that all began with nothing, one of which tries to look as if it were in need.
import { describe, expect, test } from '@jest/globals';
import { seededRandom } from '../../../../simulation/random.ts';
import { BLOCK, makeSwarm, type Peer, type TestSwarm } from '../harness.ts';

const PIECES = 256;
const BLOCKS_PER_PIECE = 4;
const OUTSTANDING = 64;
/** 1 Gbit/s. */
const BYTES_PER_MILLISECOND = 125_000;

interface Leecher extends Peer {
  identity: string;
  got: number;
  /** By piece. */
  blocks: number[];
  /** Blocks that it asked for. */
  asked: number;
}

/** What the last of them does when a block has come. */
type Trick = (leecher: Leecher, piece: number, world: TestSwarm) => void;

const sayHave: Trick = ({ neighbour, blocks }, piece, { swarm }) => {
  blocks[piece] = (blocks[piece] ?? 0) + 1;
  if (blocks[piece] === BLOCKS_PER_PIECE) swarm.have(neighbour, piece);
};

const TRICKS: Readonly<Record<string, Trick>> = {
  'says what it has': sayHave,
  'says nothing': () => {},
  'says that it lost what it got': (leecher, piece, world) => {
    sayHave(leecher, piece, world);
    world.swarm.lost(leecher.neighbour, piece);
  },
  'comes again': (leecher, _, world) => {
    if (leecher.neighbour.upload.uploadedBytes < (PIECES * BLOCKS_PER_PIECE * BLOCK) / 17) return;
    world.swarm.disconnected(leecher.neighbour);
    Object.assign(leecher, join(world, leecher.identity));
  },
};

function join(world: TestSwarm, identity: string): Peer {
  const peer = world.connect({ ownAgent: true, identity, pieces: [] });
  world.swarm.interested(peer.neighbour);
  return peer;
}

/** A swarm that has everything. */
function seedOf(pieces: number): TestSwarm {
  return makeSwarm({
    pieces,
    blocksPerPiece: BLOCKS_PER_PIECE,
    shortBy: 0,
    policy: 'cluster',
    have: Array.from({ length: pieces }, (_, piece) => piece),
    random: seededRandom(1),
  });
}

/** The last one's share of half of what all need, in shares of one that is honest. */
function shareWith(trick: Trick, leechers: number, asksForOnePiece = false): number {
  const world = seedOf(PIECES);
  const all = Array.from({ length: leechers }, (_, index): Leecher => {
    const identity = `10.0.0.${index}`;
    return {
      ...join(world, identity),
      identity,
      got: 0,
      blocks: [],
      asked: (index * PIECES * BLOCKS_PER_PIECE) / leechers,
    };
  });
  const last = all.at(-1) as Leecher;
  const ask = (leecher: Leecher) => {
    while (leecher.neighbour.upload.requests.size < OUTSTANDING) {
      const block = leecher.asked++;
      const piece = leecher === last && asksForOnePiece ? 0 : Math.trunc(block / BLOCKS_PER_PIECE) % PIECES;
      world.swarm.request(leecher.neighbour, piece, (block % BLOCKS_PER_PIECE) * BLOCK, BLOCK);
    }
  };
  for (let sent = 0; sent < (leechers * PIECES * BLOCKS_PER_PIECE) / 2; ) {
    for (const leecher of all) ask(leecher);
    world.swarm.settle();
    // What was handed over leaves before more is.
    for (const leecher of all) {
      for (const [piece, , length] of leecher.link.sending.splice(0)) {
        const { link, neighbour } = leecher;
        world.clock.time += length / BYTES_PER_MILLISECOND;
        link.pendingBytes -= length;
        world.swarm.uploaded(neighbour, length);
        leecher.got++;
        sent++;
        (leecher === last ? trick : sayHave)(leecher, piece, world);
        if (leecher.link !== link) break;
      }
    }
  }
  const honest = all.slice(0, -1).reduce((sum, { got }) => sum + got, 0) / (leechers - 1);
  return last.got / honest;
}

/** What the last one gets at most, in shares of an honest one: of 8 that is 15 % of the uplink. */
const MOST = 1.2;

describe.each([
  ['of 8', 8],
  // With so many a seed sends a piece in one go.
  ['of 32', 32],
])('%s', (_, leechers) => {
  test.each(Object.keys(TRICKS))('who %s gets no more than the others', (trick) => {
    expect(shareWith(TRICKS[trick] as Trick, leechers)).toBeLessThan(MOST);
  });

  test('nor who asks for one piece again and again', () => {
    expect(shareWith(sayHave, leechers, true)).toBeLessThan(MOST);
  });
});

test('those who read nothing of what they ask for keep nobody waiting', () => {
  const world = seedOf(PIECES);
  const all = Array.from({ length: 8 }, (_, index) => ({
    ...join(world, `10.0.0.${index}`),
    reads: index >= 4,
    asked: index * PIECES,
  }));
  const milliseconds = 2000;
  let left = 0;
  for (let time = 0; time < milliseconds; time++) {
    world.clock.time++;
    if (time % 100 === 0) world.swarm.tick();
    for (const leecher of all) {
      while (leecher.neighbour.upload.requests.size < OUTSTANDING)
        world.swarm.request(leecher.neighbour, leecher.asked++ % PIECES, 0, BLOCK);
    }
    world.swarm.settle();
    let room = BYTES_PER_MILLISECOND;
    for (const { link, neighbour, reads } of all) {
      while (reads && room > 0 && link.sending.length > 0) {
        const [, , length] = link.sending.shift() as [number, number, number];
        link.pendingBytes -= length;
        world.swarm.uploaded(neighbour, length);
        room -= length;
        left += length;
      }
    }
  }
  expect(left).toBeGreaterThan(0.8 * milliseconds * BYTES_PER_MILLISECOND);
});
