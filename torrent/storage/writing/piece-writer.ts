// The way of a piece into its files, from memory or from where it was staged. Invariant: a piece is written only after
// its bytes passed their hash, and is set in `have` only after all of them were written.
import { createHash } from 'node:crypto';
import type { Mutex } from '../../../base/index.ts';
import type { Bitfield } from '../../bitfield.ts';
import { TorrentError } from '../../errors.ts';
import type { Metainfo } from '../../metainfo.ts';
import type { PieceHash } from '../checking/piece-hash.ts';
import type { Disk } from '../disk/disk.ts';
import type { TorrentFiles } from '../disk/files.ts';
import type { Folder } from '../disk/folder.ts';
import type { Layout, Segment } from '../layout.ts';
import type { FileRecord } from '../resume/file-record.ts';
import type { PieceThread } from './piece-thread.ts';
import type { PiecePart } from './piece-write.ts';
import { StagingFile } from './staging-file.ts';

/** What is read of a staged piece at a time. */
const STAGED_CHUNK_BYTES = 256 * 1024;

/** A piece of more parts than this is written where we are: its files would all be open at once. */
const MAX_THREAD_PARTS = 8;

/** Where pieces go, and who is told. */
export interface PieceTarget {
  readonly metainfo: Metainfo;
  readonly have: Bitfield;
  readonly layout: Layout;
  readonly disk: Disk;
  readonly folder: Folder;
  readonly files: TorrentFiles;
  readonly hash: PieceHash;
  /** Hashes and writes large pieces that come fast; without one all is done here. */
  readonly thread: PieceThread | undefined;
  readonly record: FileRecord;
  /** Writes take turns in it with what must not meet one. */
  readonly writes: Mutex;
  /** @throws TorrentError Closed, when a piece's turn comes too late */
  refuseClosed(): void;
}

/** Writes the pieces of one torrent; for what each method promises see PieceStorage. */
export class PieceWriter {
  readonly #target: PieceTarget;
  readonly #metainfo: Metainfo;
  readonly #staging: StagingFile;

  constructor(target: PieceTarget) {
    this.#target = target;
    this.#metainfo = target.metainfo;
    this.#staging = new StagingFile(target.disk, target.folder, target.metainfo.pieceLength);
  }

  /** Memory of the kind that write() takes best. */
  allocate(length: number): Buffer {
    return this.#target.thread === undefined
      ? Buffer.allocUnsafeSlow(length)
      : Buffer.from(new SharedArrayBuffer(length));
  }

  async write(piece: number, data: Buffer): Promise<'verified' | 'corrupt'> {
    const pieceBytes = this.#metainfo.pieceLengthAt(piece);
    if (data.length !== pieceBytes) {
      throw new TorrentError(
        'InvalidRequest',
        `${data.length} bytes for piece ${piece}, which has ${pieceBytes}`,
      );
    }
    const { thread, have, writes, layout, hash } = this.#target;
    if (have.get(piece)) return 'verified';
    if (thread?.wants(data.length) && data.buffer instanceof SharedArrayBuffer) {
      const segments = layout.pieceSegments(piece).filter(({ padding }) => !padding);
      if (segments.length <= MAX_THREAD_PARTS)
        return writes.share(() => this.#writeByThread(thread, piece, data, segments));
      const expected = this.#metainfo.pieceHash(piece);
      if ((await thread.write({ data, expected, parts: [] })) === 'corrupt') return 'corrupt';
    } else {
      const digest = await hash(data);
      if (!digest.equals(this.#metainfo.pieceHash(piece))) return 'corrupt';
    }
    return writes.run(() => this.#write(piece, data));
  }

  async stage(piece: number, begin: number, data: Buffer): Promise<void> {
    return this.#staging.write(piece, begin, data);
  }

  readStaged(piece: number, onChunk: (chunk: Buffer) => void): Promise<void> {
    return this.#forEachStaged(piece, async (_, chunk) => onChunk(chunk));
  }

  async writeStaged(piece: number): Promise<'verified' | 'corrupt'> {
    const { have, writes, layout } = this.#target;
    if (have.get(piece)) return 'verified';
    const hash = createHash('sha1');
    await this.readStaged(piece, (chunk) => hash.update(chunk));
    if (!hash.digest().equals(this.#metainfo.pieceHash(piece))) return 'corrupt';
    return writes.run<'verified'>(async () => {
      this.#target.refuseClosed();
      const start = piece * this.#metainfo.pieceLength;
      await this.#forEachStaged(piece, (begin, chunk) =>
        this.#writeRange(layout.segments(start + begin, chunk.length), chunk),
      );
      this.#hold(piece);
      return 'verified';
    });
  }

  unstage(piece: number): void {
    this.#staging.forget(piece);
  }

  /** Forgets what is staged. Never rejects. */
  close(): Promise<void> {
    return this.#staging.close();
  }

  async #forEachStaged(piece: number, work: (begin: number, chunk: Buffer) => Promise<void>): Promise<void> {
    const length = this.#metainfo.pieceLengthAt(piece);
    const buffer = Buffer.allocUnsafeSlow(Math.min(STAGED_CHUNK_BYTES, length));
    for (let begin = 0; begin < length; begin += buffer.length) {
      const chunk = buffer.subarray(0, Math.min(buffer.length, length - begin));
      await this.#staging.read(piece, begin, chunk);
      await work(begin, chunk);
    }
  }

  async #writeByThread(
    thread: PieceThread,
    piece: number,
    data: Buffer,
    segments: readonly Segment[],
  ): Promise<'verified' | 'corrupt'> {
    const { files, record, have } = this.#target;
    this.#target.refuseClosed();
    for (const { fileIndex } of segments) record.written(fileIndex);
    const expected = this.#metainfo.pieceHash(piece);
    const outcome = await files.writeByThread(
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
    if (outcome === 'verified') have.set(piece);
    return outcome;
  }

  async #write(piece: number, data: Buffer): Promise<'verified'> {
    this.#target.refuseClosed();
    if (this.#target.have.get(piece)) return 'verified';
    await this.#writeRange(this.#target.layout.pieceSegments(piece), data);
    this.#hold(piece);
    return 'verified';
  }

  #hold(piece: number): void {
    this.#target.have.set(piece);
    this.#target.record.haveChanged();
  }

  /** Writes the bytes of a range, which begin `data`, where they belong. */
  async #writeRange(segments: readonly Segment[], data: Buffer): Promise<void> {
    const { record, files } = this.#target;
    for (const { padding, fileIndex, fileOffset, rangeOffset, lengthBytes } of segments) {
      if (padding) continue;
      record.written(fileIndex);
      await files.write(fileIndex, data.subarray(rangeOffset, rangeOffset + lengthBytes), fileOffset);
    }
  }
}
