// Any sequence of what peers may do, against the invariants of picker, requester and membership.
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { seededRandom } from '../../../simulation/random.ts';
import { fuzzParameters } from '../fuzz.ts';
import { same } from '../same.ts';
import { makeSwarm, type Peer, type TestSwarm } from './harness.ts';

const PIECES = 9;

const who = fc.nat({ max: 5 });
const piece = fc.nat({ max: PIECES - 1 });
const step = fc.oneof(
  fc.record({ do: fc.constant('connect' as const), fast: fc.boolean(), ownAgent: fc.boolean(), who }),
  fc.record({ do: fc.constant('disconnect' as const), who }),
  fc.record({
    do: fc.constant('show' as const),
    who,
    pieces: fc.uniqueArray(piece, { maxLength: PIECES, size: 'max' }),
  }),
  fc.record({ do: fc.constant('have' as const), who, piece }),
  fc.record({ do: fc.constant('unchoke' as const), who }),
  fc.record({ do: fc.constant('choke' as const), who }),
  fc.record({ do: fc.constant('answer' as const), who, which: fc.nat() }),
  fc.record({ do: fc.constant('answer late' as const), who, which: fc.nat() }),
  fc.record({ do: fc.constant('reject' as const), who, which: fc.nat() }),
  fc.record({ do: fc.constant('suggest' as const), who, piece }),
  fc.record({ do: fc.constant('allow' as const), who, piece }),
  fc.record({ do: fc.constant('lose' as const), who, piece }),
  fc.record({ do: fc.constant('lost on disk' as const), piece }),
  fc.record({ do: fc.constant('good' as const), which: fc.nat() }),
  fc.record({ do: fc.constant('corrupt' as const), which: fc.nat() }),
  fc.record({ do: fc.constant('unwritten' as const), which: fc.nat() }),
  fc.record({ do: fc.constant('pause' as const) }),
  fc.record({ do: fc.constant('resume' as const) }),
  fc.record({ do: fc.constant('pass' as const), milliseconds: fc.integer({ min: 1, max: 3000 }) }),
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** What peers go on doing beside an honest one. */
const MISCHIEF = new Set<Step['do']>(['have', 'unchoke', 'choke', 'answer late', 'reject', 'allow', 'lose']);

function takeOne<T>(list: T[], which: number): T | undefined {
  return list.length === 0 ? undefined : list.splice(which % list.length, 1)[0];
}

function run(world: TestSwarm, peers: Peer[], action: Step): void {
  const { swarm, received } = world;
  const peer = 'who' in action && peers.length > 0 ? peers[action.who % peers.length] : undefined;
  switch (action.do) {
    case 'connect':
      if (peers.length < 6) peers.push(world.connect({ ...action, pieces: undefined }));
      return;
    case 'good':
    case 'corrupt':
    case 'unwritten': {
      const done = takeOne(received, action.which);
      if (done === undefined) return;
      if (action.do === 'good') swarm.pieceVerified(done);
      else if (action.do === 'unwritten') swarm.pieceUnwritten(done);
      else swarm.pieceCorrupt(done, ['x', 'y']);
      return;
    }
    case 'lost on disk':
      swarm.pieceLost(action.piece);
      return;
    case 'pause':
      swarm.pause();
      return;
    case 'resume':
      swarm.resume();
      return;
    case 'pass':
      world.pass(action.milliseconds);
      return;
  }
  if (peer === undefined || !peer.neighbour.connected) return;
  const { neighbour, link } = peer;
  switch (action.do) {
    case 'disconnect':
      swarm.disconnected(neighbour);
      return;
    case 'show':
      if (neighbour.availability.isShown) return;
      for (const index of action.pieces) swarm.have(neighbour, index);
      if (neighbour.connected && !neighbour.availability.isShown) swarm.haveNone(neighbour);
      return;
    case 'have':
      swarm.have(neighbour, action.piece);
      return;
    case 'unchoke':
      swarm.unchoke(neighbour);
      return;
    case 'choke':
      swarm.choke(neighbour);
      if (!neighbour.fast) link.takenBack.push(...link.wanted.splice(0));
      return;
    case 'suggest':
      swarm.suggest(neighbour, action.piece);
      return;
    case 'allow':
      if (neighbour.fast) swarm.allowedFast(neighbour, action.piece);
      return;
    case 'lose': {
      const isLost = ([index]: [number, number, number]) => index === action.piece;
      const had = neighbour.pieces.get(action.piece);
      if (had) link.takenBack.push(...link.wanted.filter(isLost));
      if (had) link.wanted = link.wanted.filter((block) => !isLost(block));
      swarm.lost(neighbour, action.piece);
      return;
    }
    case 'answer': {
      const block = takeOne(link.wanted, action.which);
      if (block !== undefined) swarm.block(neighbour, ...block);
      return;
    }
    case 'answer late': {
      const block = takeOne(link.takenBack, action.which);
      if (block === undefined) return;
      // If it was asked for again in the meantime, this is the answer to that, and the other one comes late.
      const again = link.wanted.findIndex(([p, begin]) => p === block[0] && begin === block[1]);
      if (again >= 0) link.takenBack.push(...link.wanted.splice(again, 1));
      swarm.block(neighbour, ...block);
      return;
    }
    case 'reject': {
      const block = takeOne(link.wanted, action.which);
      if (block !== undefined) swarm.reject(neighbour, ...block);
      return;
    }
  }
}

/** Everything that must hold between any two messages. */
function check({ swarm }: TestSwarm, peers: readonly Peer[]): void {
  const { picker, geometry } = swarm;
  const connected = peers.filter(({ neighbour }) => neighbour.connected);
  same('neighbours', swarm.peers.length, connected.length);
  for (let index = 0; index < PIECES; index++) {
    const holders = connected.filter(({ neighbour }) => neighbour.pieces.get(index)).length;
    same(`availability of ${index}`, picker.availability(index), holders);
    const states = [
      picker.isHeld(index),
      picker.isVerifying(index),
      picker.startedPiece(index) !== undefined,
      picker.isWanted(index),
    ];
    same(`states of ${index}`, states.filter(Boolean).length, 1);
    const started = picker.startedPiece(index);
    let free = 0;
    for (let place = 0; place < geometry.blocksIn(index); place++) {
      const block = index * geometry.blocksPerPiece + place;
      const asked = connected.filter(({ neighbour }) => neighbour.download.isOutstanding(block)).length;
      same(`block ${block} is asked for ${asked} times: allowed`, asked <= 2, true);
      same(`copies of block ${block}`, started?.copies(place) ?? 0, asked);
      if (started?.isFree(place)) free++;
    }
    same(`free blocks of ${index}`, started?.free ?? 0, free);
    same(`${index} is open`, picker.open.includes(started as never), free > 0);
  }
  for (const { neighbour, link } of connected) {
    let useful = 0;
    let pickable = 0;
    for (let index = 0; index < PIECES; index++) {
      if (!neighbour.pieces.get(index)) continue;
      if (!picker.isHeld(index)) useful++;
      if (picker.isWanted(index)) pickable++;
    }
    same('useful', neighbour.availability.useful, useful);
    same('pickable', neighbour.availability.pickable, pickable);
    same('interested', neighbour.amInterested, useful > 0 && !swarm.paused);
    same('outstanding', neighbour.download.outstandingCount, link.wanted.length);
  }
}

test.each(['classic', 'cluster'] as const)(
  '%s: whatever peers do, the accounts agree and it completes',
  (policy) => {
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 40, maxLength: 150, size: 'max' }),
        fc.integer(),
        (steps, seed) => {
          const world = makeSwarm({ pieces: PIECES, policy, random: seededRandom(seed) });
          const { swarm, received } = world;
          const peers: Peer[] = [];
          for (const action of steps) {
            const copiesBefore = swarm.totals.endgameRequests;
            const wantedBefore = swarm.picker.wantedCount + swarm.picker.open.length;
            run(world, peers, action);
            check(world, peers);
            // A second copy is asked for only when nothing else is left, before or at the end of the step.
            if (swarm.totals.endgameRequests > copiesBefore && action.do !== 'pass') {
              const wantedAfter = swarm.picker.wantedCount + swarm.picker.open.length;
              expect(Math.min(wantedBefore, wantedAfter)).toBe(0);
            }
          }
          // From here on pieces are good, and one peer is honest while the others go on as before: every block is asked
          // for in the end, and all pieces come in.
          swarm.resume();
          const last = world.connect({ identity: 'honest', pieces: 'all' });
          swarm.unchoke(last.neighbour);
          const others = [...peers];
          peers.push(last);
          for (let i = 0; i < 2000 && !swarm.isComplete; i++) {
            const action = steps[i % steps.length];
            if (action !== undefined && MISCHIEF.has(action.do)) run(world, others, action);
            if (last.link.wanted.length > 0) world.answer(last);
            else world.pass(500);
            while (received.length > 0) swarm.pieceVerified(received.pop() as number);
            check(world, peers);
          }
          expect(swarm.isComplete).toBe(true);
          expect(world.events.filter((event) => event === 'completed')).toHaveLength(1);
        },
      ),
      fuzzParameters(300),
    );
  },
);
