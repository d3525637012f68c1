// One connected peer, made of parts. Invariants: each part has one owner, which alone sees the class that changes it:
// download belongs to the requester, upload to the upload scheduler, choke to the choker, availability to its index,
// suggested to the super-seeding suggester. All other modules see a PeerState, where nothing can be changed, so that the
// compiler refuses a write from the wrong room. What is in no part (membership and interest) is the swarm's.
import { Bitfield } from '../../bitfield.ts';
import { DEFAULT_REQUEST_QUEUE } from '../../wire/extension.ts';
import { type DownloadState, PeerDownload } from '../download/peer-download.ts';
import type { PeerLink } from '../host.ts';
import type { Geometry } from '../pieces/geometry.ts';
import { type AvailabilityState, PeerAvailability } from '../pieces/peer-availability.ts';
import { classicPolicy } from '../policy/classic.ts';
import type { Policy } from '../policy/policy.ts';
import { type ChokeState, PeerChoke } from '../upload/peer-choke.ts';
import { PeerUpload, type UploadState } from '../upload/peer-upload.ts';
import { SuggestedPieces } from '../upload/suggested-pieces.ts';
import { FloodGuard } from './flood-guard.ts';

/** How a peer came. */
export interface Introduction {
  /** Whom a ban would hit: the peer's host. */
  identity: string;
  /** Both sides speak BEP 6. */
  fast: boolean;
}

/** What a peer says of itself in its extension handshake (BEP 10). */
export interface SelfDescription {
  ownAgent: boolean;
  requestQueue: number | undefined;
  uploadOnly: boolean | undefined;
}

/** A peer as everybody may see it. */
export interface PeerState {
  /** Unique in its swarm, never given again. */
  readonly number: number;
  readonly link: PeerLink;
  readonly identity: string;
  /** The same for all connections of one identity. */
  readonly identityNumber: number;
  readonly fast: boolean;
  readonly connectedAt: number;
  readonly connected: boolean;
  readonly ownAgent: boolean;
  /** What it meets: until it is known for an own agent, what everybody meets. */
  readonly policy: Policy;
  /** Requests that we let wait at it: fewer than it allows (BEP 10 `reqq`). */
  readonly requestQueue: number;
  /** It wants nothing, whatever it lacks (BEP 21). */
  readonly uploadOnly: boolean;
  readonly peerChoking: boolean;
  readonly peerInterested: boolean;
  readonly amInterested: boolean;
  /** When it last said anything. */
  readonly heardAt: number;
  /** What it has. Read only. */
  readonly pieces: Bitfield;
  /** True if it has every piece. */
  readonly isSeed: boolean;
  /** How much it has, in sixteenths: what it says, and at least what it was sent, whatever it says. */
  readonly progress: number;
  readonly download: DownloadState;
  readonly upload: UploadState;
  readonly choke: ChokeState;
  readonly availability: AvailabilityState;
}

/** A peer as the requester holds it. */
export type DownloadPeer = PeerState & { readonly download: PeerDownload };

/** A peer as the upload scheduler holds it. */
export type UploadPeer = PeerState & { readonly upload: PeerUpload };

/** A peer as the choker holds it. */
export type ChokePeer = PeerState & { readonly choke: PeerChoke };

/** A peer as the super-seeding suggester holds it. */
export type SuggestedPeer = PeerState & { readonly suggested: SuggestedPieces };

/** One connected peer, as the swarm holds it. */
export class Peer extends PeerAvailability implements PeerState {
  // What every HAVE and every block looks at comes first, so that it lies together in memory.
  readonly download = new PeerDownload();
  /** Whole milliseconds, which are stored without an allocation: written for every message. */
  #heardAt: number;
  #connected = true;
  #peerChoking = true;
  #amInterested = false;
  #requestQueue = DEFAULT_REQUEST_QUEUE;
  #policy: Policy = classicPolicy;
  readonly upload: PeerUpload;
  readonly link: PeerLink;
  #ownAgent = false;
  readonly number: number;
  readonly identityNumber: number;
  readonly fast: boolean;
  readonly choke = new PeerChoke();
  readonly suggested = new SuggestedPieces();
  readonly flood: FloodGuard;
  readonly identity: string;
  readonly connectedAt: number;
  #spokeAt: number;
  #uploadOnly = false;
  #peerInterested = false;

  constructor(
    number: number,
    link: PeerLink,
    introduction: Introduction,
    identityNumber: number,
    geometry: Geometry,
    now: number,
  ) {
    super(new Bitfield(geometry.pieceCount));
    this.number = number;
    this.link = link;
    this.identity = introduction.identity;
    this.identityNumber = identityNumber;
    this.fast = introduction.fast;
    this.connectedAt = now;
    this.upload = new PeerUpload(geometry.totalBytes);
    this.flood = new FloodGuard(now);
    this.#heardAt = Math.trunc(now);
    this.#spokeAt = now;
  }

  /** One object with the peer: every HAVE of every peer looks at both, and a second one would be a second cache miss. */
  get availability(): PeerAvailability {
    return this;
  }

  get connected(): boolean {
    return this.#connected;
  }

  get ownAgent(): boolean {
    return this.#ownAgent;
  }

  get policy(): Policy {
    return this.#policy;
  }

  get requestQueue(): number {
    return this.#requestQueue;
  }

  get uploadOnly(): boolean {
    return this.#uploadOnly;
  }

  get peerChoking(): boolean {
    return this.#peerChoking;
  }

  get peerInterested(): boolean {
    return this.#peerInterested;
  }

  get amInterested(): boolean {
    return this.#amInterested;
  }

  get heardAt(): number {
    return this.#heardAt;
  }

  /** When it was told something of its own; Swarm knows when all were told the same. */
  get spokeAt(): number {
    return this.#spokeAt;
  }

  get progress(): number {
    return Math.max(this.sixteenths, this.upload.servedSixteenths);
  }

  get isSeed(): boolean {
    return this.pieces.isFull;
  }

  /** It is gone. */
  leave(): void {
    this.#connected = false;
  }

  /** It says what it is; `policy` is what it meets from here on. */
  describe(said: SelfDescription, policy: Policy): void {
    this.#ownAgent = said.ownAgent;
    this.#policy = policy;
    // transmission drops the request that fills its queue, without a word: the last place stays free.
    if (said.requestQueue !== undefined) this.#requestQueue = Math.max(1, said.requestQueue - 1);
    if (said.uploadOnly !== undefined) this.#uploadOnly = said.uploadOnly;
  }

  hear(now: number): void {
    this.#heardAt = Math.trunc(now);
  }

  speak(now: number): void {
    this.#spokeAt = now;
  }

  setPeerChoking(isChoking: boolean): void {
    this.#peerChoking = isChoking;
  }

  setPeerInterested(isInterested: boolean): void {
    this.#peerInterested = isInterested;
  }

  setInterested(isInterested: boolean): void {
    this.#amInterested = isInterested;
  }
}
