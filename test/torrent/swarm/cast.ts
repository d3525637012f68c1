// Peers that play a part, honest ones and others, beside a swarm that downloads. Virtual time passes in steps of 10 ms.
import { BLOCK, type Peer, type TestSwarm } from './harness.ts';

const STEP_MILLISECONDS = 10;

/** One peer and what it does in each step. */
export interface Player extends Peer {
  readonly identity: string;
  act(player: Player, play: Play): void;
  /** Of what it was asked for since it came. */
  given: number;
}

/** A swarm among its players. */
export class Play {
  readonly world: TestSwarm;
  readonly players: Player[] = [];
  /** Who sent the bad blocks that were stored, by piece and block; 'good' for the others. */
  readonly #digests = new Map<number, string[]>();

  constructor(world: TestSwarm) {
    this.world = world;
  }

  get now(): number {
    return this.world.clock.time;
  }

  join(identity: string, act: Player['act'], options: Parameters<TestSwarm['connect']>[0] = {}): Player {
    const peer = this.world.connect({ pieces: 'all', identity, ...options });
    const player = { ...peer, identity, act, given: 0 };
    this.players.push(player);
    return player;
  }

  /** Plays until the swarm is complete or the time is over. Returns the milliseconds it took. */
  run(mostMilliseconds: number): number {
    const { swarm, clock } = this.world;
    const begun = clock.time;
    while (!swarm.isComplete && clock.time - begun < mostMilliseconds) {
      clock.time += STEP_MILLISECONDS;
      for (const player of [...this.players]) {
        if (!player.neighbour.connected) continue;
        swarm.heard(player.neighbour, clock.time);
        player.act(player, this);
        this.#hash();
      }
      if (clock.time % 100 < STEP_MILLISECONDS) swarm.tick();
    }
    return clock.time - begun;
  }

  /** The peer gives what it was asked for at a place; false if there is nothing. */
  give(player: Player, place = 0, isBad = false): boolean {
    const [block] = player.link.wanted.splice(place, 1);
    if (block === undefined) return false;
    player.given++;
    this.send(player, block, isBad);
    return true;
  }

  /** The peer sends a block, asked for or not. */
  send({ neighbour, identity }: Player, block: [number, number, number], isBad = false): void {
    const { events, swarm } = this.world;
    const before = events.length;
    if (!neighbour.connected) return;
    const [piece, begin, length] = block;
    swarm.block(neighbour, piece, begin, length);
    if (!events.slice(before).includes(`store ${piece} ${begin}`)) return;
    const digests = this.#digests.get(piece) ?? [];
    digests[begin / BLOCK] = isBad ? `bad by ${identity}` : 'good';
    this.#digests.set(piece, digests);
  }

  #hash(): void {
    const { received, swarm } = this.world;
    for (const piece of received.splice(0)) {
      const digests = this.#digests.get(piece) ?? [];
      this.#digests.delete(piece);
      if (digests.every((digest) => digest === 'good')) swarm.pieceVerified(piece, digests);
      else swarm.pieceCorrupt(piece, digests);
    }
  }
}

/** Gives so many blocks in a step. */
export const gives =
  (blocks: number): Player['act'] =>
  (player, play) => {
    for (let i = 0; i < blocks; i++) if (!play.give(player)) return;
  };

export const rejectsAll = ({ link, neighbour }: Player, { world }: Play) => {
  for (let block = link.wanted.shift(); block !== undefined; block = link.wanted.shift())
    world.swarm.reject(neighbour, ...block);
};

/** True once in so many milliseconds. */
const every = (milliseconds: number, { now }: Play) => now % milliseconds < STEP_MILLISECONDS;

const isSuspectOf = (play: Play, piece: number) => play.world.swarm.picker.startedPiece(piece)?.exclusive;

/** The first block it gives of a piece that others have a part in is a bad one; it says what becomes of the piece then. */
function spoils(then: Player['act']): Player['act'] {
  return (player, play) => {
    const place = player.link.wanted.findIndex(([piece]) => !isSuspectOf(play, piece));
    if (place >= 0) {
      const [piece] = player.link.wanted[place] as [number, number, number];
      const started = play.world.swarm.picker.startedPiece(piece);
      // Alone with a piece it would be found out: it waits until somebody else gives a block of it.
      const isShared = started !== undefined && started.missing < started.blocks;
      play.give(player, place, isShared && play.world.swarm.picker.open.length === 0);
    }
    if (player.link.wanted.some(([piece]) => isSuspectOf(play, piece))) then(player, play);
  };
}

const chokesAndRejects: Player['act'] = (player, play) => {
  play.world.swarm.choke(player.neighbour);
  rejectsAll(player, play);
  play.world.swarm.unchoke(player.neighbour);
};

const chokesInSilence: Player['act'] = (player, play) => {
  play.world.swarm.choke(player.neighbour);
  play.world.swarm.unchoke(player.neighbour);
};

const losesIt: Player['act'] = ({ link, neighbour }, { world }) => {
  const pieces = new Set(link.wanted.map(([piece]) => piece));
  link.wanted = [];
  for (const piece of pieces) {
    world.swarm.lost(neighbour, piece);
    world.swarm.have(neighbour, piece);
  }
};

const dribbles: Player['act'] = (player, play) => {
  if (every(900, play)) play.give(player);
};

/** What a peer can do about a piece that it alone may give. */
export const EVASIONS: Readonly<Record<string, Player['act']>> = {
  'chokes and rejects': chokesAndRejects,
  'chokes and says no more': chokesInSilence,
  'rejects, and stays unchoking': rejectsAll,
  'has lost it': losesIt,
  'gives nothing': () => {},
  'gives a block now and then': dribbles,
};

/** Peers that do harm and stay. */
export const ADVERSARIES: Readonly<Record<string, Player['act']>> = {
  ...Object.fromEntries(Object.entries(EVASIONS).map(([name, act]) => [`spoils, ${name}`, spoils(act)])),
  'gives bad blocks': (player, play) => {
    play.give(player, 0, player.given % 2 === 0);
  },
  'rejects all': rejectsAll,
  'gives nothing': () => {},
  'gives a block now and then': dribbles,
  'chokes and unchokes': ({ neighbour }, play) => {
    if (every(20, play)) play.world.swarm.choke(neighbour);
    else play.world.swarm.unchoke(neighbour);
  },
  'loses pieces and gets them again': ({ link, neighbour }, { world, now }) => {
    const piece = (now / STEP_MILLISECONDS) % world.swarm.geometry.pieceCount;
    link.wanted = link.wanted.filter(([wanted]) => wanted !== piece);
    world.swarm.lost(neighbour, piece);
    world.swarm.have(neighbour, piece);
  },
  'answers what was taken back': (player, play) => {
    const late = player.link.takenBack.shift();
    if (late !== undefined && !player.link.wanted.some(([p, b]) => p === late[0] && b === late[1]))
      play.send(player, late);
  },
};
