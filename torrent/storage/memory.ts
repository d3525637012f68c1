// Storage in memory, for tests and simulations of sessions. Invariant: the same as on disk: `have` names only
// pieces that passed their hash.
import { Bitfield } from '../bitfield.ts';
import { TorrentError } from '../errors.ts';
import type { Metainfo } from '../metainfo.ts';
import { hashPiece } from './checking/piece-hash.ts';
import type { LookOutcome } from './checking/suspect-pieces.ts';
import type { PieceStorage } from './piece-storage.ts';

/** A PieceStorage without a disk. */
export class MemoryStorage implements PieceStorage {
  readonly metainfo: Metainfo;
  readonly have: Bitfield;
  readonly #content: Buffer;
  readonly #staged = new Map<number, Buffer>();
  #isClosed = false;

  /**
   * Empty, or with the whole content.
   * @throws TorrentError InvalidRequest if the content is not exactly as long as the torrent.
   */
  constructor(metainfo: Metainfo, content?: Uint8Array) {
    if (content !== undefined && content.length !== metainfo.totalBytes) {
      throw new TorrentError(
        'InvalidRequest',
        `${content.length} bytes for a torrent of ${metainfo.totalBytes}`,
      );
    }
    this.metainfo = metainfo;
    this.#content = content === undefined ? Buffer.alloc(metainfo.totalBytes) : Buffer.from(content);
    this.have =
      content === undefined ? new Bitfield(metainfo.pieceCount) : Bitfield.full(metainfo.pieceCount);
  }

  /** The torrent's bytes; zeros where a piece is not held. A view, not a copy. */
  get content(): Buffer {
    return this.#content;
  }

  cachedBlock(piece: number, offset: number, length: number): Buffer | undefined {
    if (this.#isClosed || !this.have.get(piece)) return undefined;
    const start = piece * this.metainfo.pieceLength + offset;
    return this.#content.subarray(start, start + length);
  }

  async readBlock(piece: number, offset: number, length: number): Promise<Buffer> {
    this.#refuseClosed();
    if (!this.have.get(piece)) throw new TorrentError('InvalidRequest', `piece ${piece} is not held`);
    if (!(offset >= 0 && length > 0 && offset + length <= this.metainfo.pieceLengthAt(piece))) {
      throw new TorrentError('InvalidRequest', `bytes ${offset} + ${length} of piece ${piece}`);
    }
    const start = piece * this.metainfo.pieceLength + offset;
    return this.#content.subarray(start, start + length);
  }

  release(): void {}

  allocatePiece(length: number): Buffer {
    return Buffer.allocUnsafeSlow(length);
  }

  async writePiece(piece: number, data: Buffer): Promise<'verified' | 'corrupt'> {
    this.#refuseClosed();
    if (data.length !== this.metainfo.pieceLengthAt(piece)) {
      throw new TorrentError('InvalidRequest', `${data.length} bytes for piece ${piece}`);
    }
    if (this.have.get(piece)) return 'verified';
    if (!(await hashPiece(data)).equals(this.metainfo.pieceHash(piece))) return 'corrupt';
    data.copy(this.#content, piece * this.metainfo.pieceLength);
    this.have.set(piece);
    return 'verified';
  }

  async stage(piece: number, begin: number, data: Buffer): Promise<void> {
    this.#refuseClosed();
    const staged = this.#staged.get(piece) ?? Buffer.alloc(this.metainfo.pieceLengthAt(piece));
    this.#staged.set(piece, staged);
    data.copy(staged, begin);
  }

  async readStaged(piece: number, onChunk: (chunk: Buffer) => void): Promise<void> {
    onChunk(this.#staged.get(piece) ?? Buffer.alloc(0));
  }

  writeStaged(piece: number): Promise<'verified' | 'corrupt'> {
    return this.writePiece(piece, this.#staged.get(piece) ?? Buffer.alloc(0));
  }

  unstage(piece: number): void {
    this.#staged.delete(piece);
  }

  async saveResume(): Promise<void> {}

  async relocate(): Promise<void> {}

  async finalize(): Promise<void> {
    if (!this.have.isFull) throw new TorrentError('InvalidRequest', 'pieces are missing');
  }

  async look(): Promise<LookOutcome> {
    return { isSettled: true, damaged: [] };
  }

  async verifyAll(): Promise<number> {
    for (let piece = 0; piece < this.metainfo.pieceCount; piece++) {
      const start = piece * this.metainfo.pieceLength;
      const data = this.#content.subarray(start, start + this.metainfo.pieceLengthAt(piece));
      if ((await hashPiece(data)).equals(this.metainfo.pieceHash(piece))) this.have.set(piece);
      else this.have.clear(piece);
    }
    return this.have.count;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  #refuseClosed(): void {
    if (this.#isClosed) throw new TorrentError('Closed', 'the storage is closed');
  }
}
