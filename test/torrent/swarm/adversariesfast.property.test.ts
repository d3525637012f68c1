// A download beside peers that do harm and stay connected, in any company.
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { seededRandom } from '../../../simulation/random.ts';
import { fuzzParameters } from '../fuzz.ts';
import { ADVERSARIES, Play, type Player } from './cast.ts';
import { makeSwarm } from './harness.ts';

const PIECES = 16;
const BLOCKS_PER_PIECE = 8;

/** One honest seed gives a block in this time. */
const BLOCK_MILLISECONDS = 20;

/** What the honest seed needs alone, and what it may need in such company. */
const ALONE_MILLISECONDS = PIECES * BLOCKS_PER_PIECE * BLOCK_MILLISECONDS;
const FACTOR = 2.5;

/** Once both copies of the last blocks were held by peers that gave nothing, and chokes began their time anew. */
const [SILENT, CHOKING, SPOILING] = ['gives nothing', 'chokes and unchokes', 'spoils, chokes and rejects'];
const EXAMPLES: [string[], number, number][] = [
  [[SILENT, SILENT, SPOILING, CHOKING, SPOILING], 1, 0],
  [[CHOKING, SPOILING, CHOKING, SPOILING, CHOKING], 0, 0],
  [['answers what was taken back', CHOKING, SPOILING, CHOKING], 1, 0],
];

const givesSlowly: Player['act'] = (player, play) => {
  if (play.now % BLOCK_MILLISECONDS < 10) play.give(player);
};

test.each([
  ['classic', false],
  ['cluster', false],
  ['cluster', true],
] as const)(
  '%s, own agents: %s: one honest seed completes it before long, and is not banned',
  (policy, ownAgent) => {
    const adversary = fc.constantFrom(...Object.keys(ADVERSARIES));
    fc.assert(
      fc.property(
        fc.array(adversary, { minLength: 0, maxLength: 6 }),
        fc.nat({ max: 6 }),
        fc.integer(),
        (adversaries, place, seed) => {
          const world = makeSwarm({
            pieces: PIECES,
            blocksPerPiece: BLOCKS_PER_PIECE,
            policy,
            random: seededRandom(seed),
          });
          const play = new Play(world);
          const names: string[] = [...adversaries];
          names.splice(place, 0, 'honest');
          for (const [index, name] of names.entries()) {
            const act = ADVERSARIES[name] ?? givesSlowly;
            const player = play.join(name === 'honest' ? name : `${index} ${name}`, act, { ownAgent });
            world.swarm.unchoke(player.neighbour);
          }
          play.run(FACTOR * ALONE_MILLISECONDS);
          expect(world.swarm.isComplete).toBe(true);
          expect(world.events).not.toContain('banned honest');
        },
      ),
      { ...fuzzParameters(60), examples: EXAMPLES },
    );
  },
);
