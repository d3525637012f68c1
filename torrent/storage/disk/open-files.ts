// Open files of all torrents of a process. Invariant: never more than `maxOpen` are open that nobody is using;
// a descriptor is closed only when its last user is done with it.
import type { Disk } from './disk.ts';

/** Files that stay open for the next use. */
const MAX_OPEN_FILES = 256;

/** An open file, or one that is being opened. */
export class OpenFile {
  readonly writable: boolean;
  readonly fd: Promise<number>;
  readonly #disk: Disk;
  readonly #closed = Promise.withResolvers<void>();
  users = 0;
  #retired = false;

  constructor(disk: Disk, writable: boolean, fd: Promise<number>) {
    this.#disk = disk;
    this.writable = writable;
    this.fd = fd;
  }

  /** Takes it out of use: it is closed at once, or when its last user releases it. Resolves when it is closed. */
  retire(): Promise<void> {
    if (!this.#retired) {
      this.#retired = true;
      if (this.users === 0) this.#close();
    }
    return this.#closed.promise;
  }

  /** Ends one use (`users++` began it). */
  release(): void {
    this.users--;
    if (this.users === 0 && this.#retired) this.#close();
  }

  #close(): void {
    // A failed open has nothing to close. A failed close loses nothing: durability is asked for by sync.
    this.fd
      .then((fd) => this.#disk.close(fd))
      .catch(() => undefined)
      .then(this.#closed.resolve);
  }
}

/** Least recently used files, over all torrents that share this object. */
export class OpenFiles {
  readonly #maxOpen: number;
  /** In order of use, oldest first; the value takes the file out of its torrent. */
  readonly #files = new Map<OpenFile, () => void>();

  constructor(maxOpen: number = MAX_OPEN_FILES) {
    this.#maxOpen = maxOpen;
  }

  /** How many files are kept open. */
  get size(): number {
    return this.#files.size;
  }

  /** Marks a file as used just now; `evict` is called when it has to go. */
  touch(file: OpenFile, evict: () => void): void {
    this.#files.delete(file);
    this.#files.set(file, evict);
    this.trim();
  }

  /** Lets the oldest files go that nobody uses, down to the bound; called when a use ends. */
  trim(): void {
    if (this.#files.size <= this.#maxOpen) return;
    for (const [candidate, drop] of this.#files) {
      if (this.#files.size <= this.#maxOpen) break;
      if (candidate.users > 0) continue;
      this.#files.delete(candidate);
      drop();
    }
  }

  /** Forgets a file that its torrent closes itself. */
  forget(file: OpenFile): void {
    this.#files.delete(file);
  }
}
