// A swarm between links that write down what was said. Time stands still unless a test moves it.
import { Bitfield } from '../../../torrent/bitfield.ts';
import type { PeerLink, PieceMemory, SwarmHost } from '../../../torrent/swarm/host.ts';
import type { Peer as SwarmPeer } from '../../../torrent/swarm/peers/peer.ts';
import { POLICIES } from '../../../torrent/swarm/policy/policies.ts';
import type { PolicyName } from '../../../torrent/swarm/policy/policy.ts';
import { Swarm } from '../../../torrent/swarm/swarm.ts';

export const BLOCK = 16 * 1024;

/** One link as the swarm sees it. */
export class FakeLink implements PeerLink {
  /** Everything said, in order: `request 3 0 16384`, `choke`, … */
  readonly said: string[] = [];
  /** Requests that were neither answered nor taken back: [piece, begin, length]. */
  wanted: [number, number, number][] = [];
  /** Requests that were taken back and may be answered all the same. */
  takenBack: [number, number, number][] = [];
  /** Blocks handed over to be sent. */
  readonly sending: [number, number, number][] = [];
  closedBecause: string | undefined;
  pendingBytes = 0;

  choke = () => this.#say('choke');
  unchoke = () => this.#say('unchoke');
  interested = () => this.#say('interested');
  notInterested = () => this.#say('notInterested');
  haveAll = () => this.#say('haveAll');
  haveNone = () => this.#say('haveNone');
  keepAlive = () => this.#say('keepAlive');
  /** Speaks BEP 54. */
  knowsLosses = true;
  dontHave = (piece: number) => {
    if (this.knowsLosses) this.#say(`dontHave ${piece}`);
    return this.knowsLosses;
  };
  allowedFast = (piece: number) => this.#say(`allowedFast ${piece}`);
  suggest = (piece: number) => this.#say(`suggest ${piece}`);
  bitfield = (bits: Uint8Array) => this.#say(`bitfield ${Buffer.from(bits).toString('hex')}`);
  reject = (piece: number, begin: number, length: number) => this.#say(`reject ${piece} ${begin} ${length}`);

  haves(pieces: readonly number[]): void {
    for (const piece of pieces) this.#say(`have ${piece}`);
  }

  request(piece: number, begin: number, length: number): void {
    this.#say(`request ${piece} ${begin} ${length}`);
    this.wanted.push([piece, begin, length]);
  }

  cancel(piece: number, begin: number, length: number): void {
    this.#say(`cancel ${piece} ${begin} ${length}`);
    const at = this.wanted.findIndex(([p, b]) => p === piece && b === begin);
    if (at < 0) throw new Error(`cancel of ${piece} ${begin}, which was not asked for`);
    this.takenBack.push(...this.wanted.splice(at, 1));
  }

  sendBlock(piece: number, begin: number, length: number): void {
    this.pendingBytes += length;
    this.sending.push([piece, begin, length]);
  }

  close(reason: string): void {
    this.closedBecause = reason;
  }

  #say(words: string): void {
    if (this.closedBecause !== undefined) throw new Error(`said "${words}" after the end`);
    this.said.push(words);
  }
}

/** A peer and its link. */
export interface Peer {
  link: FakeLink;
  neighbour: SwarmPeer;
}

/** How a test's swarm is made. */
export interface SwarmSetup {
  pieces: number;
  /** Blocks of a piece; default 2. */
  blocksPerPiece?: number;
  /** Default 16 KiB. */
  blockBytes?: number;
  /** Bytes that the last piece is short of; default 100. */
  shortBy?: number;
  policy?: PolicyName;
  have?: number[];
  random?: () => number;
  paused?: boolean;
  infoHash?: Uint8Array;
  memory?: PieceMemory;
}

/** A swarm, its clock and what its host was told. */
export function makeSwarm(setup: SwarmSetup) {
  const clock = { time: 1000, monotonic: () => clock.time };
  const events: string[] = [];
  const received: number[] = [];
  const limits = { upload: Number.POSITIVE_INFINITY, download: Number.POSITIVE_INFINITY };
  const host: SwarmHost = {
    ...(setup.memory === undefined ? {} : { memory: setup.memory }),
    pieceDropped: (piece) => events.push(`dropped ${piece}`),
    completed: () => events.push('completed'),
    banned: (identity) => events.push(`banned ${identity}`),
    wakeForHaves: (milliseconds) => events.push(`wake within ${milliseconds}`),
    mayUpload: () => limits.upload > 0,
    spendUpload: (bytes) => {
      limits.upload -= bytes;
    },
    mayDownload: () => limits.download > 0,
    spendDownload: (bytes) => {
      limits.download -= bytes;
    },
    refundDownload: (bytes) => {
      limits.download += bytes;
    },
  };
  const { blockBytes = BLOCK } = setup;
  const pieceLength = (setup.blocksPerPiece ?? 2) * blockBytes;
  const have = new Bitfield(setup.pieces);
  for (const piece of setup.have ?? []) have.set(piece);
  const swarm = new Swarm({
    infoHash: setup.infoHash,
    pieceLength,
    totalBytes: setup.pieces * pieceLength - (setup.shortBy ?? 100),
    blockBytes,
    have,
    policy: POLICIES[setup.policy ?? 'classic'],
    clock,
    random: setup.random ?? (() => 0),
    host,
    paused: setup.paused,
  });
  const block = swarm.block.bind(swarm);
  swarm.block = (neighbour, piece, begin, length) => {
    const verdict = block(neighbour, piece, begin, length);
    if (verdict !== 'discard') events.push(`store ${piece} ${begin}`);
    if (verdict === 'finish') received.push(piece);
    return verdict;
  };
  let identities = 0;

  return {
    swarm,
    clock,
    events,
    /** Pieces whose blocks are all here and that wait for their hash. */
    received,
    limits,

    connect(
      options: { fast?: boolean; ownAgent?: boolean; identity?: string; pieces?: number[] | 'all' } = {},
    ): Peer {
      const link = new FakeLink();
      const neighbour = swarm.connect(link, {
        identity: options.identity ?? `10.0.0.${++identities}`,
        fast: options.fast ?? true,
      });
      if (options.ownAgent) {
        swarm.introduced(neighbour, { ownAgent: true, requestQueue: 2000, uploadOnly: false });
      }
      if (options.pieces === 'all') swarm.bitfield(neighbour, Bitfield.full(setup.pieces).toBytes());
      else if (options.pieces !== undefined) swarm.bitfield(neighbour, bitsOf(options.pieces, setup.pieces));
      return { link, neighbour };
    },

    /** The peer answers its oldest request; the clock moves on a little. */
    answer({ link, neighbour }: Peer): void {
      const [piece, begin, length] = link.wanted.shift() as [number, number, number];
      clock.time += 1;
      swarm.heard(neighbour, clock.time);
      swarm.block(neighbour, piece, begin, length);
    },

    /** Moves time in ticks. */
    pass(milliseconds: number): void {
      for (const end = clock.time + milliseconds; clock.time < end; ) {
        clock.time = Math.min(end, clock.time + 100);
        swarm.tick();
      }
    },
  };
}

export type TestSwarm = ReturnType<typeof makeSwarm>;

/** A bitfield message with these pieces. */
export function bitsOf(pieces: readonly number[], count: number): Buffer {
  const bitfield = new Bitfield(count);
  for (const piece of pieces) bitfield.set(piece);
  return bitfield.toBytes();
}
