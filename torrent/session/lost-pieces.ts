// Held pieces that turn out not to be on the disk any more, because somebody cut or replaced a file underneath.
// Invariants: only files that we filled ourselves are filled again, never somebody's own; one look at a time, and so
// many in all, so that a file that changes for ever ends as an error and not as endless hashing.
import { isTorrentError } from '../errors.ts';
import type { PieceStorage } from '../storage/piece-storage.ts';

/** Looks at changed files; a file that goes on changing is an error. */
const MOST_LOOKS = 8;

/** Who hears of them. */
interface LostPiecesEvents {
  /** The piece is held no more. */
  lost(piece: number): void;
  /** The files could not be looked at. */
  failed(error: unknown): void;
}

/** The losses of one torrent. */
export class LostPieces {
  readonly #storage: PieceStorage;
  readonly #events: LostPiecesEvents;
  #looksLeft: number;
  #looking: Promise<void> | undefined;

  /** Of a storage that holds everything when it comes, nothing is given up: its files are somebody's own. */
  constructor(storage: PieceStorage, events: LostPiecesEvents) {
    this.#storage = storage;
    this.#events = events;
    this.#looksLeft = storage.have.isFull ? 0 : MOST_LOOKS;
  }

  /** A held piece could not be read. True if its files are looked at, and what is lost is fetched again. */
  readFailed(error: unknown, piece: number): boolean {
    if (!isTorrentError(error, 'FileChanged')) return false;
    if (this.#looking !== undefined) return true;
    if (this.#looksLeft === 0) return false;
    this.#looksLeft--;
    this.#looking = this.#storage
      .recheck(piece)
      .then((lost) => {
        for (const each of lost) this.#events.lost(each);
      })
      .catch((failure: unknown) => this.#events.failed(failure))
      .finally(() => {
        this.#looking = undefined;
      });
    return true;
  }

  /** Waits for a look that is under way. */
  async idle(): Promise<void> {
    await this.#looking;
  }
}
