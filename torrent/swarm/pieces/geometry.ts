// Pieces and blocks as numbers. Invariant: a block is named by one number, piece × blocksPerPiece + its place in
// the piece, which stays below 2^31 for every torrent whose metainfo is accepted.
import { BLOCK_BYTES } from '../../wire/messages.ts';

/** How a torrent's bytes are cut. */
export class Geometry {
  readonly pieceCount: number;
  readonly pieceLength: number;
  readonly totalBytes: number;
  readonly blockBytes: number;
  readonly blocksPerPiece: number;
  readonly #lastPieceLength: number;

  constructor(pieceLength: number, totalBytes: number, blockBytes: number = BLOCK_BYTES) {
    this.pieceLength = pieceLength;
    this.totalBytes = totalBytes;
    this.blockBytes = blockBytes;
    this.pieceCount = Math.ceil(totalBytes / pieceLength);
    this.blocksPerPiece = Math.ceil(pieceLength / blockBytes);
    this.#lastPieceLength = totalBytes - (this.pieceCount - 1) * pieceLength;
  }

  /** Bytes of a piece. */
  pieceLengthAt(piece: number): number {
    return piece === this.pieceCount - 1 ? this.#lastPieceLength : this.pieceLength;
  }

  /** Blocks of a piece. */
  blocksIn(piece: number): number {
    return piece === this.pieceCount - 1
      ? Math.ceil(this.#lastPieceLength / this.blockBytes)
      : this.blocksPerPiece;
  }

  pieceOf(block: number): number {
    return Math.trunc(block / this.blocksPerPiece);
  }

  /** Where the block begins in its piece, in bytes. */
  beginOf(block: number): number {
    return (block % this.blocksPerPiece) * this.blockBytes;
  }

  lengthOf(block: number): number {
    const piece = this.pieceOf(block);
    return Math.min(this.blockBytes, this.pieceLengthAt(piece) - this.beginOf(block));
  }

  /** The block that these numbers of a message name exactly, or -1. */
  blockAt(piece: number, begin: number, length: number): number {
    if (piece >= this.pieceCount || begin % this.blockBytes !== 0) return -1;
    if (begin >= this.pieceLengthAt(piece)) return -1;
    const block = piece * this.blocksPerPiece + begin / this.blockBytes;
    return length === this.lengthOf(block) ? block : -1;
  }
}
