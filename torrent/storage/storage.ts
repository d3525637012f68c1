// Storage of one torrent in files. Invariant: a piece is in `have` only while its bytes have passed their hash
// and lie in the files, as far as is known; a piece that fails its hash is never written, and one whose files somebody
// else changed is not read before it was hashed again.
import { createHash } from 'node:crypto';
import { Mutex } from '../../base/index.ts';
import { Bitfield } from '../bitfield.ts';
import { TorrentError } from '../errors.ts';
import type { Metainfo } from '../metainfo.ts';
import { believeResume, forEachOf, type HashingOptions, hashPieces, readStamps } from './checking/check.ts';
import { hashPiece, type PieceHash } from './checking/piece-hash.ts';
import { type LookOptions, type LookOutcome, SuspectPieces } from './checking/suspect-pieces.ts';
import { type Disk, diskFor } from './disk/disk.ts';
import { TorrentFiles } from './disk/files.ts';
import { Folder } from './disk/folder.ts';
import { OpenFiles } from './disk/open-files.ts';
import { Layout, type Segment } from './layout.ts';
import type { PieceStorage } from './piece-storage.ts';
import { ReadCache } from './reading/read-cache.ts';
import { SpanReader } from './reading/span-reader.ts';
import { encodeResume, type FileStamp, readResume, writeResume } from './resume/resume.ts';
import { PieceThread } from './writing/piece-thread.ts';
import type { PiecePart } from './writing/piece-write.ts';
import { StagingFile } from './writing/staging-file.ts';

/** Files that are flushed at the same time. */
const CONCURRENT_FLUSHES = 8;

/** Pieces of content of this size on may go to a thread: less is done before one has started. */
const THREAD_BYTES = 32 * 1024 * 1024;

/** A block is read so often, while its files change, before that is an error. */
const MAX_READS = 3;

/** What is read of a staged piece at a time. */
const STAGED_CHUNK_BYTES = 256 * 1024;

/** A piece of more parts than this is written where we are: its files would all be open at once. */
const MAX_THREAD_PARTS = 8;

// Descriptors, memory and threads are the process's, not a torrent's.
const processOpenFiles = new OpenFiles();
const processReadCache = new ReadCache();
const processPieceThread = new PieceThread();

/** What storage is opened with. */
export interface StorageOptions {
  metainfo: Metainfo;
  /** The folder that directly holds the torrent's files (without one of the torrent's name); made if need be. */
  root: string;
  /** Where resume data is kept; without it everything is hashed at the next start. */
  resumeFile?: string;
  /** False: of content that was whole already nothing is recorded, so that nothing at all is written. True by default. */
  recordWhole?: boolean;
  /** Somebody's own content, which is only served: nothing is made or written, and symlinks are followed. */
  readOnly?: boolean;
  /** The caller has just hashed these files itself: their lengths are checked and nothing else. */
  alreadyVerified?: boolean;
  /** Ends the check of files at the start, with Closed. */
  signal?: AbortSignal;
  /** Told how far the check of files at the start is. */
  onChecked?: (checkedPieces: number, piecesToCheck: number) => void;
  disk?: Disk;
  openFiles?: OpenFiles;
  readCache?: ReadCache;
  hash?: PieceHash;
  /** By default the process's, for content of 32 MiB and more on the real disk, when it comes fast. */
  pieceThread?: PieceThread;
}

/**
 * Opens a torrent's files and finds out which pieces are there: those that resume data vouches for, and those
 * that pass their hash now. Files are made only when something is written.
 * @throws TorrentError UnsafePath, ReadOnly, DiskIo, Closed (signal); FileChanged if `alreadyVerified` is not so.
 */
export async function openStorage(options: StorageOptions): Promise<PieceStorage> {
  const { metainfo } = options;
  const disk = options.disk ?? (await diskFor(options.root));
  const { readOnly = false } = options;
  const folder = await Folder.open(disk, options.root, { create: !readOnly, follow: readOnly });
  const layout = new Layout(metainfo);
  const files = new TorrentFiles(metainfo, disk, folder, options.openFiles ?? processOpenFiles);
  try {
    const have = new Bitfield(metainfo.pieceCount);
    const stamps = await readStamps(metainfo, files);
    const hashing: HashingOptions = { hash: options.hash ?? hashPiece, onChecked: options.onChecked };
    let isChanged = true;
    let wasBegun = false;
    let recorded: readonly (FileStamp | undefined)[] = [];
    if (options.alreadyVerified) {
      for (const [index, file] of metainfo.files.entries()) {
        if (file.padding || file.lengthBytes === 0 || stamps[index]?.sizeBytes === file.lengthBytes) continue;
        throw new TorrentError('FileChanged', `${file.path.join('/')} is not ${file.lengthBytes} bytes long`);
      }
      have.setAll();
    } else {
      const { resumeFile } = options;
      const resume = resumeFile === undefined ? undefined : await readResume(disk, resumeFile, metainfo);
      const toHash = believeResume(metainfo, layout, stamps, resume, have);
      wasBegun = resume !== undefined;
      isChanged = resume === undefined || toHash.length > 0;
      recorded = resume?.stamps ?? [];
      await hashPieces(
        metainfo,
        layout,
        files,
        toHash,
        { ...hashing, signal: options.signal },
        (piece, isGood) => {
          if (isGood) have.set(piece);
        },
      );
    }
    if (have.isFull && !wasBegun && options.recordWhole === false) isChanged = false;
    const cache = options.readCache ?? processReadCache;
    const isWorthThread =
      options.disk === undefined && options.hash === undefined && metainfo.totalBytes >= THREAD_BYTES;
    const thread = options.pieceThread ?? (isWorthThread ? processPieceThread : undefined);
    const { resumeFile } = options;
    return new FileStorage({
      metainfo,
      disk,
      folder,
      files,
      layout,
      have,
      stamps,
      hashing,
      cache,
      thread,
      resumeFile,
      isChanged,
      wasBegun,
      readOnly,
      recorded,
    });
  } catch (error) {
    await files.closeAll();
    await folder.close();
    throw error;
  }
}

interface Parts {
  metainfo: Metainfo;
  disk: Disk;
  folder: Folder;
  files: TorrentFiles;
  layout: Layout;
  have: Bitfield;
  stamps: (FileStamp | undefined)[];
  hashing: HashingOptions;
  cache: ReadCache;
  thread: PieceThread | undefined;
  resumeFile: string | undefined;
  isChanged: boolean;
  wasBegun: boolean;
  readOnly: boolean;
  recorded: readonly (FileStamp | undefined)[];
}

class FileStorage implements PieceStorage {
  readonly metainfo: Metainfo;
  readonly have: Bitfield;
  readonly #parts: Parts;
  readonly #files: TorrentFiles;
  readonly #layout: Layout;
  readonly #reader: SpanReader;
  readonly #staging: StagingFile;
  readonly #suspects: SuspectPieces;
  /** How files looked when they were last in step with `have`; none for files written to or found changed since. */
  readonly #stamps: (FileStamp | undefined)[];
  /** Files written to and not yet flushed and stamped. */
  readonly #dirty = new Set<number>();
  /** Other files that somebody else changed: once they are hashed they are in step again. */
  readonly #disturbed = new Set<number>();
  /** Something is to be flushed: by us, or by a process before us that may have been killed. */
  #isUnflushed: boolean;
  /** The stamps that the resume file holds, and those that the last save under way was to put there. */
  #recorded: readonly (FileStamp | undefined)[];
  #attempted: readonly (FileStamp | undefined)[] = [];
  /** True if `have` or a stamp differs from what the resume file says. */
  #isChanged: boolean;
  /** Writes; what must not meet one takes a turn alone. */
  readonly #writes = new Mutex();
  /** Saves, checks and finishing. */
  readonly #tasks = new Mutex();
  #isClosed = false;

  constructor(parts: Parts) {
    this.metainfo = parts.metainfo;
    this.have = parts.have;
    this.#parts = parts;
    this.#files = parts.files;
    this.#layout = parts.layout;
    this.#reader = new SpanReader(parts);
    this.#staging = new StagingFile(parts.disk, parts.folder, parts.metainfo.pieceLength);
    this.#stamps = parts.stamps;
    this.#isChanged = parts.isChanged;
    this.#recorded = parts.recorded;
    this.#isUnflushed = parts.wasBegun;
    const { metainfo, layout, files, have } = parts;
    this.#suspects = new SuspectPieces({ metainfo, layout, files, have, hash: parts.hashing.hash });
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

  async writePiece(piece: number, data: Buffer): Promise<'verified' | 'corrupt'> {
    this.#refuseUnwritable();
    const pieceBytes = this.metainfo.pieceLengthAt(piece);
    if (data.length !== pieceBytes) {
      throw new TorrentError(
        'InvalidRequest',
        `${data.length} bytes for piece ${piece}, which has ${pieceBytes}`,
      );
    }
    if (this.have.get(piece)) return 'verified';
    const { thread } = this.#parts;
    if (thread?.wants(data.length) && data.buffer instanceof SharedArrayBuffer) {
      const segments = this.#layout.pieceSegments(piece).filter(({ padding }) => !padding);
      if (segments.length <= MAX_THREAD_PARTS)
        return this.#writes.share(() => this.#writeByThread(thread, piece, data, segments));
      const expected = this.metainfo.pieceHash(piece);
      if ((await thread.write({ data, expected, parts: [] })) === 'corrupt') return 'corrupt';
    } else {
      const digest = await this.#parts.hashing.hash(data);
      if (!digest.equals(this.metainfo.pieceHash(piece))) return 'corrupt';
    }
    return this.#writes.run(() => this.#write(piece, data));
  }

  async stage(piece: number, begin: number, data: Buffer): Promise<void> {
    this.#refuseUnwritable();
    return this.#staging.write(piece, begin, data);
  }

  readStaged(piece: number, onChunk: (chunk: Buffer) => void): Promise<void> {
    return this.#forEachStaged(piece, async (_, chunk) => onChunk(chunk));
  }

  async writeStaged(piece: number): Promise<'verified' | 'corrupt'> {
    this.#refuseUnwritable();
    if (this.have.get(piece)) return 'verified';
    const hash = createHash('sha1');
    await this.readStaged(piece, (chunk) => hash.update(chunk));
    if (!hash.digest().equals(this.metainfo.pieceHash(piece))) return 'corrupt';
    return this.#writes.run<'verified'>(async () => {
      this.#refuseClosed();
      const start = piece * this.metainfo.pieceLength;
      await this.#forEachStaged(piece, (begin, chunk) =>
        this.#writeRange(this.#layout.segments(start + begin, chunk.length), chunk),
      );
      this.have.set(piece);
      this.#isChanged = true;
      return 'verified';
    });
  }

  unstage(piece: number): void {
    this.#staging.forget(piece);
  }

  async #forEachStaged(piece: number, work: (begin: number, chunk: Buffer) => Promise<void>): Promise<void> {
    const length = this.metainfo.pieceLengthAt(piece);
    const buffer = Buffer.allocUnsafeSlow(Math.min(STAGED_CHUNK_BYTES, length));
    for (let begin = 0; begin < length; begin += buffer.length) {
      const chunk = buffer.subarray(0, Math.min(buffer.length, length - begin));
      await this.#staging.read(piece, begin, chunk);
      await work(begin, chunk);
    }
  }

  allocatePiece(length: number): Buffer {
    return this.#parts.thread === undefined
      ? Buffer.allocUnsafeSlow(length)
      : Buffer.from(new SharedArrayBuffer(length));
  }

  async #writeByThread(
    thread: PieceThread,
    piece: number,
    data: Buffer,
    segments: readonly Segment[],
  ): Promise<'verified' | 'corrupt'> {
    this.#refuseClosed();
    for (const { fileIndex } of segments) this.#touched(fileIndex);
    const expected = this.metainfo.pieceHash(piece);
    const outcome = await this.#files.writeByThread(
      segments.map(({ fileIndex }) => fileIndex),
      (fds, written) => {
        const parts = segments.map(
          ({ rangeOffset, lengthBytes, fileOffset }, index): PiecePart => ({
            fd: fds[index] as number,
            start: rangeOffset,
            lengthBytes,
            position: fileOffset,
          }),
        );
        return thread.write({ data, expected, parts }, written);
      },
    );
    if (outcome === 'verified') this.have.set(piece);
    return outcome;
  }

  /** The file is about to be written to. */
  #touched(fileIndex: number): void {
    this.#dirty.add(fileIndex);
    this.#stamps[fileIndex] = undefined;
    this.#isChanged = true;
    this.#isUnflushed = true;
  }

  /** Somebody else changed the file. */
  #wasDisturbed(fileIndex: number): void {
    this.#suspects.disturbed(fileIndex);
    this.#reader.forget();
    this.#disturbed.add(fileIndex);
    this.#stamps[fileIndex] = undefined;
    this.#isChanged = true;
  }

  async #write(piece: number, data: Buffer): Promise<'verified'> {
    this.#refuseClosed();
    if (this.have.get(piece)) return 'verified';
    await this.#writeRange(this.#layout.pieceSegments(piece), data);
    this.have.set(piece);
    this.#isChanged = true;
    return 'verified';
  }

  /** Writes the bytes of a range, which begin `data`, where they belong. */
  async #writeRange(segments: readonly Segment[], data: Buffer): Promise<void> {
    for (const { padding, fileIndex, fileOffset, rangeOffset, lengthBytes } of segments) {
      if (padding) continue;
      this.#touched(fileIndex);
      await this.#files.write(fileIndex, data.subarray(rangeOffset, rangeOffset + lengthBytes), fileOffset);
    }
  }

  saveResume(): Promise<void> {
    return this.#tasks.run(async () => {
      this.#refuseClosed();
      if (!this.#isChanged || this.#parts.resumeFile === undefined) return;
      const { dirty, bytes } = await this.#writes.run(async () => {
        const dirty = await this.#stampDirty();
        this.#stampDisturbed();
        this.#attempted = [...this.#stamps];
        // Pieces written from here on change their file's time, so that it is hashed if nothing is saved later.
        return { dirty, bytes: encodeResume(this.metainfo, { have: this.have, stamps: this.#stamps }) };
      });
      // What is in doubt is recorded when it is not.
      this.#isChanged = this.#disturbed.size > 0;
      try {
        await forEachOf(dirty, CONCURRENT_FLUSHES, (index) => this.#files.sync(index));
        await writeResume(this.#parts.disk, this.#parts.resumeFile, bytes);
        this.#recorded = this.#attempted;
      } catch (error) {
        this.#isChanged = true;
        for (const index of dirty) this.#dirty.add(index);
        throw error;
      }
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
    for (const [index, stamp] of this.#stamps.entries()) {
      if (stamp === undefined) continue;
      this.#stamps[index] = undefined;
      this.#dirty.add(index);
    }
    this.#isChanged = true;
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
    await this.#tasks.run(async () => {
      if (!this.#isUnflushed && (await this.#isFinished())) return;
      const folders = new Map<string, readonly string[]>([['', []]]);
      await forEachOf(this.metainfo.files.entries(), CONCURRENT_FLUSHES, async ([index, file]) => {
        if (file.padding) return;
        if (await this.#files.finish(index)) {
          this.#dirty.add(index);
          this.#stamps[index] = undefined;
          this.#isChanged = true;
        }
        for (let depth = file.path.length - 1; depth > 0; depth--) {
          const folder = file.path.slice(0, depth);
          folders.set(folder.join('/'), folder);
        }
      });
      // The deepest first, so that a folder's entries are safe before the entry that names it.
      const deepestFirst = [...folders.values()].sort((a, b) => b.length - a.length);
      for (const path of deepestFirst) await this.#parts.folder.sync(path);
      this.#isUnflushed = false;
    });
  }

  /** True if every file is there and has its length: what was there when we came needs nothing. */
  async #isFinished(): Promise<boolean> {
    for (const [index, { padding, lengthBytes }] of this.metainfo.files.entries()) {
      if (padding) continue;
      const known = lengthBytes === 0 ? await this.#files.status(index) : this.#files.known(index);
      if (known?.sizeBytes !== lengthBytes) return false;
    }
    return true;
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
          this.#layout,
          this.#files,
          pieces,
          this.#parts.hashing,
          (piece, isGood) => {
            if (isGood) this.have.set(piece);
            else this.have.clear(piece);
          },
        );
        this.#suspects.clear();
        // What is on disk now is what was hashed; what was written earlier still has to be flushed.
        for (const index of metainfo.files.keys()) {
          if (!this.#dirty.has(index)) this.#stamps[index] = stamps[index];
        }
        this.#isChanged = true;
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
    await this.#staging.close();
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

  /**
   * Stamps the files written to since the last time; in the writes' turn. A stamp is never one that the resume file
   * may hold for fewer pieces: after a crash before this save is done, the new ones would not be looked for.
   */
  async #stampDirty(): Promise<number[]> {
    const dirty = [...this.#dirty];
    await forEachOf(dirty, CONCURRENT_FLUSHES, async (index) => {
      const status = await this.#files.stamp(index, [
        this.#recorded[index]?.modifiedNanoseconds,
        this.#attempted[index]?.modifiedNanoseconds,
      ]);
      if (!this.#disturbed.has(index)) this.#stamps[index] = status;
    });
    this.#dirty.clear();
    return dirty;
  }

  /** Files that somebody else changed and of which nothing is in doubt any more are in step again. */
  #stampDisturbed(): void {
    for (const index of this.#disturbed) {
      if (this.#suspects.areIn(index)) continue;
      this.#disturbed.delete(index);
      this.#stamps[index] = this.#files.known(index);
    }
  }
}
