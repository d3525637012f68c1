// Pieces of which memory cannot hold all, until they are whole: a file without a name beside the content. Invariants: a
// piece has a slot of its own from its first block to forget(), and no other has it before what is under way there has
// ended; the file is there only while a piece is; nothing of it is ever given to a peer or a reader.
import { TorrentError } from '../../errors.ts';
import { type Disk, diskError, readFully, writeFully } from '../disk/disk.ts';
import type { Folder } from '../disk/folder.ts';

/** Where a piece lies. */
interface Slot {
  readonly number: number;
  /** Reads and writes under way. */
  uses: number;
  isForgotten: boolean;
}

/** Unfinished pieces of one torrent, on disk. */
export class StagingFile {
  readonly #disk: Disk;
  readonly #folder: Folder;
  readonly #pieceLength: number;
  readonly #slots = new Map<number, Slot>();
  readonly #free: number[] = [];
  #slotCount = 0;
  #fd: Promise<number> | undefined;
  /** Reads and writes under way: the descriptor stays open for them. */
  readonly #underWay = new Set<Promise<void>>();
  #closed: Promise<unknown> = Promise.resolve();

  constructor(disk: Disk, folder: Folder, pieceLength: number) {
    this.#disk = disk;
    this.#folder = folder;
    this.#pieceLength = pieceLength;
  }

  /** Pieces that have a slot. */
  get pieceCount(): number {
    return this.#slots.size;
  }

  /** Keeps bytes of a piece. @throws TorrentError NoSpace, ReadOnly, DiskIo, Closed */
  write(piece: number, begin: number, bytes: Uint8Array): Promise<void> {
    const slot = this.#slotOf(piece);
    const position = slot.number * this.#pieceLength + begin;
    return this.#use(slot, `keeping a part of piece ${piece}`, (fd) =>
      writeFully(this.#disk, fd, bytes, position),
    );
  }

  /** Reads what write() kept. @throws TorrentError DiskIo, Closed */
  read(piece: number, begin: number, into: Uint8Array): Promise<void> {
    const slot = this.#slotOf(piece);
    const position = slot.number * this.#pieceLength + begin;
    return this.#use(slot, `reading a part of piece ${piece}`, async (fd) => {
      const count = await readFully(this.#disk, fd, into, position);
      if (count < into.length)
        throw new TorrentError(
          'DiskIo',
          `the file for unfinished pieces in ${this.#folder.path} is cut short`,
        );
    });
  }

  /** What is kept of the piece is of no use any more. */
  forget(piece: number): void {
    const slot = this.#slots.get(piece);
    if (slot === undefined) return;
    this.#slots.delete(piece);
    slot.isForgotten = true;
    if (slot.uses === 0) this.#free.push(slot.number);
    if (this.#slots.size === 0) void this.close();
  }

  /** Closes the file, which frees its room. A later write() makes another one. Never rejects. */
  close(): Promise<void> {
    this.#closed = Promise.all([this.#closed, this.#close()]);
    return this.#closed.then(() => undefined);
  }

  async #close(): Promise<void> {
    const opened = this.#fd;
    this.#fd = undefined;
    this.#slots.clear();
    this.#free.length = 0;
    this.#slotCount = 0;
    if (opened === undefined) return;
    await Promise.allSettled(this.#underWay);
    await opened.then((fd) => this.#disk.close(fd)).catch(() => undefined);
  }

  #slotOf(piece: number): Slot {
    const known = this.#slots.get(piece);
    if (known !== undefined) return known;
    const slot = { number: this.#free.pop() ?? this.#slotCount++, uses: 0, isForgotten: false };
    this.#slots.set(piece, slot);
    return slot;
  }

  async #use(slot: Slot, doing: string, work: (fd: number) => Promise<void>): Promise<void> {
    this.#fd ??= this.#folder.openUnnamed();
    const opened = this.#fd;
    const use = opened.then(work);
    this.#underWay.add(use);
    slot.uses++;
    try {
      await use;
    } catch (error) {
      // The next write tries again to make it.
      if (this.#fd === opened && (await opened.catch(() => undefined)) === undefined) this.#fd = undefined;
      throw diskError(error, doing);
    } finally {
      this.#underWay.delete(use);
      slot.uses--;
      if (slot.uses === 0 && slot.isForgotten && this.#fd === opened) this.#free.push(slot.number);
    }
  }
}
