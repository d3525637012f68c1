// What has been received of a publication: which files, how much of each, and the hashes of their pieces as far
// as those could be made in passing.
//
// Invariant: the offset of a file is what is on the disk of it, a file that is complete has its SHA-256, and the
// sums over all files are kept up to date, so that a chunk costs the same however many files there are.
import { createHash } from 'node:crypto';
import { PieceHasher } from '../../torrent/index.ts';
import { pieceLengthFor } from './describe.ts';
import { IngestRefusal } from './errors.ts';
import type { IngestFolder } from './folder.ts';
import { type MergedPlan, mergePlan } from './plan.ts';
import type { IngestFile } from './record.ts';

/** Hashes pieces while files come in order; given up as soon as they do not. */
interface PiecesInPassing {
  hasher: PieceHasher;
  file: number;
  offset: number;
}

/** The files of one publication. */
export class ReceivedFiles {
  readonly #folder: IngestFolder;
  #files: IngestFile[];
  /** Bytes on the disk, by index of the file. */
  #offsets: number[];
  #writtenBytes = 0;
  #committedBytes = 0;
  #pieces: PiecesInPassing | undefined;
  /** Complete, and not flushed yet. */
  readonly #unflushed = new Set<number>();

  private constructor(folder: IngestFolder, files: IngestFile[], offsets: number[]) {
    this.#folder = folder;
    this.#files = files;
    this.#offsets = offsets;
    this.#sumUp();
  }

  /** Takes up what was kept. After a start of the machine only what was flushed, complete files, is trusted. */
  static async restore(
    folder: IngestFolder,
    kept: readonly IngestFile[],
    isSameBoot: boolean,
  ): Promise<ReceivedFiles> {
    const files: IngestFile[] = [];
    const offsets: number[] = [];
    for (const { complete, ...file } of kept) {
      const onDisk = await folder.sizeOf(file.path);
      const isComplete = complete !== undefined && complete.sizeBytes === onDisk;
      files.push(isComplete ? { ...file, complete } : file);
      offsets.push(isComplete || isSameBoot ? onDisk : 0);
    }
    return new ReceivedFiles(folder, files, offsets);
  }

  get files(): readonly IngestFile[] {
    return this.#files;
  }

  /** Bytes on the disk. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Bytes that there will be at least: what is declared, and what is there of files that declare nothing. */
  get committedBytes(): number {
    return this.#committedBytes;
  }

  /** @throws IngestRefusal InvalidRequest */
  file(index: number): IngestFile {
    const file = this.#files[index];
    if (file === undefined) throw new IngestRefusal('InvalidRequest', `the plan has no file ${index}`);
    return file;
  }

  offset(index: number): number {
    return this.#offsets[index] ?? 0;
  }

  /** The first file that is not complete. */
  get missing(): IngestFile | undefined {
    return this.#files.find(({ complete }) => complete === undefined);
  }

  /** Takes another plan; what is there of files that are still the same is kept. */
  async takePlan(request: readonly IngestFile[]): Promise<void> {
    const merged = mergePlan([...request], this.#files, this.#offsets);
    if (merged.isUnchanged) return;
    await this.#folder.close();
    for (const path of merged.dropped) await this.#folder.drop(path);
    this.#take(merged);
  }

  /** Opens a file for its bytes from where it is. @throws IngestRefusal OffsetMismatch if it became shorter. */
  async open(index: number): Promise<void> {
    const { path, executable } = this.file(index);
    try {
      await this.#folder.open(path, this.offset(index), executable);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      await this.drop(index);
      throw new IngestRefusal('OffsetMismatch', `${error.message}; it has to come again`, {
        offset: 0,
        cause: error,
      });
    }
  }

  /** Appends to the file that is open. Hot: once a chunk of the network. */
  async append(index: number, chunk: Uint8Array): Promise<void> {
    const offset = this.offset(index);
    const next = await this.#folder.append(chunk);
    this.#moveTo(index, next);
    const pieces = this.#pieces;
    if (pieces === undefined) return;
    if (pieces.file === index && pieces.offset === offset) {
      pieces.hasher.update(chunk);
      pieces.offset = next;
    } else this.#pieces = undefined;
  }

  /** Ends a file where it is; returns its SHA-256 in hexadecimal digits. It counts as complete by `complete()`. */
  async finish(index: number): Promise<string> {
    await this.open(index);
    return this.#folder.finish();
  }

  /** The file that was finished is what was declared. */
  complete(index: number, sha256: string): void {
    this.file(index).complete = { sha256, sizeBytes: this.offset(index) };
    this.#unflushed.add(index);
    if (this.#pieces?.file === index) {
      this.#pieces.file += 1;
      this.#pieces.offset = 0;
    } else this.#pieces = undefined;
  }

  /** Throws away what is there of a file. */
  async drop(index: number): Promise<void> {
    const file = this.file(index);
    await this.#folder.drop(file.path);
    delete file.complete;
    this.#moveTo(index, 0);
    this.#unflushed.delete(index);
    this.#pieces = undefined;
  }

  /** Forgets everything; the files have been taken elsewhere. */
  clear(): void {
    this.#take({ files: [], offsets: [], dropped: [], isUnchanged: false });
    this.#pieces = undefined;
  }

  /** Flushes what is complete. */
  async flush(): Promise<void> {
    for (const index of [...this.#unflushed]) {
      await this.#folder.sync(this.file(index).path);
      this.#unflushed.delete(index);
    }
  }

  /** Flushes the folders, and removes whatever is not one of the files. */
  tidy(): Promise<void> {
    return this.#folder.tidy(new Set(this.#files.map(({ path }) => path)));
  }

  /** Closes what is open; what was written stays. */
  close(): Promise<void> {
    return this.#folder.close();
  }

  /**
   * SHA-1 of all pieces, end to end: as it was made in passing, else from the disk, where the SHA-256 of the
   * files are checked once more on the way. A file that is not what was received is dropped.
   */
  async pieces(signal: AbortSignal): Promise<Buffer> {
    const inPassing = this.#pieces;
    this.#pieces = undefined;
    if (inPassing?.file === this.#files.length) return inPassing.hasher.finish();
    const hasher = new PieceHasher(pieceLengthFor(this.#writtenBytes));
    for (const [index, { path, complete }] of this.#files.entries()) {
      const sha256 = createHash('sha256');
      for await (const chunk of this.#folder.read(path, signal)) {
        sha256.update(chunk);
        hasher.update(chunk);
      }
      if (sha256.digest('hex') === complete?.sha256) continue;
      await this.drop(index);
      throw new Error(`${path} is not on the disk as it was received; the disk may be failing`);
    }
    return hasher.finish();
  }

  #take({ files, offsets }: MergedPlan): void {
    this.#files = files;
    this.#offsets = offsets;
    this.#sumUp();
    this.#unflushed.clear();
    for (const [index, { complete }] of files.entries())
      if (complete !== undefined) this.#unflushed.add(index);
    const sizesKnown = files.every(({ sizeBytes }) => sizeBytes !== null);
    this.#pieces =
      this.#writtenBytes === 0 && sizesKnown
        ? { hasher: new PieceHasher(pieceLengthFor(this.#committedBytes)), file: 0, offset: 0 }
        : undefined;
  }

  #sumUp(): void {
    this.#writtenBytes = 0;
    this.#committedBytes = 0;
    for (const [index, { sizeBytes }] of this.#files.entries()) {
      this.#writtenBytes += this.offset(index);
      this.#committedBytes += sizeBytes ?? this.offset(index);
    }
  }

  #moveTo(index: number, offset: number): void {
    const change = offset - this.offset(index);
    this.#offsets[index] = offset;
    this.#writtenBytes += change;
    if (this.file(index).sizeBytes === null) this.#committedBytes += change;
  }
}
