// Held pieces that turn out not to be on the disk any more, because somebody cut, removed or replaced a file underneath.
// Invariants: nothing counts as complete before all files were looked at; only files that we fill ourselves are filled
// again, never somebody's own; and a file that is damaged again and again ends as an error, not as endless work.
import { isTorrentError, TorrentError } from '../../errors.ts';
import type { PieceStorage } from '../../storage/piece-storage.ts';
import type { LossPolicy } from '../types.ts';

/** Looks that find something lost; a file that goes on being damaged is an error. */
const MOST_LOOKS = 8;

/** Who hears of them. */
interface LostPiecesEvents {
  /** The piece is held no more. */
  lost(piece: number): void;
  /** So many pieces were, in these files; after lost() of each. */
  damaged(pieces: number, files: readonly string[]): void;
  /** The files could not be looked at, or are lost again and again. */
  failed(error: unknown): void;
}

/** The losses of one torrent. */
export class LostPieces {
  readonly #storage: PieceStorage;
  readonly #policy: LossPolicy;
  readonly #events: LostPiecesEvents;
  readonly #stopping = new AbortController();
  #looksLeft = MOST_LOOKS;
  #looking: Promise<boolean> | undefined;

  constructor(storage: PieceStorage, policy: LossPolicy, events: LostPiecesEvents) {
    this.#storage = storage;
    this.#policy = policy;
    this.#events = events;
  }

  /** A held piece could not be read, or one not be written. True if its files are looked at, and it is no failure. */
  accessFailed(error: unknown): boolean {
    if (!isTorrentError(error, 'FileChanged') || this.#policy === 'fail') return false;
    if (this.#looking === undefined) void this.look();
    return true;
  }

  /** Looks at all files. True if nothing that is held is in doubt; never rejects. */
  look(): Promise<boolean> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  /** Looks at all files, after what is under way: true if they are as they were left. Never rejects. */
  async confirm(): Promise<boolean> {
    await this.#looking;
    return this.look();
  }

  /** Ends a look that is under way, and waits for it. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#looking;
  }

  async #look(): Promise<boolean> {
    const { signal } = this.#stopping;
    let lost = 0;
    try {
      const onLost = (piece: number) => {
        lost++;
        if (this.#policy !== 'fail') this.#events.lost(piece);
      };
      const { isSettled, damaged } = await this.#storage.look({ onLost, signal });
      if (lost > 0 && this.#policy === 'fail') throw changed(damaged, 'changed');
      if (lost > 0) this.#events.damaged(lost, damaged);
      if (signal.aborted || this.#policy === 'withdraw') return isSettled;
      if (lost > 0 && this.#looksLeft-- === 0) throw changed(damaged, 'changed again and again');
      return isSettled;
    } catch (error) {
      if (!signal.aborted) this.#events.failed(error);
      return false;
    }
  }
}

function changed(files: readonly string[], how: string): TorrentError {
  return new TorrentError('FileChanged', `${files.join(', ')} ${how} by somebody else`);
}
