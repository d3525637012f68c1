// Pieces that failed their hash with blocks of several peers: one peer alone gives such a piece next time, so that a
// hash that fails again names who did it. Invariants: the right to give a suspect piece goes round among the peers that
// can give it, longest waiting first; nobody keeps it who refuses, chokes, loses the piece or takes too long while
// somebody else could give it; the time for that doubles, so that an honest peer, however slow, has enough in the end.
import type { SwarmContext } from '../context.ts';
import type { PeerState } from '../peers/peer.ts';
import type { StartedPiece } from '../pieces/started-piece.ts';
import { FIRST_ATTEMPT_MILLISECONDS, MAX_KNOWN_IDENTITIES, MAX_SUSPECT_PIECES } from '../tunables.ts';

/** Of so many attempts of one peer the last is shared: two peers may have only parts of the piece (web seeds). */
const ATTEMPTS_UNTIL_SHARED = 3;

/** The time for an attempt doubles at most so often. */
const MAX_DOUBLINGS = 12;

/** What one peer did for one suspect piece. */
interface Attempts {
  count: number;
  /** When the last one began. */
  at: number;
}

/** The suspect pieces of one torrent. */
export class SuspectPieces {
  readonly #context: SwarmContext;
  /** Attempts by identity number, latest last; by piece, suspected longest first. */
  readonly #pieces = new Map<number, Map<number, Attempts>>();

  constructor(context: SwarmContext) {
    this.#context = context;
  }

  get size(): number {
    return this.#pieces.size;
  }

  has(piece: number): boolean {
    return this.#pieces.has(piece);
  }

  /** The piece failed its hash, and several peers had a part in it. */
  add(piece: number): void {
    if (this.#pieces.has(piece)) return;
    this.#pieces.set(piece, new Map());
    if (this.#pieces.size <= MAX_SUSPECT_PIECES) return;
    for (const oldest of this.#pieces.keys()) {
      // What is forgotten is fetched like any other piece, and suspect again if it fails again.
      if (this.#context.picker.startedPiece(oldest)?.exclusive) continue;
      this.#pieces.delete(oldest);
      return;
    }
  }

  /** The piece is held. */
  settled(piece: number): void {
    this.#pieces.delete(piece);
  }

  /** A suspect piece that the peer is to start now, or -1: it is its turn. */
  next(peer: PeerState, now: number): number {
    const { picker } = this.#context;
    for (const piece of this.#pieces.keys()) {
      if (!picker.isWanted(piece) || !this.#mayGive(peer, piece, now)) continue;
      if (this.#isTurnOf(peer, piece, now)) return piece;
    }
    return -1;
  }

  /** The peer starts a suspect piece: true if it alone may give it. */
  begin(peer: PeerState, piece: number, now: number): boolean {
    const all = this.#pieces.get(piece);
    if (all === undefined) return false;
    const count = (all.get(peer.identityNumber)?.count ?? 0) + 1;
    all.delete(peer.identityNumber);
    all.set(peer.identityNumber, { count, at: now });
    if (all.size > MAX_KNOWN_IDENTITIES) for (const oldest of all.keys()) return all.delete(oldest);
    return count % ATTEMPTS_UNTIL_SHARED !== 0;
  }

  /** Pieces whose starter has had its time, while another peer could give them. */
  overdue(now: number): StartedPiece[] {
    const { peers, picker } = this.#context;
    const overdue: StartedPiece[] = [];
    for (const piece of this.#pieces.keys()) {
      const started = picker.startedPiece(piece);
      if (started === undefined || !started.exclusive) continue;
      const starter = peers.find(({ number }) => number === started.starter);
      if (starter !== undefined && !this.#isLate(starter, piece, now)) continue;
      if (peers.some((other) => other !== starter && this.#canTakeOver(other, piece, now)))
        overdue.push(started);
    }
    return overdue;
  }

  #isLate({ identityNumber }: PeerState, piece: number, now: number): boolean {
    const attempts = this.#pieces.get(piece)?.get(identityNumber);
    if (attempts === undefined) return true;
    const doublings = Math.min(attempts.count - 1, MAX_DOUBLINGS);
    return now - attempts.at > FIRST_ATTEMPT_MILLISECONDS * 2 ** doublings;
  }

  /** True if nobody else who could give the piece has waited longer for it. */
  #isTurnOf(peer: PeerState, piece: number, now: number): boolean {
    const mayWait = peer.download.isSnubbed || this.#isBusy(peer);
    for (const other of this.#context.peers) {
      if (other === peer || !this.#canTakeOver(other, piece, now)) continue;
      if (mayWait || this.#comesBefore(other, peer, piece)) return false;
    }
    return true;
  }

  /** Whose last attempt is longer ago; who comes anew comes last. */
  #comesBefore(one: PeerState, other: PeerState, piece: number): boolean {
    const attempts = this.#pieces.get(piece);
    const [ofOne, ofOther] = [attempts?.get(one.identityNumber), attempts?.get(other.identityNumber)];
    const waits = (ofOne?.at ?? one.connectedAt) - (ofOther?.at ?? other.connectedAt);
    if (waits !== 0) return waits < 0;
    const times = (ofOne?.count ?? 0) - (ofOther?.count ?? 0);
    return times === 0 ? one.number < other.number : times < 0;
  }

  #canTakeOver(other: PeerState, piece: number, now: number): boolean {
    return !other.download.isSnubbed && this.#mayGive(other, piece, now) && !this.#isBusy(other);
  }

  /** The peer lets us ask it for the piece now. */
  #mayGive(peer: PeerState, piece: number, now: number): boolean {
    if (peer.download.rests(now) || !peer.pieces.get(piece)) return false;
    return !peer.peerChoking || peer.download.allowedFast.includes(piece);
  }

  /** The peer has another suspect piece to give. */
  #isBusy({ number }: PeerState): boolean {
    for (const piece of this.#pieces.keys()) {
      const started = this.#context.picker.startedPiece(piece);
      if (started?.exclusive && started.starter === number) return true;
    }
    return false;
  }
}
