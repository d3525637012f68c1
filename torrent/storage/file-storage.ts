// Storage of one torrent in files. Invariant: a piece is in `have` only while its bytes have passed their hash
// and lie in the files, as far as is known; a piece that fails its hash is never written, and one whose files somebody
// else changed is not read before it was hashed again.
import { Mutex } from '../../base/index.ts';
import type { Bitfield } from '../bitfield.ts';
import { TorrentError } from '../errors.ts';
import type { Metainfo } from '../metainfo.ts';
import { type HashingOptions, hashPieces, readStamps } from './checking/check.ts';
import { type LookOptions, type LookOutcome, SuspectPieces } from './checking/suspect-pieces.ts';
import type { Disk } from './disk/disk.ts';
import type { TorrentFiles } from './disk/files.ts';
import type { Folder } from './disk/folder.ts';
import type { Layout } from './layout.ts';
import type { PieceStorage } from './piece-storage.ts';
import type { ReadCache } from './reading/read-cache.ts';
import { SpanReader } from './reading/span-reader.ts';
import { FileRecord, type OpenedFiles } from './resume/file-record.ts';
import type { PieceThread } from './writing/piece-thread.ts';
import { PieceWriter } from './writing/piece-writer.ts';

/** A block is read so often, while its files change, before that is an error. */
const MAX_READS = 3;

/** What the storage is put together of. */
export interface FileStorageParts {
  readonly metainfo: Metainfo;
  readonly disk: Disk;
  readonly folder: Folder;
  readonly files: TorrentFiles;
  readonly layout: Layout;
  readonly have: Bitfield;
  readonly hashing: HashingOptions;
  readonly cache: ReadCache;
  readonly thread: PieceThread | undefined;
  readonly resumeFile: string | undefined;
  readonly readOnly: boolean;
}

/** See PieceStorage; openStorage() makes it. */
export class FileStorage implements PieceStorage {
  readonly metainfo: Metainfo;
  readonly have: Bitfield;
  readonly #parts: FileStorageParts;
  readonly #files: TorrentFiles;
  readonly #reader: SpanReader;
  readonly #suspects: SuspectPieces;
  readonly #record: FileRecord;
  readonly #writer: PieceWriter;
  /** Writes; what must not meet one takes a turn alone. */
  readonly #writes = new Mutex();
  /** Saves, checks and finishing. */
  readonly #tasks = new Mutex();
  #isClosed = false;

  constructor(parts: FileStorageParts, opened: OpenedFiles) {
    const { metainfo, layout, files, have } = parts;
    const { hash } = parts.hashing;
    this.metainfo = metainfo;
    this.have = have;
    this.#parts = parts;
    this.#files = files;
    this.#reader = new SpanReader(parts);
    this.#record = new FileRecord(parts, opened);
    this.#writer = new PieceWriter({
      ...parts,
      hash,
      record: this.#record,
      writes: this.#writes,
      refuseClosed: () => this.#refuseClosed(),
    });
    this.#suspects = new SuspectPieces({ metainfo, layout, files, have, hash });
    for (const [index, count] of files.disturbances.entries()) if (count > 0) this.#wasDisturbed(index);
    files.onDisturbed = (index) => this.#wasDisturbed(index);
  }

  // Hot.
  cachedBlock(piece: number, offset: number, length: number): Buffer | undefined {
    if (this.#isClosed || !this.have.get(piece)) return undefined;
    if (!(offset >= 0 && length > 0 && offset + length <= this.metainfo.pieceLengthAt(piece)))
      return undefined;
    return this.#reader.cached(piece, offset, length);
  }

  async readBlock(piece: number, offset: number, length: number): Promise<Buffer> {
    this.#refuseClosed();
    if (!this.have.get(piece)) {
      this.#suspects.refuseLost(piece);
      throw new TorrentError('InvalidRequest', `piece ${piece} is not held`);
    }
    const pieceBytes = this.metainfo.pieceLengthAt(piece);
    if (!(offset >= 0 && length > 0 && offset + length <= pieceBytes)) {
      throw new TorrentError(
        'InvalidRequest',
        `bytes ${offset} + ${length} of piece ${piece}, which has ${pieceBytes}`,
      );
    }
    for (let reads = 1; ; reads++) {
      if (this.#suspects.has(piece)) await this.#suspects.verify(piece);
      const block = await this.#reader.read(piece, offset, length);
      if (!this.#suspects.has(piece)) return block;
      this.#reader.release(block);
      if (reads === MAX_READS)
        throw new TorrentError(
          'FileChanged',
          `the files of piece ${piece} are being changed by somebody else`,
        );
    }
  }

  // Hot.
  release(block: Buffer): void {
    this.#reader.release(block);
  }

  allocatePiece(length: number): Buffer {
    return this.#writer.allocate(length);
  }

  async writePiece(piece: number, data: Buffer): Promise<'verified' | 'corrupt'> {
    this.#refuseUnwritable();
    return this.#writer.write(piece, data);
  }

  async stage(piece: number, begin: number, data: Buffer): Promise<void> {
    this.#refuseUnwritable();
    return this.#writer.stage(piece, begin, data);
  }

  readStaged(piece: number, onChunk: (chunk: Buffer) => void): Promise<void> {
    return this.#writer.readStaged(piece, onChunk);
  }

  async writeStaged(piece: number): Promise<'verified' | 'corrupt'> {
    this.#refuseUnwritable();
    return this.#writer.writeStaged(piece);
  }

  unstage(piece: number): void {
    this.#writer.unstage(piece);
  }

  /** Somebody else changed the file. */
  #wasDisturbed(fileIndex: number): void {
    this.#suspects.disturbed(fileIndex);
    this.#reader.forget();
    this.#record.disturbed(fileIndex);
  }

  saveResume(): Promise<void> {
    return this.#tasks.run(async () => {
      this.#refuseClosed();
      await this.#record.save(
        (work) => this.#writes.run(work),
        (index) => this.#suspects.areIn(index),
      );
    });
  }

  async relocate(newRoot: string): Promise<void> {
    this.#refuseClosed();
    const isOther = await this.#parts.folder.relocate(newRoot);
    if (!isOther) return;
    // A copy: nothing that is open or remembered belongs to it.
    await this.#files.closeAll();
    await readStamps(this.metainfo, this.#files);
    this.#reader.forget();
    this.#record.relocated();
  }

  async finalize(): Promise<void> {
    this.#refuseClosed();
    if (!this.have.isFull) {
      const missing = this.metainfo.pieceCount - this.have.count;
      throw new TorrentError('InvalidRequest', `${missing} pieces are missing: the files cannot be finished`);
    }
    await this.look();
    if (!this.have.isFull) {
      const missing = this.metainfo.pieceCount - this.have.count;
      throw new TorrentError(
        'FileChanged',
        `${missing} of ${this.metainfo.pieceCount} pieces in ${this.#parts.folder.path} were lost to somebody else's changes`,
      );
    }
    await this.#tasks.run(() => this.#record.finish(this.#parts.folder));
  }

  look(options: LookOptions = {}): Promise<LookOutcome> {
    this.#refuseClosed();
    return this.#suspects.look(options, (work) =>
      this.#writes.run(async () => {
        this.#refuseClosed();
        const { folder, readOnly } = this.#parts;
        if (!readOnly && !(await folder.isInPlace())) {
          throw new TorrentError(
            'FileChanged',
            `the folder ${folder.path} was moved, removed or replaced by somebody else`,
          );
        }
        await work();
      }),
    );
  }

  verifyAll(): Promise<number> {
    return this.#tasks.run(async () => {
      this.#refuseClosed();
      await this.#writes.run(async () => {
        const { metainfo } = this;
        this.#reader.forget();
        const stamps = await readStamps(metainfo, this.#files);
        const pieces = Array.from({ length: metainfo.pieceCount }, (_, piece) => piece);
        await hashPieces(
          metainfo,
          this.#parts.layout,
          this.#files,
          pieces,
          this.#parts.hashing,
          (piece, isGood) => {
            if (isGood) this.have.set(piece);
            else this.have.clear(piece);
          },
        );
        this.#suspects.clear();
        this.#record.rehashed(stamps);
      });
      return this.have.count;
    });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#suspects.idle();
    await this.#tasks.idle();
    await this.#writes.idle();
    await this.#reader.idle();
    await this.#files.closeAll();
    await this.#writer.close();
    await this.#parts.folder.close();
    this.#reader.forget();
  }

  #refuseUnwritable(): void {
    this.#refuseClosed();
    if (this.#parts.readOnly)
      throw new TorrentError(
        'ReadOnly',
        `${this.#parts.folder.path} is only served, and nothing is written there`,
      );
  }

  #refuseClosed(): void {
    if (this.#isClosed)
      throw new TorrentError('Closed', `the storage in ${this.#parts.folder.path} is closed`);
  }
}
