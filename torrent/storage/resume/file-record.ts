// What is flushed and recorded of one torrent's files. Invariants: a file has a stamp only while it is in step with
// `have`; a record says nothing of bytes that were not flushed before it was written; and a stamp is never one that
// the resume file may hold for fewer pieces.
import type { Bitfield } from '../../bitfield.ts';
import type { Metainfo } from '../../metainfo.ts';
import type { Disk } from '../disk/disk.ts';
import type { TorrentFiles } from '../disk/files.ts';
import type { Folder } from '../disk/folder.ts';
import { forEachOf } from '../for-each-of.ts';
import { encodeResume, type FileStamp, writeResume } from './resume.ts';

/** Files that are flushed at the same time. */
const CONCURRENT_FLUSHES = 8;

/** What was found out when the files were opened. */
export interface OpenedFiles {
  /** How each file looks; undefined for those that are not there, empty or padding. */
  stamps: (FileStamp | undefined)[];
  /** The stamps that the resume file holds. */
  recorded: readonly (FileStamp | undefined)[];
  /** True if what is held differs from what the resume file says. */
  isChanged: boolean;
  /** True if there was a resume file: whoever wrote it may have been killed before it flushed all it wrote. */
  wasBegun: boolean;
}

/** What is recorded, and where. */
export interface RecordedContent {
  readonly metainfo: Metainfo;
  readonly have: Bitfield;
  readonly files: TorrentFiles;
  readonly disk: Disk;
  /** Without one nothing is recorded. */
  readonly resumeFile: string | undefined;
}

/** The files of one torrent between a write and its record. */
export class FileRecord {
  readonly #content: RecordedContent;
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

  constructor(content: RecordedContent, { stamps, recorded, isChanged, wasBegun }: OpenedFiles) {
    this.#content = content;
    this.#stamps = stamps;
    this.#recorded = recorded;
    this.#isChanged = isChanged;
    this.#isUnflushed = wasBegun;
  }

  /** The file is about to be written to. */
  written(index: number): void {
    this.#outOfStep(index);
    this.#isUnflushed = true;
  }

  /** Somebody else changed the file. */
  disturbed(index: number): void {
    this.#disturbed.add(index);
    this.#stamps[index] = undefined;
    this.#isChanged = true;
  }

  /** `have` is another one. */
  haveChanged(): void {
    this.#isChanged = true;
  }

  /** The files are others now, with the same bytes: all that had a stamp get a new one. */
  relocated(): void {
    for (const [index, stamp] of this.#stamps.entries()) if (stamp !== undefined) this.#outOfStep(index);
    this.#isChanged = true;
  }

  /** Everything was hashed anew, and what is on disk looks so; what was written earlier still has to be flushed. */
  rehashed(stamps: readonly (FileStamp | undefined)[]): void {
    for (const index of this.#content.metainfo.files.keys()) {
      if (!this.#dirty.has(index)) this.#stamps[index] = stamps[index];
    }
    this.#isChanged = true;
  }

  /**
   * Flushes what was written and writes the resume file, if it would say anything new; one save at a time.
   *
   * @param alone runs work while nothing is written
   * @param isInDoubt true for a file of which something held is to be hashed again
   */
  async save(
    alone: (work: () => Promise<void>) => Promise<void>,
    isInDoubt: (index: number) => boolean,
  ): Promise<void> {
    const { metainfo, have, files, disk, resumeFile } = this.#content;
    if (!this.#isChanged || resumeFile === undefined) return;
    let dirty: number[] = [];
    let bytes: Buffer = Buffer.alloc(0);
    await alone(async () => {
      dirty = await this.#stampDirty();
      this.#stampDisturbed(isInDoubt);
      this.#attempted = [...this.#stamps];
      // Pieces written from here on change their file's time, so that it is hashed if nothing is saved later.
      bytes = encodeResume(metainfo, { have, stamps: this.#stamps });
    });
    // What is in doubt is recorded when it is not.
    this.#isChanged = this.#disturbed.size > 0;
    try {
      await forEachOf(dirty, CONCURRENT_FLUSHES, (index) => files.sync(index));
      await writeResume(disk, resumeFile, bytes);
      this.#recorded = this.#attempted;
    } catch (error) {
      this.#isChanged = true;
      for (const index of dirty) this.#dirty.add(index);
      throw error;
    }
  }

  /** Gives every file its exact length and mode and flushes all, if that is not so already. */
  async finish(folder: Folder): Promise<void> {
    const { metainfo, files } = this.#content;
    if (!this.#isUnflushed && (await this.#isFinished())) return;
    const folders = new Map<string, readonly string[]>([['', []]]);
    await forEachOf(metainfo.files.entries(), CONCURRENT_FLUSHES, async ([index, file]) => {
      if (file.padding) return;
      if (await files.finish(index)) this.#outOfStep(index);
      for (let depth = file.path.length - 1; depth > 0; depth--) {
        const path = file.path.slice(0, depth);
        folders.set(path.join('/'), path);
      }
    });
    // The deepest first, so that a folder's entries are safe before the entry that names it.
    const deepestFirst = [...folders.values()].sort((a, b) => b.length - a.length);
    for (const path of deepestFirst) await folder.sync(path);
    this.#isUnflushed = false;
  }

  /** True if every file is there and has its length: what was there when we came needs nothing. */
  async #isFinished(): Promise<boolean> {
    const { metainfo, files } = this.#content;
    for (const [index, { padding, lengthBytes }] of metainfo.files.entries()) {
      if (padding) continue;
      const known = lengthBytes === 0 ? await files.status(index) : files.known(index);
      if (known?.sizeBytes !== lengthBytes) return false;
    }
    return true;
  }

  #outOfStep(index: number): void {
    this.#dirty.add(index);
    this.#stamps[index] = undefined;
    this.#isChanged = true;
  }

  /**
   * Stamps the files written to since the last time; while nothing is written. A stamp is never one that the resume
   * file may hold for fewer pieces: after a crash before this save is done, the new ones would not be looked for.
   */
  async #stampDirty(): Promise<number[]> {
    const dirty = [...this.#dirty];
    await forEachOf(dirty, CONCURRENT_FLUSHES, async (index) => {
      const status = await this.#content.files.stamp(index, [
        this.#recorded[index]?.modifiedNanoseconds,
        this.#attempted[index]?.modifiedNanoseconds,
      ]);
      if (!this.#disturbed.has(index)) this.#stamps[index] = status;
    });
    this.#dirty.clear();
    return dirty;
  }

  /** Files that somebody else changed and of which nothing is in doubt any more are in step again. */
  #stampDisturbed(isInDoubt: (index: number) => boolean): void {
    for (const index of this.#disturbed) {
      if (isInDoubt(index)) continue;
      this.#disturbed.delete(index);
      this.#stamps[index] = this.#content.files.known(index);
    }
  }
}
