// Which files of a torrent a web seed cannot give just now. Invariant: a fault is that of its file: pieces that no such
// file has a part in can be had. A file is tried again after a time that doubles.
import { type BackoffBounds, backoffMilliseconds } from '../../base/index.ts';
import { Bitfield } from '../bitfield.ts';
import type { Metainfo } from '../metainfo.ts';

/** A file is left alone for this long. */
const BACKOFF: BackoffBounds = { firstMilliseconds: 60_000, maxMilliseconds: 60 * 60_000 };

interface Fault {
  failures: number;
  /** In the clock's milliseconds; Infinity once it is being tried again. */
  retryAt: number;
}

/** The faults of one web seed. */
export class FileFaults {
  readonly #metainfo: Metainfo;
  readonly #random: () => number;
  /** By the number of the file; also those of files that are being tried again. */
  readonly #faults = new Map<number, Fault>();

  constructor(metainfo: Metainfo, random: () => number) {
    this.#metainfo = metainfo;
    this.#random = random;
  }

  /** The file could not be had; `retrySeconds` where the server said when to come back. */
  failed(file: number, now: number, retrySeconds?: number): void {
    const failures = (this.#faults.get(file)?.failures ?? 0) + 1;
    const backoff = backoffMilliseconds(failures, BACKOFF, this.#random);
    const wait = Math.max(backoff, (retrySeconds ?? 0) * 1000);
    this.#faults.set(file, { failures, retryAt: now + wait });
  }

  /** Bytes of the file came. */
  succeeded(file: number): void {
    this.#faults.delete(file);
  }

  /** Lets files be tried again whose time has come; true if there are any. */
  release(now: number): boolean {
    let isAny = false;
    for (const fault of this.#faults.values()) {
      if (fault.retryAt > now) continue;
      fault.retryAt = Number.POSITIVE_INFINITY;
      isAny = true;
    }
    return isAny;
  }

  /** Files that cannot be had. */
  get out(): number[] {
    return [...this.#faults].filter(([, { retryAt }]) => Number.isFinite(retryAt)).map(([file]) => file);
  }

  /**
   * The pieces that can be had.
   *
   * @param inPart those too that can be had in part
   */
  available(inPart: boolean): Bitfield {
    const { pieceLength, totalBytes } = this.#metainfo;
    const pieces = Bitfield.full(Math.ceil(totalBytes / pieceLength));
    for (const [start, end] of this.#rangesOut()) {
      const first = (inPart ? Math.ceil : Math.floor)(start / pieceLength);
      // The last piece of the torrent is a short one.
      const wholeEnd = end === totalBytes ? pieces.length : Math.floor(end / pieceLength);
      const after = inPart ? wholeEnd : Math.ceil(end / pieceLength);
      for (let piece = first; piece < after; piece++) pieces.clear(piece);
    }
    return pieces;
  }

  /** False for bytes of the torrent that are, in part, of a file that cannot be had. */
  has(offset: number, length: number): boolean {
    for (const [start, end] of this.#rangesOut()) if (start < offset + length && end > offset) return false;
    return true;
  }

  /** What cannot be had, as ranges of the torrent's bytes. */
  *#rangesOut(): Iterable<[number, number]> {
    for (const [number, { retryAt }] of this.#faults) {
      const file = this.#metainfo.files[number];
      if (file !== undefined && Number.isFinite(retryAt))
        yield [file.offsetBytes, file.offsetBytes + file.lengthBytes];
    }
  }
}
