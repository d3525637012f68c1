// A seed's uplink among own agents that all began with nothing, one of which tries to look as if it were in need.
import { describe, expect, test } from '@jest/globals';
import { seededRandom } from '../../../simulation/random.ts';
import { BLOCK, makeSwarm, type Peer, type TestSwarm } from './harness.ts';

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
    if (leecher.neighbour.uploadedBytes < (PIECES * BLOCKS_PER_PIECE * BLOCK) / 17) return;
    world.swarm.disconnected(leecher.neighbour);
    Object.assign(leecher, join(world, leecher.identity));
  },
};

function join(world: TestSwarm, identity: string): Peer {
  const peer = world.connect({ ownAgent: true, identity, pieces: [] });
  world.swarm.interested(peer.neighbour);
  return peer;
}

/** The last one's share of half of what all need, in shares of one that is honest. */
function shareWith(trick: Trick, leechers: number, asksForOnePiece = false): number {
  const world = makeSwarm({
    pieces: PIECES,
    blocksPerPiece: BLOCKS_PER_PIECE,
    shortBy: 0,
    policy: 'cluster',
    have: Array.from({ length: PIECES }, (_, piece) => piece),
    random: seededRandom(1),
  });
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
    while (leecher.neighbour.requests.size < OUTSTANDING) {
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
