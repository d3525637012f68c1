// One simulated node: the product's swarm core between virtual links. Invariants: an uplink sends one block at a
// time and takes its links in turn; a downlink receives in order of arrival; a message arrives after the delay,
// and nothing arrives over a link that has ended.
import type { Stopwatch } from '../base/index.ts';
import { Bitfield } from '../torrent/bitfield.ts';
import type { PeerLink, SwarmHost } from '../torrent/swarm/host.ts';
import type { Peer } from '../torrent/swarm/peers/peer.ts';
import type { Policy } from '../torrent/swarm/policy/policy.ts';
import { Swarm } from '../torrent/swarm/swarm.ts';
import { RequestQueue } from '../torrent/swarm/upload/request-queue.ts';
import type { EventQueue } from './event-queue.ts';

/** Kinds of events. Messages carry the names of the wire. */
export const EVENT = {
  connect: 0,
  introduce: 1,
  choke: 2,
  unchoke: 3,
  interested: 4,
  notInterested: 5,
  haves: 6,
  bitfield: 7,
  haveAll: 8,
  haveNone: 9,
  request: 10,
  cancel: 11,
  reject: 12,
  suggest: 13,
  keepAlive: 14,
  block: 15,
  closed: 16,
  sent: 17,
  verified: 18,
  flush: 19,
  tick: 20,
  join: 21,
  leave: 22,
  spread: 23,
  sample: 24,
  crossed: 25,
} as const;

/** What happens to what. */
export type SimulatedQueue = EventQueue<SimulatedNode | SimulatedLink>;

/** The same for all nodes of a simulation. */
export interface Surroundings {
  readonly queue: SimulatedQueue;
  readonly clock: Stopwatch;
  readonly random: () => number;
  readonly policy: Policy;
  readonly pieceLength: number;
  readonly totalBytes: number;
  readonly blockBytes: number;
  /** One way, in milliseconds. */
  readonly delayMilliseconds: number;
  /** What a link's delay may be more than that; each link draws its own. */
  readonly delaySpreadMilliseconds: number;
  /** From the last block of a piece to its HAVE. */
  readonly hashMilliseconds: number;
  /** How many zones there are; nodes are dealt out to them by number. */
  readonly zones: number;
  /** Of each zone, its line to all others, in bytes per millisecond; infinite if it holds nothing up. */
  readonly zoneUplink: number;
  /** When each zone's line has sent what it was given. */
  readonly zoneUplinkFreeAt: Float64Array;
  completed(node: SimulatedNode): void;
}

/** A node with its own uplink and downlink, in bytes per millisecond. */
export class SimulatedNode {
  readonly number: number;
  readonly zone: number;
  readonly swarm: Swarm;
  readonly links: SimulatedLink[] = [];
  /** The other ends of the links. */
  readonly farEnds: SimulatedLink[] = [];
  readonly uplink: number;
  readonly downlink: number;
  readonly around: Surroundings;
  present = false;
  completedAt = -1;
  sentBytes = 0;
  /** Of those, what went to other zones. */
  crossZoneBytes = 0;
  downlinkFreeAt = 0;
  readonly #waiting: SimulatedLink[] = [];
  #isSending = false;

  constructor(number: number, isSeed: boolean, uplink: number, downlink: number, around: Surroundings) {
    this.number = number;
    this.zone = number % around.zones;
    this.uplink = uplink;
    this.downlink = downlink;
    this.around = around;
    const pieces = Math.ceil(around.totalBytes / around.pieceLength);
    this.swarm = new Swarm({
      pieceLength: around.pieceLength,
      totalBytes: around.totalBytes,
      blockBytes: around.blockBytes,
      have: isSeed ? Bitfield.full(pieces) : new Bitfield(pieces),
      policy: around.policy,
      clock: around.clock,
      random: around.random,
      host: this.#host(),
    });
    if (isSeed) this.completedAt = 0;
  }

  /**
   * HAVEs go to all peers at once: one event for all of them, which is a thirtieth of the events of a large
   * simulation. A link that came meanwhile hears what its bitfield said already, which does no harm.
   */
  #spreadHaves(pieces: readonly number[]): void {
    const { clock, delayMilliseconds, queue } = this.around;
    queue.push(clock.monotonic() + delayMilliseconds, this, EVENT.spread, 0, 0, 0, pieces);
  }

  /** The HAVEs arrive. Hot. */
  spread(pieces: readonly number[]): void {
    for (let i = 0; i < this.farEnds.length; i++) {
      const end = this.farEnds[i] as SimulatedLink;
      if (end.peer !== undefined && !end.isClosed) end.hearHaves(pieces);
    }
  }

  /** A link has blocks to send. */
  wantsUplink(link: SimulatedLink): void {
    this.#waiting.push(link);
    this.#sendNext();
  }

  /** The block that was being sent has left. */
  sent(link: SimulatedLink): void {
    this.#isSending = false;
    link.sent();
    if (!link.isClosed && link.blocks.size > 0) this.#waiting.push(link);
    this.#sendNext();
  }

  /** All of a piece has come. */
  hash(piece: number): void {
    const { clock, hashMilliseconds, queue } = this.around;
    queue.push(clock.monotonic() + hashMilliseconds, this, EVENT.verified, piece);
  }

  #sendNext(): void {
    while (!this.#isSending && this.#waiting.length > 0) {
      const link = this.#waiting.shift() as SimulatedLink;
      if (link.isClosed || link.blocks.size === 0) continue;
      this.#isSending = true;
      const { clock, queue } = this.around;
      queue.push(clock.monotonic() + link.blocks.firstLength / this.uplink, link, EVENT.sent);
    }
  }

  #host(): SwarmHost {
    const { around } = this;
    return {
      pieceDropped: () => undefined,
      completed: () => {
        this.completedAt = around.clock.monotonic();
        around.completed(this);
      },
      banned: () => undefined,
      // The engine does so at the end of a turn of its loop, long before it must.
      wakeForHaves: () => around.queue.push(around.clock.monotonic() + 1, this, EVENT.flush),
      tellAll: (pieces) => {
        if (around.delaySpreadMilliseconds > 0) return false;
        this.#spreadHaves(pieces);
        return true;
      },
      mayUpload: () => true,
      spendUpload: () => undefined,
      mayDownload: () => true,
      spendDownload: () => undefined,
      refundDownload: () => undefined,
    };
  }
}

/** One end of a connection. */
export class SimulatedLink implements PeerLink {
  readonly node: SimulatedNode;
  other!: SimulatedLink;
  peer: Peer | undefined;
  isClosed = false;
  pendingBytes = 0;
  /** Blocks that were handed over and have not left. */
  readonly blocks = new RequestQueue();
  /** One way, in milliseconds. */
  readonly #delay: number;

  constructor(node: SimulatedNode, delay: number) {
    this.node = node;
    this.#delay = delay;
  }

  /** Two ends of one connection. */
  static pair(a: SimulatedNode, b: SimulatedNode): void {
    const { delayMilliseconds, delaySpreadMilliseconds, random } = a.around;
    const delay =
      delaySpreadMilliseconds === 0
        ? delayMilliseconds
        : delayMilliseconds + random() * delaySpreadMilliseconds;
    const atA = new SimulatedLink(a, delay);
    const atB = new SimulatedLink(b, delay);
    atA.other = atB;
    atB.other = atA;
    a.links.push(atA);
    a.farEnds.push(atB);
    b.links.push(atB);
    b.farEnds.push(atA);
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#send(EVENT.closed);
  }

  choke(): void {
    this.#send(EVENT.choke);
  }

  unchoke(): void {
    this.#send(EVENT.unchoke);
  }

  interested(): void {
    this.#send(EVENT.interested);
  }

  notInterested(): void {
    this.#send(EVENT.notInterested);
  }

  haves(pieces: readonly number[]): void {
    this.#send(EVENT.haves, 0, 0, 0, pieces);
  }

  /** The node over there has more pieces. Hot. */
  hearHaves(pieces: readonly number[]): void {
    const { swarm } = this.node;
    const peer = this.peer as Peer;
    swarm.heard(peer, this.node.around.clock.monotonic());
    for (let i = 0; i < pieces.length; i++) swarm.have(peer, pieces[i] as number);
  }

  bitfield(bits: Uint8Array): void {
    this.#send(EVENT.bitfield, 0, 0, 0, Uint8Array.from(bits));
  }

  haveAll(): void {
    this.#send(EVENT.haveAll);
  }

  haveNone(): void {
    this.#send(EVENT.haveNone);
  }

  request(piece: number, begin: number, length: number): void {
    this.#send(EVENT.request, piece, begin, length);
  }

  cancel(piece: number, begin: number, length: number): void {
    this.#send(EVENT.cancel, piece, begin, length);
  }

  reject(piece: number, begin: number, length: number): void {
    this.#send(EVENT.reject, piece, begin, length);
  }

  allowedFast(): void {}

  suggest(piece: number): void {
    this.#send(EVENT.suggest, piece);
  }

  keepAlive(): void {
    this.#send(EVENT.keepAlive);
  }

  /** Nothing is lost in a simulation. */
  dontHave(): boolean {
    return false;
  }

  sendBlock(piece: number, begin: number, length: number): void {
    this.pendingBytes += length;
    this.blocks.push(piece, begin, length);
    if (this.blocks.size === 1) this.node.wantsUplink(this);
  }

  /** The first block has left: it arrives when the downlink over there has room for it. */
  sent(): void {
    const { firstPiece: piece, firstBegin: begin, firstLength: length } = this.blocks;
    this.blocks.shift();
    this.pendingBytes -= length;
    this.node.sentBytes += length;
    if (this.node.zone === this.other.node.zone) this.other.arrive(piece, begin, length);
    else this.#cross(piece, begin, length);
    if (this.peer !== undefined && !this.isClosed) this.node.swarm.uploaded(this.peer, length);
  }

  /** A block comes to this end: it is there when the downlink has room for it. Hot. */
  arrive(piece: number, begin: number, length: number): void {
    const { downlink, downlinkFreeAt, around } = this.node;
    const arrival = Math.max(around.clock.monotonic() + this.#delay, downlinkFreeAt + length / downlink);
    this.node.downlinkFreeAt = arrival;
    around.queue.push(arrival, this, EVENT.block, piece, begin, length);
  }

  /** The first step of a block to another zone: over the line that all of its zone share. */
  #cross(piece: number, begin: number, length: number): void {
    const { zone, around } = this.node;
    this.node.crossZoneBytes += length;
    if (around.zoneUplink === Number.POSITIVE_INFINITY) {
      this.other.arrive(piece, begin, length);
      return;
    }
    const freeAt = around.zoneUplinkFreeAt[zone] as number;
    const crossed = Math.max(around.clock.monotonic(), freeAt) + length / around.zoneUplink;
    around.zoneUplinkFreeAt[zone] = crossed;
    around.queue.push(crossed, this.other, EVENT.crossed, piece, begin, length);
  }

  /** Tells the node's swarm what has come over this link. */
  receive(kind: number, a: number, b: number, c: number, extra: unknown): void {
    const { swarm } = this.node;
    if (kind === EVENT.connect) {
      this.peer = swarm.connect(this, { identity: String(this.other.node.number), fast: true });
      this.#send(EVENT.introduce);
      return;
    }
    const { peer } = this;
    if (peer === undefined || this.isClosed) return;
    swarm.heard(peer, this.node.around.clock.monotonic());
    switch (kind) {
      case EVENT.introduce:
        swarm.introduced(peer, { ownAgent: true, requestQueue: 2000, uploadOnly: undefined });
        break;
      case EVENT.choke:
        swarm.choke(peer);
        break;
      case EVENT.unchoke:
        swarm.unchoke(peer);
        break;
      case EVENT.interested:
        swarm.interested(peer);
        break;
      case EVENT.notInterested:
        swarm.notInterested(peer);
        break;
      case EVENT.haves:
        this.hearHaves(extra as readonly number[]);
        break;
      case EVENT.bitfield:
        swarm.bitfield(peer, extra as Uint8Array);
        break;
      case EVENT.haveAll:
        swarm.haveAll(peer);
        break;
      case EVENT.haveNone:
        swarm.haveNone(peer);
        break;
      case EVENT.request:
        swarm.request(peer, a, b, c);
        swarm.settle();
        break;
      case EVENT.cancel:
        swarm.cancel(peer, a, b, c);
        break;
      case EVENT.reject:
        swarm.reject(peer, a, b, c);
        break;
      case EVENT.suggest:
        swarm.suggest(peer, a);
        break;
      case EVENT.keepAlive:
        swarm.keepAlive(peer);
        break;
      case EVENT.block:
        if (swarm.block(peer, a, b, c) === 'finish') this.node.hash(a);
        break;
      case EVENT.closed:
        this.isClosed = true;
        swarm.disconnected(peer);
        break;
    }
  }

  #send(kind: number, a = 0, b = 0, c = 0, extra?: unknown): void {
    const { clock, queue } = this.node.around;
    queue.push(clock.monotonic() + this.#delay, this.other, kind, a, b, c, extra);
  }
}
