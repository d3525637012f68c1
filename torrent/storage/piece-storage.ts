// What the swarm and the session need of a disk. Invariant: `have` names only pieces whose bytes passed their
// hash and lie where they belong; nothing else is ever given out.
import type { Bitfield } from '../bitfield.ts';
import type { Metainfo } from '../metainfo.ts';
import type { LookOptions, LookOutcome } from './checking/suspect-pieces.ts';

/** Storage of one torrent's bytes. Every failure is a TorrentError; none ends the process. */
export interface PieceStorage {
  readonly metainfo: Metainfo;
  /** Verified pieces. Read it as often as you like; only the storage writes it. */
  readonly have: Bitfield;

  /**
   * A block of a verified piece if it lies in memory, else undefined: the way without a promise, for hot paths.
   * The buffer is a view of a shared one, lent until release().
   */
  cachedBlock(piece: number, offset: number, length: number): Buffer | undefined;

  /**
   * A block of a verified piece. One read from disk serves all who ask for the same neighbourhood.
   * The buffer is a view of a shared one, lent until release().
   * @throws TorrentError InvalidRequest (not held, or out of bounds), FileChanged, DiskIo, UnsafePath, Closed.
   */
  readBlock(piece: number, offset: number, length: number): Promise<Buffer>;

  /**
   * Takes back a block of cachedBlock() or readBlock(), once for each of them; its bytes may be anything from then
   * on. What is never taken back stays as it is.
   */
  release(block: Buffer): void;

  /** Memory for a piece of so many bytes, of the kind that writePiece() takes best; anything may be in it. */
  allocatePiece(length: number): Buffer;

  /**
   * Takes a whole piece: hashes it, writes it where it belongs and only then sets it in `have`.
   * `data` belongs to the storage until the promise has settled: nothing may write into it before.
   * A corrupt piece is not written. A piece that is held already is 'verified' without looking at `data`.
   * @throws TorrentError InvalidRequest, NoSpace, ReadOnly, DiskIo, UnsafePath, FileChanged (somebody else removed,
   *   replaced or cut a file: look()), Closed: the piece is then not held.
   */
  writePiece(piece: number, data: Buffer): Promise<'verified' | 'corrupt'>;

  /**
   * Keeps a part of an unfinished piece on disk, where no reader looks; for pieces that memory cannot hold. `data`
   * belongs to the storage until the promise has settled.
   * @throws TorrentError NoSpace, ReadOnly, DiskIo, Closed
   */
  stage(piece: number, begin: number, data: Buffer): Promise<void>;

  /** Tells the bytes of a piece of which all is staged, in order, in chunks that are valid during the call only. */
  readStaged(piece: number, onChunk: (chunk: Buffer) => void): Promise<void>;

  /** As writePiece(), for a piece of which all is staged; it stays staged until unstage(). */
  writeStaged(piece: number): Promise<'verified' | 'corrupt'>;

  /** Forgets what is staged of a piece. */
  unstage(piece: number): void;

  /** Flushes what was written and records which pieces are verified, atomically. Does nothing where nothing changed. */
  saveResume(): Promise<void>;

  /** The folder was renamed: files already open stay valid, later ones are opened below `newRoot`. */
  relocate(newRoot: string): Promise<void>;

  /**
   * After the last piece: looks whether all files are as they were left, makes the empty ones, cuts every file to its
   * exact length, sets executable bits, and flushes files and folders, so that a rename of the root may follow. Of
   * content that was whole and finished when it was opened nothing is written or flushed.
   * @throws TorrentError InvalidRequest if a piece is missing; FileChanged if somebody else changed files and pieces
   *   were lost with that: look() tells which, and writePiece() takes them again.
   */
  finalize(): Promise<void>;

  /**
   * Looks whether every file is where and as it was left. What is held of files that somebody else changed is hashed
   * anew, and is not read before; `onLost` is told which pieces are held no more, and writePiece() takes them again.
   * A write in place that kept the file's time is noticed where the system tells when a file was last changed.
   * @throws TorrentError DiskIo, Closed; FileChanged if the root is not where it was.
   */
  look(options?: LookOptions): Promise<LookOutcome>;

  /** Hashes everything anew and sets `have` by the outcome. Returns how many pieces hold. */
  verifyAll(): Promise<number>;

  /** Waits for what is under way and closes all files. Resume data is saved by saveResume(), not here. */
  close(): Promise<void>;
}
