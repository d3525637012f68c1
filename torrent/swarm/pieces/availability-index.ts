// Who has which piece: the bitfields of all peers, turned by a quarter. Invariants: bit s of a piece's words is set
// exactly if the peer in slot s is connected and its bitfield has the piece; a peer's `useful` and `pickable`
// agree with its bitfield and with what the picker holds and wants.
// Hot: what concerns the peers that have one piece looks at a word or two instead of at the bitfield of every peer.
import type { Bitfield } from '../../bitfield.ts';
import type { PeerAvailability } from './peer-availability.ts';
import type { PiecePicker } from './piece-picker.ts';

const BITS = 32;

/** A peer as the index holds it. */
export interface IndexedPeer {
  readonly availability: PeerAvailability;
}

/** Peers by piece. */
export class AvailabilityIndex<P extends IndexedPeer = IndexedPeer> {
  readonly #picker: PiecePicker;
  readonly #pieceCount: number;
  /** Words of one piece. */
  #words = 1;
  #bits: Int32Array;
  readonly #slots: (P | undefined)[] = [];
  /** Of the peers in #slots: a count of one piece looks at nothing else. */
  readonly #availabilities: (PeerAvailability | undefined)[] = [];

  constructor(picker: PiecePicker) {
    this.#picker = picker;
    this.#pieceCount = picker.have.length;
    this.#bits = new Int32Array(this.#pieceCount);
  }

  // What peers have

  /** Gives a peer that has nothing yet a slot: the lowest that is free. */
  enter(peer: P): void {
    let slot = this.#slots.indexOf(undefined);
    if (slot < 0) slot = this.#slots.length;
    this.#slots[slot] = peer;
    this.#availabilities[slot] = peer.availability;
    peer.availability.setSlot(slot);
    if (slot >= this.#words * BITS) this.#widen();
  }

  /** The peer is gone. */
  leave({ availability }: P): void {
    const { pieces, slot } = availability;
    this.#picker.peerGone(availability);
    for (let piece = pieces.nextSet(0); piece >= 0; piece = pieces.nextSet(piece + 1)) {
      this.#remove(slot, piece);
    }
    this.#slots[slot] = undefined;
    this.#availabilities[slot] = undefined;
  }

  /** The peer shows all that it has, for the first time. */
  shown({ availability }: P, pieces: Bitfield): void {
    const picker = this.#picker;
    availability.show(pieces);
    picker.peerHas(availability);
    let useful = 0;
    let pickable = 0;
    for (let piece = pieces.nextSet(0); piece >= 0; piece = pieces.nextSet(piece + 1)) {
      this.#add(availability.slot, piece);
      if (picker.isHeld(piece)) continue;
      useful++;
      if (picker.isWanted(piece)) pickable++;
    }
    availability.count(useful, pickable);
  }

  /** The peer has a piece. False if that was known. Hot. */
  got({ availability }: P, piece: number): boolean {
    if (!availability.gain(piece)) return false;
    const picker = this.#picker;
    this.#add(availability.slot, piece);
    picker.peerGot(piece, availability);
    if (!picker.isHeld(piece)) availability.count(1, picker.isWanted(piece) ? 1 : 0);
    return true;
  }

  /** The peer, which had the piece, has it no more. */
  lost({ availability }: P, piece: number): void {
    const picker = this.#picker;
    availability.lose(piece);
    this.#remove(availability.slot, piece);
    picker.peerLost(piece, availability);
    if (!picker.isHeld(piece)) availability.count(-1, picker.isWanted(piece) ? -1 : 0);
  }

  // What we have

  /** The piece is wanted no more: it is started. */
  started(piece: number): void {
    this.#count(piece, 0, -1);
  }

  /** The piece, which was started, is wanted again. */
  wantedAgain(piece: number): void {
    this.#count(piece, 0, 1);
  }

  /** We hold the piece, which was started. True if somebody has nothing more that we lack. */
  held(piece: number): boolean {
    let someUseless = false;
    for (let slot = this.next(piece, 0); slot >= 0; slot = this.next(piece, slot + 1)) {
      const availability = this.#availabilities[slot] as PeerAvailability;
      availability.count(-1, 0);
      if (availability.useful === 0) someUseless = true;
    }
    return someUseless;
  }

  /** We held the piece, and want it again. */
  missing(piece: number): void {
    this.#count(piece, 1, 1);
  }

  // Who has a piece

  /** The first slot ≥ `from` whose peer has the piece, or -1. Hot. */
  next(piece: number, from: number): number {
    const words = this.#words;
    let word = from >>> 5;
    if (word >= words) return -1;
    let bits = (this.#bits[piece * words + word] as number) & (-1 << (from & 31));
    while (bits === 0) {
      word++;
      if (word >= words) return -1;
      bits = this.#bits[piece * words + word] as number;
    }
    return word * BITS + (31 - Math.clz32(bits & -bits));
  }

  /** The peer in a slot that next() gave. */
  at(slot: number): P {
    return this.#slots[slot] as P;
  }

  #count(piece: number, useful: number, pickable: number): void {
    for (let slot = this.next(piece, 0); slot >= 0; slot = this.next(piece, slot + 1)) {
      (this.#availabilities[slot] as PeerAvailability).count(useful, pickable);
    }
  }

  #add(slot: number, piece: number): void {
    const at = piece * this.#words + (slot >>> 5);
    this.#bits[at] = (this.#bits[at] as number) | (1 << (slot & 31));
  }

  #remove(slot: number, piece: number): void {
    const at = piece * this.#words + (slot >>> 5);
    this.#bits[at] = (this.#bits[at] as number) & ~(1 << (slot & 31));
  }

  #widen(): void {
    const wide = new Int32Array(this.#pieceCount * (this.#words + 1));
    for (let piece = 0; piece < this.#pieceCount; piece++) {
      for (let word = 0; word < this.#words; word++) {
        wide[piece * (this.#words + 1) + word] = this.#bits[piece * this.#words + word] as number;
      }
    }
    this.#bits = wide;
    this.#words++;
  }
}
