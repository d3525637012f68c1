// What the swarm knows of one connected peer. Invariant: plain state; the modules that own a field are the only
// ones to write it: membership and interest (swarm.ts), its slot (holders.ts), requests to the peer (requester.ts), requests of the
// peer (uplink.ts), chokes (choker.ts), suggestions (direction.ts).
import { Bitfield } from '../bitfield.ts';
import { DEFAULT_REQUEST_QUEUE } from '../wire/extension.ts';
import type { PeerLink } from './host.ts';
import { classicPolicy } from './policy/classic.ts';
import type { Policy } from './policy/policy.ts';
import { OutstandingBlocks, RequestQueue } from './request-queues.ts';
import { RequestWindow } from './request-window.ts';
import { SuggestedPieces } from './suggested-pieces.ts';
import { TransferRate } from './transfer-rate.ts';
import { RATE_WINDOW_MILLISECONDS } from './tunables.ts';

/** How a peer came. */
export interface Introduction {
  /** Whom a ban would hit: the peer's host. */
  identity: string;
  /** Both sides speak BEP 6. */
  fast: boolean;
}

/** Which piece comes next of a peer that is asked for pieces in their order. */
export interface ReadingOrder {
  /** Behind the piece that was begun last; -1 before the first. */
  next: number;
  /** Where its next piece is taken, it goes on with the first one that is wanted, and not anywhere. */
  readonly fromStart: boolean;
}

/** One connected peer. */
export class Neighbour {
  /** Unique in its swarm, never given again. */
  readonly number: number;
  readonly link: PeerLink;
  readonly identity: string;
  /** The same for all connections of one identity. */
  readonly identityNumber: number;
  readonly fast: boolean;
  readonly connectedAt: number;
  /** What it has. */
  pieces: Bitfield;
  /** How many of these it has, in sixteenths. */
  sixteenths = 0;
  /** Its place in Holders. */
  slot = -1;

  connected = true;
  ownAgent = false;
  /** What it meets: until it is known for an own agent, what everybody meets. */
  policy: Policy = classicPolicy;
  /** Requests that we let wait at it: fewer than it allows (BEP 10 `reqq`). */
  requestQueue = DEFAULT_REQUEST_QUEUE;
  /** It wants nothing, whatever it lacks (BEP 21). */
  uploadOnly = false;
  piecesShown = false;
  /** It is counted among those who have every piece, and not piece by piece (PiecePicker). */
  isCountedAsSeed = false;
  /** Pieces that it lost lately, when the last one was, and whether there was any. */
  lostPieces = 0;
  lostAt = 0;
  hasLostPieces = false;
  peerChoking = true;
  peerInterested = false;
  amInterested = false;
  /** Pieces it has and we do not hold. */
  useful = 0;
  /** Of those, the ones nobody was asked for yet. */
  pickable = 0;
  /** Whole milliseconds, which are stored without an allocation: written for every message. */
  heardAt: number;
  /** When it was told something of its own; Swarm knows when all were told the same. */
  spokeAt: number;
  idleMessages = 0;
  idleSince: number;

  // Requests to it
  /** Set for one that gives pieces in their order for less than others (a web server). */
  inOrder: ReadingOrder | undefined;
  readonly outstanding = new OutstandingBlocks();
  /** How many should be outstanding. */
  readonly window = new RequestWindow();
  /** Since when nothing came though something is outstanding. */
  waitingSince = 0;
  /** When it last gave us a block, or leave to ask. */
  gaveAt = 0;
  /** It has not given what it was asked for in time, nor anything since. */
  stalled = false;
  /** It is asked for nothing before this time. */
  restsUntil = 0;
  /** Blocks whose request was taken back and that may come all the same. */
  takenBack = 0;
  unsolicited = 0;
  readonly receiveRate = new TransferRate(RATE_WINDOW_MILLISECONDS);
  downloadedBytes = 0;
  /** Pieces it suggested, first come first. */
  readonly suggestions: number[] = [];
  /** When it last suggested something, or we acted on that: it suggests the next then. */
  suggestedAt = Number.NEGATIVE_INFINITY;
  /** Pieces it lets us ask for while it chokes us (BEP 6). */
  readonly allowedFast: number[] = [];

  // Requests of it
  readonly requests = new RequestQueue();
  /** Pieces we let it ask for while we choke it, and the bytes of them that it may still have so. */
  granted: readonly number[] = [];
  grantedBytes = 0;
  servedAt = 0;
  /** The piece of the last block that was handed to its link; -1 once as much as the whole piece was. */
  servedPiece = -1;
  /** What was handed of that piece in one go. */
  servedPieceBytes = 0;
  /** Its place among those who wait; -1 if it does not wait. */
  waitingAt = -1;
  /** What was handed to its link and has not left, since when nothing left, and whether that is long ago. */
  handedBytes = 0;
  leftAt = 0;
  isStuck = false;
  readonly sendRate = new TransferRate(RATE_WINDOW_MILLISECONDS);
  uploadedBytes = 0;
  /** What it had when it came, or had been sent before. */
  broughtBytes = 0;
  /** What it must have by that and by what it was sent since, in sixteenths of all. */
  servedSixteenths = 0;

  // Chokes
  amChoking = true;
  optimistic = false;
  /** Bytes of this choker round and the two before. */
  readonly receivedInRounds = [0, 0, 0];
  readonly sentInRounds = [0, 0, 0];

  // Suggestions to it
  readonly suggested = new SuggestedPieces();

  constructor(
    number: number,
    link: PeerLink,
    introduction: Introduction,
    identityNumber: number,
    pieceCount: number,
    now: number,
  ) {
    this.number = number;
    this.link = link;
    this.identity = introduction.identity;
    this.identityNumber = identityNumber;
    this.fast = introduction.fast;
    this.connectedAt = now;
    this.heardAt = Math.trunc(now);
    this.spokeAt = now;
    this.idleSince = now;
    this.pieces = new Bitfield(pieceCount);
  }

  /** How much it has, in sixteenths: what it says, and at least what it was sent, whatever it says. */
  get progress(): number {
    return Math.max(this.sixteenths, this.servedSixteenths);
  }

  /** True if it has every piece. */
  get isSeed(): boolean {
    return this.pieces.isFull;
  }
}
