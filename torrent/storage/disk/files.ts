// The files of one torrent, opened as they are needed. Invariants: a file that is written to has its exact length
// from its first write on (sparse until it is filled); and how each file looked after the last change of ours is
// known, so that what somebody else does to it is noticed, and never silently filled up or written into nothing.
import { isTorrentError, TorrentError } from '../../errors.ts';
import type { Metainfo } from '../../metainfo.ts';
import type { WrittenPart } from '../writing/piece-write.ts';
import { type Disk, type FileStatus, readFully, systemCode, writeFully } from './disk.ts';
import { FileDescriptors } from './file-descriptors.ts';
import { changedBySomebody, FilesAsLeft } from './files-as-left.ts';
import type { Folder } from './folder.ts';
import type { OpenFiles } from './open-files.ts';

const NANOSECONDS = 1_000_000_000n;

/** Failures of files whose time or mode we may not set. */
const NOT_OURS = ['EPERM', 'EACCES', 'EROFS'];

/** Random access to the files of one torrent, by their index in the metainfo. */
export class TorrentFiles {
  readonly #disk: Disk;
  readonly #folder: Folder;
  readonly #left: FilesAsLeft;
  readonly #descriptors: FileDescriptors;

  constructor(metainfo: Metainfo, disk: Disk, folder: Folder, shared: OpenFiles) {
    this.#disk = disk;
    this.#folder = folder;
    this.#left = new FilesAsLeft(metainfo);
    this.#descriptors = new FileDescriptors(metainfo, disk, folder, shared, this.#left);
  }

  /** How often each file was found to have been changed by somebody else. */
  get disturbances(): Uint32Array {
    return this.#left.disturbances;
  }

  /** Called whenever one is. */
  set onDisturbed(listener: (index: number) => void) {
    this.#left.onDisturbed = listener;
  }

  /** What the disk says about a file, from now on taken for how we left it; undefined if it is not there. */
  async status(index: number): Promise<FileStatus | undefined> {
    const status = await this.#statusOf(index);
    this.#left.set(index, status);
    return status;
  }

  /** How a file looked when it was last looked at or changed by us. */
  known(index: number): FileStatus | undefined {
    return this.#left.known(index);
  }

  /**
   * Looks whether a file still is where it was left, and as it was left; nobody here writes to it meanwhile. What is
   * no regular file any more, or cannot be opened, counts as gone.
   */
  async look(index: number): Promise<void> {
    if (!this.#left.notice(index, await this.#statusNowAt(index))) await this.#descriptors.drop(index);
  }

  /**
   * Reads from a file until `into` is full or the file ends. Returns how many bytes were read: 0 where there is no
   * file.
   * @throws TorrentError DiskIo also where a file is said to be another one and is found to be the same.
   */
  async read(index: number, into: Uint8Array, position: number): Promise<number> {
    try {
      return await this.#read(index, into, position);
    } catch (error) {
      if (!isStale(error)) throw error;
    }
    // What was open is there no more (ESTALE); what is opened anew should be.
    try {
      return await this.#read(index, into, position);
    } catch (error) {
      if (!isStale(error)) throw error;
      throw new TorrentError('DiskIo', error.message, { cause: error });
    }
  }

  async #read(index: number, into: Uint8Array, position: number): Promise<number> {
    const count = await this.#descriptors.use(index, false, 'reading', async (fd) => {
      const count = await readFully(this.#disk, fd, into, position);
      const steps = this.#left.steps(index);
      const status = await this.#disk.statusNow(fd);
      // What we write ourselves meanwhile is nobody else's change.
      if (steps === undefined || steps !== this.#left.steps(index)) return count;
      if (!this.#left.notice(index, status)) void this.#descriptors.drop(index);
      return count;
    });
    return count ?? 0;
  }

  /**
   * Writes to a file, which is made if need be.
   * @throws TorrentError FileChanged if somebody else removed, replaced or cut it.
   */
  async write(index: number, from: Uint8Array, position: number): Promise<void> {
    await this.#descriptors.use(index, true, 'writing', async (fd) => {
      if (!this.#left.isAsLeft(index, await this.#disk.statusNow(fd))) await this.#lookCloser(index);
      this.#left.beginWrite(index);
      try {
        await writeFully(this.#disk, fd, from, position);
      } finally {
        await this.#endWrite(index, fd);
      }
    });
  }

  async #endWrite(index: number, fd: number): Promise<void> {
    let status: FileStatus | undefined;
    try {
      status = await this.#disk.statusNow(fd);
    } finally {
      this.#left.endWrite(index, status);
    }
  }

  /**
   * Has files open for writing by a thread, each made if need be, while the work lasts; the work tells of what was
   * written, in the order of `indexes`.
   * @throws TorrentError FileChanged if somebody else removed, replaced or cut one of them.
   */
  writeByThread<T>(
    indexes: readonly number[],
    work: (fds: readonly number[], written: (parts: readonly WrittenPart[]) => void) => Promise<T>,
  ): Promise<T> {
    const open = async (fds: readonly number[]): Promise<T> => {
      const index = indexes[fds.length];
      // A file that is made when it is missing is never missing.
      if (index !== undefined)
        return this.#descriptors.use(index, true, 'writing', (fd) => open([...fds, fd])) as Promise<T>;
      const disturbed = new Set<number>();
      for (const each of indexes) this.#left.beginThreadWrite(each);
      try {
        return await work(fds, (parts) => {
          for (const [part, { before, after }] of parts.entries()) {
            const each = indexes[part] as number;
            if (!this.#left.isContinued(each, before, after)) disturbed.add(each);
          }
        });
      } catch (error) {
        for (const [part, each] of indexes.entries()) await this.#lostTrack(each, fds[part] as number);
        throw error;
      } finally {
        for (const each of indexes) this.#left.endThreadWrite(each);
        for (const each of disturbed) await this.#lookCloser(each);
      }
    };
    return open([]);
  }

  /** A write failed half way: how the file looks now has to do. */
  async #lostTrack(index: number, fd: number): Promise<void> {
    this.#left.loseTrack(index);
    this.#left.set(index, await this.#disk.statusNow(fd));
    this.#left.disturbed(index);
  }

  /** Flushes a file; does nothing if it is not there. */
  async sync(index: number): Promise<void> {
    await this.#descriptors.use(index, false, 'flushing', (fd) => this.#disk.sync(fd));
  }

  /**
   * Sets the modification time of a file back to the second before, so that any later write is sure to change it,
   * however coarse the file system's clock; further back where that is one of `taken`, times (in nanoseconds) that
   * mean another state of the file. Returns what the disk then says.
   */
  async stamp(index: number, taken: readonly (bigint | undefined)[]): Promise<FileStatus | undefined> {
    return this.#descriptors.use(index, false, 'stamping', async (fd) => {
      const before = await this.#disk.status(fd);
      this.#left.notice(index, before);
      let seconds = before.modifiedNanoseconds / NANOSECONDS - 1n;
      while (taken.includes(seconds * NANOSECONDS)) seconds--;
      await this.#unlessForbidden(() => this.#disk.setModified(fd, Number(seconds)));
      return this.#leave(index, fd);
    });
  }

  /**
   * Gives a file its exact length (making it, if it is not there), lets those execute it who may read it, if it is to
   * be executable and its owner may not, and flushes it. Returns whether it had another length.
   */
  async finish(index: number): Promise<boolean> {
    const { lengthBytes, executable } = this.#descriptors.file(index);
    // One that is cut or made is opened for writing, anew.
    const status = await this.status(index);
    const isExact = status?.sizeBytes === lengthBytes;
    if (!isExact) await this.#descriptors.drop(index);
    await this.#descriptors.use(index, !isExact, 'finishing', async (fd) => {
      const { mode } = await this.#disk.status(fd);
      if (executable && (mode & OWNER_EXECUTES) === 0)
        await this.#unlessForbidden(() => this.#disk.setMode(fd, mode | ((mode & READABLE) >> 2)));
      await this.#disk.sync(fd);
      return this.#leave(index, fd);
    });
    return !isExact;
  }

  /** Closes what is open, each file as soon as nobody uses it. */
  closeAll(): Promise<void> {
    return this.#descriptors.closeAll();
  }

  async #statusOf(index: number): Promise<FileStatus | undefined> {
    const opened = await this.#folder.openFile(this.#descriptors.file(index).path, { access: 'read' });
    if (opened === undefined) return undefined;
    await this.#disk.close(opened.fd);
    return opened.status;
  }

  async #statusNowAt(index: number): Promise<FileStatus | undefined> {
    try {
      return await this.#statusOf(index);
    } catch (error) {
      if (isTorrentError(error, 'UnsafePath') || isTorrentError(error, 'ReadOnly')) return undefined;
      throw error;
    }
  }

  async #leave(index: number, fd: number): Promise<FileStatus> {
    const status = await this.#disk.status(fd);
    this.#left.set(index, status);
    return status;
  }

  /** Files of another owner keep their time and mode; a fine clock then has to do. */
  async #unlessForbidden(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!NOT_OURS.includes(systemCode(error))) throw error;
    }
  }

  /** Somebody else changed a file that is open for writing. @throws TorrentError FileChanged if it is not in its place. */
  async #lookCloser(index: number): Promise<void> {
    const { path, lengthBytes } = this.#descriptors.file(index);
    const before = this.#left.known(index);
    const status = await this.#statusNowAt(index);
    this.#left.set(index, status);
    this.#left.disturbed(index);
    if (status !== undefined && status.identity === before?.identity && status.sizeBytes === lengthBytes)
      return;
    void this.#descriptors.drop(index);
    throw changedBySomebody(path, status, lengthBytes);
  }
}

/** True for what the system says of a file, false for what we found out ourselves. */
function isStale(error: unknown): error is TorrentError {
  return isTorrentError(error, 'FileChanged') && systemCode(error.cause) !== '';
}

const OWNER_EXECUTES = 0o100;
const READABLE = 0o444;
