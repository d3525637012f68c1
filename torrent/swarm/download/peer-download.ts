// What we ask of one peer. Invariant: the requester alone holds it as PeerDownload and changes it; everybody else sees
// DownloadState, which has nothing that changes.
// Hot: ask(), received(), settle() and answered() once a block; they allocate nothing.

import { TransferRate } from '../transfer-rate.ts';
import { MAX_ALLOWED_FAST, RATE_WINDOW_MILLISECONDS } from '../tunables.ts';
import { OutstandingBlocks } from './outstanding-blocks.ts';
import { RequestWindow } from './request-window.ts';

/** Suggestions of one peer that are remembered. */
const MAX_SUGGESTIONS = 1024;

/** Which piece comes next of a peer that is asked for pieces in their order. */
export interface ReadingOrder {
  /** Behind the piece that was begun last; -1 before the first. */
  readonly next: number;
  /** Where its next piece is taken, it goes on with the first one that is wanted, and not anywhere. */
  readonly fromStart: boolean;
}

/** What everybody may know of what we ask of a peer. Times in milliseconds. */
export interface DownloadState {
  /** Blocks that were asked for and are neither here nor refused. */
  readonly outstandingCount: number;
  /** Since when nothing came though something is outstanding. */
  readonly waitingSince: number;
  /** When it last gave us a block, or leave to ask. */
  readonly gaveAt: number;
  /** It has not given what it was asked for in time, nor anything since. */
  readonly isSnubbed: boolean;
  readonly downloadedBytes: number;
  /** Pieces that it suggested, first come first. */
  readonly suggestions: readonly number[];
  /** Pieces that it lets us ask for while it chokes us (BEP 6). */
  readonly allowedFast: readonly number[];
  /** Bytes per millisecond that come. */
  rate(now: number): number;
  /** True if it is asked for nothing now. */
  rests(now: number): boolean;
}

/** Requests to one peer. */
export class PeerDownload implements DownloadState {
  // What every HAVE looks at comes first, so that it lies together in memory.
  /** The size of #outstanding, which need not be looked at for it. */
  #outstandingCount = 0;
  /** It rests, or did. */
  #hasRested = false;
  /** The blocks of #window, which need not be looked at for them. */
  #windowBlocks = 1;
  readonly #window = new RequestWindow();
  readonly #outstanding = new OutstandingBlocks();
  #restsUntil = 0;
  readonly #rate = new TransferRate(RATE_WINDOW_MILLISECONDS);
  #waitingSince = 0;
  #gaveAt = 0;
  #isSnubbed = false;
  readonly #suggestions: number[] = [];
  readonly #allowedFast: number[] = [];
  #inOrder: { next: number; readonly fromStart: boolean } | undefined;
  /** Blocks whose request was cancelled and that may come all the same. */
  #cancelled = 0;
  #unsolicited = 0;
  #downloadedBytes = 0;
  #suggestedAt = Number.NEGATIVE_INFINITY;

  get outstandingCount(): number {
    return this.#outstandingCount;
  }

  /** The block that was asked for so many blocks ago, 0 being the oldest. */
  outstandingAt(place: number): number {
    return this.#outstanding.at(place);
  }

  isOutstanding(block: number): boolean {
    return this.#outstanding.has(block);
  }

  /** Blocks that should be outstanding. */
  get windowBlocks(): number {
    return this.#windowBlocks;
  }

  /** What is known of its path. */
  get path(): Pick<RequestWindow, 'leastResponse' | 'path' | 'withoutPause'> {
    return this.#window;
  }

  get waitingSince(): number {
    return this.#waitingSince;
  }

  get gaveAt(): number {
    return this.#gaveAt;
  }

  get isSnubbed(): boolean {
    return this.#isSnubbed;
  }

  rests(now: number): boolean {
    return this.#hasRested && now < this.#restsUntil;
  }

  /** Blocks that came without being asked for, beyond those whose request was cancelled. */
  get unsolicited(): number {
    return this.#unsolicited;
  }

  get downloadedBytes(): number {
    return this.#downloadedBytes;
  }

  get suggestions(): readonly number[] {
    return this.#suggestions;
  }

  /** When it last suggested something, or we acted on that: it suggests the next then. */
  get suggestedAt(): number {
    return this.#suggestedAt;
  }

  get allowedFast(): readonly number[] {
    return this.#allowedFast;
  }

  /** Set for a peer that gives pieces in their order for less than others (a web server). */
  get inOrder(): ReadingOrder | undefined {
    return this.#inOrder;
  }

  rate(now: number): number {
    return this.#rate.perMillisecond(now);
  }

  /** So many blocks should be outstanding, before anything is known. */
  beginWindow(blocks: number): void {
    this.#window.begin(blocks);
    this.#windowBlocks = this.#window.blocks;
  }

  /** A block is asked for. */
  ask(block: number, now: number): void {
    if (this.#outstandingCount === 0) this.#waitingSince = now;
    this.#outstanding.push(block, now, this.#downloadedBytes);
    this.#outstandingCount++;
  }

  /** Bytes of a block came, asked for or not. */
  received(bytes: number, now: number): void {
    this.#downloadedBytes += bytes;
    this.#rate.add(bytes, now);
  }

  /** The block is here or refused. False if it was not outstanding. */
  settle(block: number): boolean {
    if (!this.#outstanding.remove(block)) return false;
    this.#outstandingCount--;
    return true;
  }

  /**
   * The block that was settled last was an answer.
   *
   * @param floor of the window, in blocks
   * @param isOneOfFew few others give: the window may grow fourfold
   */
  answered(now: number, floor: number, blockBytes: number, isOneOfFew: boolean): void {
    this.#window.answered(
      now - this.#outstanding.removedAskedAt,
      this.#downloadedBytes - this.#outstanding.removedBytesThen,
      now,
      floor,
      blockBytes,
      isOneOfFew,
    );
    this.#windowBlocks = this.#window.blocks;
    this.#waitingSince = now;
    this.#gaveAt = now;
    this.#isSnubbed = false;
  }

  /** A block came that is not outstanding. False if its request was not cancelled either. */
  tolerates(block: number): boolean {
    if (block >= 0 && this.#cancelled > 0) {
      this.#cancelled--;
      return true;
    }
    this.#unsolicited++;
    return false;
  }

  /** The request for a block is cancelled; the block may come all the same. False if it was not outstanding. */
  cancel(block: number): boolean {
    if (!this.settle(block)) return false;
    this.#cancelled++;
    return true;
  }

  /** All that is outstanding may come although it is asked for no more. */
  expectCancelled(): void {
    this.#cancelled += this.#outstandingCount;
  }

  /** Nothing that is outstanding will come. */
  clear(): void {
    this.#outstanding.clear();
    this.#outstandingCount = 0;
  }

  /** It did not answer in time. A second time in a row it is left alone until `restsUntil`. */
  snubbed(restsUntil: number): void {
    if (this.#isSnubbed) this.rest(restsUntil);
    this.#isSnubbed = true;
    this.#window.collapse();
    this.#windowBlocks = this.#window.blocks;
  }

  /** It is asked for nothing until then. */
  rest(until: number): void {
    this.#hasRested = true;
    this.#restsUntil = until;
  }

  /** It lets us ask. */
  unchoked(now: number): void {
    this.#hasRested = false;
    this.#gaveAt = now;
  }

  /** It is asked for pieces in their order. */
  readInOrder(fromStart: boolean): void {
    this.#inOrder = { next: -1, fromStart };
  }

  /** The piece before `next` is begun. */
  readOn(next: number): void {
    if (this.#inOrder !== undefined) this.#inOrder.next = next;
  }

  /** It suggests a piece. */
  suggest(piece: number, now: number): void {
    this.#suggestedAt = now;
    if (this.#suggestions.length >= MAX_SUGGESTIONS) this.#suggestions.shift();
    this.#suggestions.push(piece);
  }

  /** Its first suggestion is taken up, or of no use. */
  shiftSuggestion(): void {
    this.#suggestions.shift();
  }

  /** We act on a suggestion. */
  followed(now: number): void {
    this.#suggestedAt = now;
  }

  /** It lets us ask for the piece while it chokes us. False if that is not news, or too much. */
  allow(piece: number): boolean {
    if (this.#allowedFast.length >= MAX_ALLOWED_FAST || this.#allowedFast.includes(piece)) return false;
    this.#allowedFast.push(piece);
    return true;
  }

  /** It does not let us after all. */
  disallow(piece: number): void {
    const at = this.#allowedFast.indexOf(piece);
    if (at >= 0) this.#allowedFast.splice(at, 1);
  }
}
