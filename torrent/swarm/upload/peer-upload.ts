// What one peer asks of us. Invariant: the upload scheduler alone holds it as PeerUpload and changes it; everybody else
// sees UploadState, which has nothing that changes.
// Hot: hand(), noteServed() and left() once a block; they allocate nothing.

import { TransferRate } from '../transfer-rate.ts';
import { RATE_WINDOW_MILLISECONDS } from '../tunables.ts';
import { RequestQueue } from './request-queue.ts';

/** What everybody may know of what a peer asks of us. */
export interface UploadState {
  /** Requests that wait, in order of arrival. */
  readonly requests: { readonly size: number; readonly firstPiece: number };
  /** Pieces that we let it ask for while we choke it (BEP 6). */
  readonly allowedFast: readonly number[];
  /** The number of its last turn. */
  readonly servedAt: number;
  /** The piece of the last block that was handed to its link; -1 once as much as the whole piece was. */
  readonly servedPiece: number;
  /** What it must have by what it brought and by what it was sent since, in sixteenths of all. */
  readonly servedSixteenths: number;
  /** What was handed to its link and has not left. */
  readonly handedBytes: number;
  readonly uploadedBytes: number;
  /** What it had when it came, or had been sent before. */
  readonly broughtBytes: number;
  /** Bytes per millisecond that leave. */
  rate(now: number): number;
}

/** Requests of one peer. */
export class PeerUpload implements UploadState {
  readonly requests = new RequestQueue();
  #servedSixteenths = 0;
  #servedAt = 0;
  #servedPiece = -1;
  /** What was handed of that piece in one go. */
  #servedPieceBytes = 0;
  #waitingAt = -1;
  readonly #totalBytes: number;
  readonly #rate = new TransferRate(RATE_WINDOW_MILLISECONDS);
  #allowedFast: readonly number[] = [];
  /** Bytes of these that it may still have while it is choked. */
  #allowedBytes = 0;
  #handedBytes = 0;
  #leftAt = 0;
  #isStuck = false;
  #uploadedBytes = 0;
  #broughtBytes = 0;

  /** @param totalBytes of the torrent */
  constructor(totalBytes: number) {
    this.#totalBytes = totalBytes;
  }

  get allowedFast(): readonly number[] {
    return this.#allowedFast;
  }

  get servedAt(): number {
    return this.#servedAt;
  }

  get servedPiece(): number {
    return this.#servedPiece;
  }

  get servedSixteenths(): number {
    return this.#servedSixteenths;
  }

  /** Its place among those who wait; -1 if it does not wait. */
  get waitingAt(): number {
    return this.#waitingAt;
  }

  get handedBytes(): number {
    return this.#handedBytes;
  }

  /** When something left last, or was handed to an idle link. */
  get leftAt(): number {
    return this.#leftAt;
  }

  /** Nothing has left for long. */
  get isStuck(): boolean {
    return this.#isStuck;
  }

  get uploadedBytes(): number {
    return this.#uploadedBytes;
  }

  get broughtBytes(): number {
    return this.#broughtBytes;
  }

  rate(now: number): number {
    return this.#rate.perMillisecond(now);
  }

  /** Lets it ask for these pieces while it is choked, up to so many bytes. */
  allow(pieces: readonly number[], bytes: number): void {
    this.#allowedFast = pieces;
    this.#allowedBytes = bytes;
  }

  /** It is to have so much of what it may have while it is choked. False if that is used up. */
  spendAllowed(bytes: number): boolean {
    if (this.#allowedBytes < bytes) return false;
    this.#allowedBytes -= bytes;
    return true;
  }

  waitAt(place: number): void {
    this.#waitingAt = place;
  }

  /** Its turn of this number begins. */
  beginTurn(turn: number): void {
    this.#servedAt = turn;
  }

  /** Bytes of a block are handed to its link. */
  hand(bytes: number, now: number): void {
    if (this.#handedBytes === 0) this.#leftAt = now;
    this.#handedBytes += bytes;
  }

  /** Whoever asks for one piece again and again goes on with it for no longer than others do. */
  noteServed(piece: number, bytes: number, pieceLength: number): void {
    const before = piece === this.#servedPiece ? this.#servedPieceBytes : 0;
    this.#servedPieceBytes = before + bytes;
    this.#servedPiece = this.#servedPieceBytes >= pieceLength ? -1 : piece;
  }

  /** Bytes of a block have left. */
  left(bytes: number, now: number): void {
    this.#isStuck = false;
    this.#handedBytes -= bytes;
    this.#leftAt = now;
    this.#uploadedBytes += bytes;
    this.#rate.add(bytes, now);
    this.#measure();
  }

  /** What was handed to its link will not leave. */
  unsent(bytes: number): void {
    this.#handedBytes -= bytes;
  }

  stick(): void {
    this.#isStuck = true;
  }

  /** It came with so much, or had been sent it before. */
  bring(bytes: number): void {
    this.#broughtBytes = Math.max(this.#broughtBytes, bytes);
    this.#measure();
  }

  /** Who never says what it has, or says that it lost it, is no more in need than what it was sent allows. */
  #measure(): void {
    const bytes = Math.min(this.#totalBytes, this.#broughtBytes + this.#uploadedBytes);
    this.#servedSixteenths = Math.trunc((16 * bytes) / this.#totalBytes);
  }
}
