// Where the bytes of a piece lie. Invariant: the segments of a range cover it without gap or overlap, in order;
// empty files have none.
import type { Metainfo } from '../metainfo.ts';

/** A part of a range of the torrent's bytes that lies in one file. */
export interface Segment {
  /** Index in `metainfo.files`. */
  fileIndex: number;
  /** Where in the file it begins. */
  fileOffset: number;
  /** Where in the range it begins. */
  rangeOffset: number;
  lengthBytes: number;
  /** Zeros that are on no disk (BEP 47). */
  padding: boolean;
}

/** Maps ranges of a torrent's bytes to its files. */
export class Layout {
  readonly #metainfo: Metainfo;
  /** Indexes of the files that have bytes, and where each begins. */
  readonly #filled: Uint32Array;
  readonly #starts: Float64Array;

  constructor(metainfo: Metainfo) {
    this.#metainfo = metainfo;
    const filled: number[] = [];
    for (const [index, file] of metainfo.files.entries()) if (file.lengthBytes > 0) filled.push(index);
    this.#filled = Uint32Array.from(filled);
    this.#starts = Float64Array.from(filled, (index) => metainfo.files[index]?.offsetBytes ?? 0);
  }

  /** The segments of `lengthBytes` bytes from `offset` of the whole torrent. */
  segments(offset: number, lengthBytes: number): Segment[] {
    const segments: Segment[] = [];
    const end = offset + lengthBytes;
    for (let at = this.#lastStartingAtOrBefore(offset); at < this.#filled.length; at++) {
      const fileIndex = this.#filled[at] ?? 0;
      const file = this.#metainfo.files[fileIndex];
      if (file === undefined || file.offsetBytes >= end) break;
      const start = Math.max(offset, file.offsetBytes);
      const stop = Math.min(end, file.offsetBytes + file.lengthBytes);
      if (stop <= start) continue;
      segments.push({
        fileIndex,
        fileOffset: start - file.offsetBytes,
        rangeOffset: start - offset,
        lengthBytes: stop - start,
        padding: file.padding,
      });
    }
    return segments;
  }

  /** The segments of a piece. */
  pieceSegments(piece: number): Segment[] {
    return this.segments(piece * this.#metainfo.pieceLength, this.#metainfo.pieceLengthAt(piece));
  }

  #lastStartingAtOrBefore(offset: number): number {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
