// A piece that failed with blocks of several peers, one of which does what it can so that nobody else gives it.
import { describe, expect, test } from '@jest/globals';
import type { SwarmContext } from '../../../../torrent/swarm/context.ts';
import { PeerDownload } from '../../../../torrent/swarm/download/peer-download.ts';
import { SuspectPieces } from '../../../../torrent/swarm/download/suspect-pieces.ts';
import type { PeerState } from '../../../../torrent/swarm/peers/peer.ts';
import { EVASIONS, gives, Play, type Player, rejectsAll } from '../cast.ts';
import { BLOCK, makeSwarm } from '../harness.ts';

// Written out, so that a changed number is noticed.
const FIRST_ATTEMPT_MILLISECONDS = 10_000;

const BLOCKS = 32;

/** Both peers have given half of the only piece, which failed; the evasive one is to give it alone now. */
function suspectAt(evasion: keyof typeof EVASIONS, policy: 'classic' | 'cluster', ownAgents: boolean) {
  const world = makeSwarm({ pieces: 1, blocksPerPiece: BLOCKS, policy });
  const play = new Play(world);
  const evasive = play.join('evasive', EVASIONS[evasion]!, { ownAgent: ownAgents });
  const honest = play.join('honest', gives(1), { ownAgent: ownAgents });
  for (const { neighbour } of [evasive, honest]) {
    world.swarm.introduced(neighbour, {
      ownAgent: ownAgents,
      requestQueue: BLOCKS / 2,
      uploadOnly: undefined,
    });
    world.swarm.unchoke(neighbour);
  }
  for (let i = 0; i < BLOCKS / 2; i++) for (const player of [evasive, honest]) play.give(player);
  expect(world.received.splice(0)).toEqual([0]);
  world.swarm.pieceCorrupt(0, ['bad by evasive', ...Array<string>(BLOCKS - 1).fill('good')]);
  expect(world.swarm.picker.startedPiece(0)).toMatchObject({
    exclusive: true,
    starter: evasive.neighbour.number,
  });
  return { play, world, honest };
}

describe.each([
  ['classic', false],
  ['cluster', false],
  ['cluster', true],
] as const)('%s, own agents: %s', (policy, ownAgents) => {
  test.each(Object.keys(EVASIONS))('who %s hands it on to who gives it', (evasion) => {
    const { play, world } = suspectAt(evasion, policy, ownAgents);
    // A peer that sends something now and then is left alone only when its time is over.
    expect(play.run(FIRST_ATTEMPT_MILLISECONDS + 3000)).toBeLessThan(FIRST_ATTEMPT_MILLISECONDS + 3000);
    expect(world.swarm.isComplete).toBe(true);
    expect(world.events).not.toContain('banned honest');
    expect(world.events).toContain('banned evasive');
  });
});

test('at a choke it is passed on at once', () => {
  const { play, world, honest } = suspectAt('gives nothing', 'classic', false);
  world.swarm.choke((play.players[0] as Player).neighbour);
  expect(world.swarm.picker.startedPiece(0)).toMatchObject({
    exclusive: true,
    starter: honest.neighbour.number,
  });
});

test('it goes round: who comes with ever new addresses takes no turn of those who wait', () => {
  const { play, world, honest } = suspectAt('rejects, and stays unchoking', 'classic', false);
  honest.link.wanted = [];
  let strangers = 0;
  const honestActs = honest.act;
  honest.act = (player, at) => {
    const stranger = at.join(`stranger ${++strangers}`, EVASIONS['gives nothing']!);
    world.swarm.unchoke(stranger.neighbour);
    honestActs(player, at);
  };
  play.run(1000);
  expect(world.swarm.isComplete).toBe(true);
});

test('an honest peer that is slow has the time it needs in the end', () => {
  const { play, world, honest } = suspectAt('gives a block now and then', 'classic', false);
  const whole = 4 * FIRST_ATTEMPT_MILLISECONDS;
  const [evasive] = play.players as [Player];
  // It spoils what both give, and never has the time to give all alone.
  let lately = 0;
  evasive.act = (player, at) => {
    const started = at.world.swarm.picker.startedPiece(0);
    const isShared = started?.exclusive === false && started.missing < BLOCKS;
    if (started?.exclusive === false && !isShared) return;
    if ((isShared || at.now > lately + 9000) && at.give(player, 0, true)) lately = at.now;
  };
  let given = 0;
  honest.act = (player, at) => {
    if (at.now > given + whole / BLOCKS && at.give(player)) given = at.now;
  };
  play.run(20 * whole);
  expect(world.swarm.isComplete).toBe(true);
  expect(world.events).not.toContain('banned honest');
  expect(world.events).toContain('banned evasive');
});

test('two that have only parts of it give it together at last', () => {
  const { play, world, honest } = suspectAt('gives nothing', 'classic', false);
  const [evasive] = play.players;
  for (const [half, player] of [evasive!, honest].entries()) {
    player.act = (self, at) => {
      const mine = self.link.wanted.findIndex(([, begin]) => begin < (BLOCKS / 2) * BLOCK === (half === 0));
      if (at.give(player, mine < 0 ? self.link.wanted.length : mine)) return;
      rejectsAll(self, at);
    };
  }
  play.run(60_000);
  expect(world.swarm.isComplete).toBe(true);
});

describe('the list of them', () => {
  /** As much of a peer that may give everything as matters here. */
  const giver = (number: number) =>
    ({
      number,
      identityNumber: number,
      download: new PeerDownload(),
      pieces: { get: () => true },
    }) as unknown as PeerState;

  /** Two peers, of which the first one gives every piece alone. */
  function listed() {
    const [starter, other] = [giver(0), giver(1)];
    const picker = { startedPiece: (piece: number) => ({ piece, starter: 0, exclusive: piece === 0 }) };
    const context = { picker, peers: [starter, other] } as unknown as SwarmContext;
    return { suspects: new SuspectPieces(context), starter };
  }

  test('holds 64 pieces; the one longest there that nobody gives alone makes room', () => {
    const { suspects } = listed();
    for (let piece = 0; piece < 64; piece++) suspects.add(piece);
    expect([suspects.size, suspects.has(1)]).toEqual([64, true]);
    suspects.add(64);
    expect([suspects.size, suspects.has(0), suspects.has(1)]).toEqual([64, true, false]);
  });

  test('of three attempts of one peer the last is shared', () => {
    const { suspects, starter } = listed();
    suspects.add(0);
    const alone = Array.from({ length: 6 }, () => suspects.begin(starter, 0, 0));
    expect(alone).toEqual([true, true, false, true, true, false]);
  });

  test('the time of an attempt doubles with each, twelve times at most', () => {
    const { suspects, starter } = listed();
    suspects.add(0);
    const times: number[] = [];
    for (let attempt = 0; attempt < 15; attempt++) {
      suspects.begin(starter, 0, 0);
      times.push(
        [...Array(20).keys()].findIndex((doublings) => {
          const time = FIRST_ATTEMPT_MILLISECONDS * 2 ** doublings;
          return suspects.overdue(time).length === 0 && suspects.overdue(time + 1).length === 1;
        }),
      );
    }
    expect(times).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 12, 12]);
  });
});
