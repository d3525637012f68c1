// Held pieces in files that somebody else changed. Invariant: a suspect is not read before it was hashed again since
// its files were last found to have been changed; what then fails is held no more, and is told once.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Mutex } from '../../../base/index.ts';
import { Bitfield } from '../../bitfield.ts';
import { isTorrentError, TorrentError } from '../../errors.ts';
import type { Metainfo } from '../../metainfo.ts';
import type { TorrentFiles } from '../disk/files.ts';
import { forEachOf } from '../for-each-of.ts';
import type { Layout } from '../layout.ts';
import { hashPieces } from './check.ts';
import type { PieceHash } from './piece-hash.ts';

/** Files that are looked at at the same time. */
const CONCURRENT_FILES = 8;

/** How often what changes while it is hashed is hashed again, in one go. */
const MAX_ROUNDS = 3;

/** How the files are looked at. */
export interface LookOptions {
  /** Told of each piece that is held no more, as soon as that is known. */
  onLost?: (piece: number) => void;
  /** Ends hashing early; what is suspect stays so. */
  signal?: AbortSignal;
}

/** What came of a look. */
export interface LookOutcome {
  /** False if a file went on changing, or the look was ended: some of what is held is still in doubt. */
  isSettled: boolean;
  /** Paths of the files that somebody else changed and that lost pieces. */
  damaged: string[];
}

interface Parts {
  metainfo: Metainfo;
  layout: Layout;
  files: TorrentFiles;
  have: Bitfield;
  hash: PieceHash;
}

function lost(piece: number): TorrentError {
  return new TorrentError('FileChanged', `piece ${piece} was lost: its files were changed by somebody else`);
}

/** The suspects of one torrent. */
export class SuspectPieces {
  readonly #parts: Parts;
  #suspects: Bitfield;
  readonly #verifying = new Map<number, Promise<void>>();
  /** Held no more, and nobody was told. */
  #untold = new Set<number>();
  readonly #looks = new Mutex();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#suspects = new Bitfield(parts.metainfo.pieceCount);
  }

  // Hot.
  has(piece: number): boolean {
    return !this.#suspects.isEmpty && this.#suspects.get(piece);
  }

  /** @throws TorrentError FileChanged if the piece was held until just now */
  refuseLost(piece: number): void {
    if (this.#untold.has(piece)) throw lost(piece);
  }

  /** True if a held piece of the file is in doubt. */
  areIn(index: number): boolean {
    if (this.#suspects.isEmpty) return false;
    const { first, last } = this.#piecesOf(index);
    const suspect = this.#suspects.nextSet(first);
    return suspect >= 0 && suspect <= last;
  }

  /** Somebody else changed a file. */
  disturbed(index: number): void {
    const { have } = this.#parts;
    const { first, last } = this.#piecesOf(index);
    for (let piece = have.nextSet(first); piece >= 0 && piece <= last; piece = have.nextSet(piece + 1))
      this.#suspects.set(piece);
  }

  /** Everything was hashed anew. */
  clear(): void {
    this.#suspects = new Bitfield(this.#parts.metainfo.pieceCount);
    this.#untold.clear();
  }

  /**
   * Hashes a suspect.
   * @throws TorrentError FileChanged if it is held no more or its files go on changing, DiskIo.
   */
  async verify(piece: number): Promise<void> {
    let verifying = this.#verifying.get(piece);
    if (verifying === undefined) {
      verifying = this.#verify(piece).finally(() => this.#verifying.delete(piece));
      this.#verifying.set(piece, verifying);
    }
    await verifying;
    if (!this.#parts.have.get(piece)) throw lost(piece);
  }

  /**
   * Looks at every file, in `alone`, when nobody here writes, and hashes what is held of those that are not as they
   * were left.
   * @throws TorrentError DiskIo, and what `alone` throws
   */
  look(
    { onLost, signal }: LookOptions,
    alone: (work: () => Promise<void>) => Promise<void>,
  ): Promise<LookOutcome> {
    return this.#looks.run(async () => {
      const { metainfo, files, layout } = this.#parts;
      await alone(() =>
        forEachOf(metainfo.files.entries(), CONCURRENT_FILES, async ([index, { padding }]) => {
          if (!padding) await files.look(index);
        }),
      );
      const damaged = new Set<number>();
      const tell = () => {
        for (const piece of onLost === undefined ? [] : this.#untold) {
          this.#untold.delete(piece);
          for (const { fileIndex, padding } of layout.pieceSegments(piece))
            if (!padding && (files.disturbances[fileIndex] ?? 0) > 0) damaged.add(fileIndex);
          onLost?.(piece);
        }
      };
      for (let round = 0; round < MAX_ROUNDS && !this.#suspects.isEmpty; round++) {
        for (let piece = this.#suspects.nextSet(0); piece >= 0; piece = this.#suspects.nextSet(piece + 1)) {
          if (signal?.aborted) break;
          await this.verify(piece).catch((error: unknown) => {
            if (!isTorrentError(error, 'FileChanged')) throw error;
          });
          tell();
          await nextTurn();
        }
      }
      tell();
      return {
        isSettled: this.#suspects.isEmpty,
        damaged: [...damaged].map((index) => metainfo.files[index]?.path.join('/') ?? ''),
      };
    });
  }

  /** Waits for what is under way. */
  async idle(): Promise<void> {
    await this.#looks.idle();
    await Promise.allSettled(this.#verifying.values());
  }

  async #verify(piece: number): Promise<void> {
    const { metainfo, layout, files, have, hash } = this.#parts;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const before = this.#disturbancesOf(piece);
      let isGood = false;
      try {
        await hashPieces(metainfo, layout, files, [piece], { hash }, (_, outcome) => {
          isGood = outcome;
        });
      } catch (error) {
        // What cannot be opened is not there.
        if (!isTorrentError(error) || error.code === 'DiskIo' || error.code === 'Closed') throw error;
      }
      if (!this.#suspects.get(piece)) return;
      if (before !== this.#disturbancesOf(piece)) continue;
      this.#suspects.clear(piece);
      if (isGood || !have.get(piece)) return;
      have.clear(piece);
      this.#untold.add(piece);
      return;
    }
    throw new TorrentError('FileChanged', `the files of piece ${piece} go on being changed by somebody else`);
  }

  #disturbancesOf(piece: number): number {
    const { layout, files } = this.#parts;
    let count = 0;
    for (const { fileIndex } of layout.pieceSegments(piece)) count += files.disturbances[fileIndex] ?? 0;
    return count;
  }

  /** An empty range for an empty file. */
  #piecesOf(index: number): { first: number; last: number } {
    const { pieceLength, files } = this.#parts.metainfo;
    const { offsetBytes = 0, lengthBytes = 0 } = files[index] ?? {};
    if (lengthBytes === 0) return { first: 0, last: -1 };
    const first = Math.floor(offsetBytes / pieceLength);
    return { first, last: Math.floor((offsetBytes + lengthBytes - 1) / pieceLength) };
  }
}
