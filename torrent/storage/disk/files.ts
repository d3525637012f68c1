// The files of one torrent, opened as they are needed. Invariants: a file that is written to has its exact length
// from its first write on (sparse until it is filled); and how each file looked after the last change of ours is
// known, so that what somebody else does to it is noticed, and never silently filled up or written into nothing.
import { isTorrentError, TorrentError } from '../../errors.ts';
import type { Metainfo, TorrentFile } from '../../metainfo.ts';
import type { FileTrace, WrittenPart } from '../writing/piece-write.ts';
import { type Disk, diskError, type FileStatus, readFully, systemCode, writeFully } from './disk.ts';
import type { Folder } from './folder.ts';
import { OpenFile, type OpenFiles } from './open-files.ts';

const NANOSECONDS = 1_000_000_000n;

/** Failures of files whose time or mode we may not set. */
const NOT_OURS = ['EPERM', 'EACCES', 'EROFS'];

/** Writes by a thread that are under way in one file: how the last one that is known of left it. */
interface ThreadWrites {
  count: number;
  last: FileTrace | undefined;
}

/** Random access to the files of one torrent, by their index in the metainfo. */
export class TorrentFiles {
  /** How often each file was found to have been changed by somebody else. */
  readonly disturbances: Uint32Array;
  /** Called whenever one is. */
  onDisturbed: (index: number) => void = () => {};
  readonly #metainfo: Metainfo;
  readonly #disk: Disk;
  readonly #folder: Folder;
  readonly #shared: OpenFiles;
  readonly #open = new Map<number, OpenFile>();
  /** How each file looked after the last change of ours, or when somebody else's was noticed; undefined: not there. */
  readonly #known: (FileStatus | undefined)[];
  readonly #threadWrites = new Map<number, ThreadWrites>();

  constructor(metainfo: Metainfo, disk: Disk, folder: Folder, shared: OpenFiles) {
    this.#metainfo = metainfo;
    this.#disk = disk;
    this.#folder = folder;
    this.#shared = shared;
    this.disturbances = new Uint32Array(metainfo.files.length);
    this.#known = metainfo.files.map(() => undefined);
  }

  /** What the disk says about a file, from now on taken for how we left it; undefined if it is not there. */
  async status(index: number): Promise<FileStatus | undefined> {
    const status = await this.#statusOf(index);
    this.#known[index] = status;
    return status;
  }

  /** How a file looked when it was last looked at or changed by us. */
  known(index: number): FileStatus | undefined {
    return this.#known[index];
  }

  /**
   * Looks whether a file still is where it was left, and as it was left; nobody here writes to it meanwhile. What is
   * no regular file any more, or cannot be opened, counts as gone.
   */
  async look(index: number): Promise<void> {
    if (!this.#notice(index, await this.#statusNowAt(index))) await this.#drop(index);
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
    const count = await this.#use(index, false, 'reading', async (fd) => {
      const count = await readFully(this.#disk, fd, into, position);
      // While a thread writes to it, only the thread can tell its changes from others.
      if (!this.#threadWrites.has(index) && !this.#notice(index, await this.#disk.statusNow(fd)))
        void this.#drop(index);
      return count;
    });
    return count ?? 0;
  }

  /**
   * Writes to a file, which is made if need be.
   * @throws TorrentError FileChanged if somebody else removed, replaced or cut it.
   */
  async write(index: number, from: Uint8Array, position: number): Promise<void> {
    await this.#use(index, true, 'writing', async (fd) => {
      if (!this.#isAsLeft(index, await this.#disk.statusNow(fd))) await this.#lookCloser(index);
      try {
        await writeFully(this.#disk, fd, from, position);
      } finally {
        this.#known[index] = await this.#disk.statusNow(fd);
      }
    });
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
        return this.#use(index, true, 'writing', (fd) => open([...fds, fd])) as Promise<T>;
      const disturbed = new Set<number>();
      for (const each of indexes) this.#beginThreadWrite(each);
      try {
        return await work(fds, (parts) => {
          for (const [part, { before, after }] of parts.entries()) {
            const each = indexes[part] as number;
            if (!this.#isContinued(each, before, after)) disturbed.add(each);
          }
        });
      } catch (error) {
        for (const [part, each] of indexes.entries()) await this.#lostTrack(each, fds[part] as number);
        throw error;
      } finally {
        for (const each of indexes) this.#endThreadWrite(each);
        for (const each of disturbed) await this.#lookCloser(each);
      }
    };
    return open([]);
  }

  #beginThreadWrite(index: number): void {
    const writes = this.#threadWrites.get(index);
    if (writes !== undefined) writes.count++;
    else this.#threadWrites.set(index, { count: 1, last: this.#known[index] });
  }

  #endThreadWrite(index: number): void {
    const writes = this.#threadWrites.get(index);
    if (writes === undefined || --writes.count > 0) return;
    this.#threadWrites.delete(index);
    const known = this.#known[index];
    if (known !== undefined && writes.last !== undefined) this.#known[index] = { ...known, ...writes.last };
  }

  /** False if somebody else changed the file between two writes of the thread. */
  #isContinued(index: number, before: FileTrace, after: FileTrace): boolean {
    const writes = this.#threadWrites.get(index);
    if (writes === undefined) return false;
    const { last } = writes;
    writes.last = after;
    return (
      (last === undefined || isUntouched(last, before)) &&
      after.links > 0 &&
      after.sizeBytes === this.#file(index).lengthBytes
    );
  }

  /** A write failed half way: how the file looks now has to do. */
  async #lostTrack(index: number, fd: number): Promise<void> {
    const writes = this.#threadWrites.get(index);
    if (writes !== undefined) writes.last = undefined;
    this.#known[index] = await this.#disk.statusNow(fd);
    this.#disturbed(index);
  }

  /** Flushes a file; does nothing if it is not there. */
  async sync(index: number): Promise<void> {
    await this.#use(index, false, 'flushing', (fd) => this.#disk.sync(fd));
  }

  /**
   * Sets the modification time of a file back to the second before, so that any later write is sure to change it,
   * however coarse the file system's clock; further back where that is one of `taken`, times (in nanoseconds) that
   * mean another state of the file. Returns what the disk then says.
   */
  async stamp(index: number, taken: readonly (bigint | undefined)[]): Promise<FileStatus | undefined> {
    return this.#use(index, false, 'stamping', async (fd) => {
      const before = await this.#disk.status(fd);
      this.#notice(index, before);
      let seconds = before.modifiedNanoseconds / NANOSECONDS - 1n;
      while (taken.includes(seconds * NANOSECONDS)) seconds--;
      await this.#unlessForbidden(() => this.#disk.setModified(fd, Number(seconds)));
      return this.#left(index, fd);
    });
  }

  /**
   * Gives a file its exact length (making it, if it is not there), lets those execute it who may read it, if it is to
   * be executable and its owner may not, and flushes it. Returns whether it had another length.
   */
  async finish(index: number): Promise<boolean> {
    const { lengthBytes, executable } = this.#file(index);
    // One that is cut or made is opened for writing, anew.
    const status = await this.status(index);
    const isExact = status?.sizeBytes === lengthBytes;
    if (!isExact) await this.#drop(index);
    await this.#use(index, !isExact, 'finishing', async (fd) => {
      const { mode } = await this.#disk.status(fd);
      if (executable && (mode & OWNER_EXECUTES) === 0)
        await this.#unlessForbidden(() => this.#disk.setMode(fd, mode | ((mode & READABLE) >> 2)));
      await this.#disk.sync(fd);
      return this.#left(index, fd);
    });
    return !isExact;
  }

  /** Closes what is open, each file as soon as nobody uses it. */
  async closeAll(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((index) => this.#drop(index)));
  }

  #file(index: number): TorrentFile {
    const file = this.#metainfo.files[index];
    if (file === undefined) throw new TorrentError('InvalidRequest', `no file ${index} in the torrent`);
    return file;
  }

  async #statusOf(index: number): Promise<FileStatus | undefined> {
    const opened = await this.#folder.openFile(this.#file(index).path, { access: 'read' });
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

  async #left(index: number, fd: number): Promise<FileStatus> {
    const status = await this.#disk.status(fd);
    this.#known[index] = status;
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

  /** Takes note of how a file looks. False, once, if somebody else changed it. */
  #notice(index: number, status: FileStatus | undefined): boolean {
    const known = this.#known[index];
    this.#known[index] = status;
    const isSame =
      known === undefined || status === undefined
        ? known === status
        : known.identity === status.identity && isUntouched(known, status);
    if (!isSame) this.#disturbed(index);
    return isSame;
  }

  #disturbed(index: number): void {
    this.disturbances[index] = (this.disturbances[index] ?? 0) + 1;
    this.onDisturbed(index);
  }

  #isAsLeft(index: number, status: FileStatus): boolean {
    const known = this.#known[index];
    if (status.links === 0 || status.sizeBytes !== this.#file(index).lengthBytes) return false;
    return known !== undefined && isUntouched(known, status);
  }

  /** Somebody else changed a file that is open for writing. @throws TorrentError FileChanged if it is not in its place. */
  async #lookCloser(index: number): Promise<void> {
    const { path, lengthBytes } = this.#file(index);
    const before = this.#known[index];
    const status = await this.#statusNowAt(index);
    this.#known[index] = status;
    this.#disturbed(index);
    if (status !== undefined && status.identity === before?.identity && status.sizeBytes === lengthBytes)
      return;
    void this.#drop(index);
    throw changedBySomebody(path, status, lengthBytes);
  }

  async #use<T>(
    index: number,
    writable: boolean,
    doing: string,
    work: (fd: number) => Promise<T>,
  ): Promise<T | undefined> {
    let open = this.#open.get(index);
    if (open === undefined || (writable && !open.writable)) {
      if (open !== undefined) void this.#drop(index);
      open = new OpenFile(this.#disk, writable, this.#openFile(index, writable));
      this.#open.set(index, open);
    }
    const used = open;
    used.users++;
    this.#shared.touch(used, () => void this.#drop(index));
    try {
      const fd = await used.fd;
      return await work(fd);
    } catch (error) {
      // Whatever happened, the next use begins with a fresh descriptor.
      if (this.#open.get(index) === used) void this.#drop(index);
      if (error instanceof MissingFile) return undefined;
      throw diskError(error, `${doing} ${this.#folder.path}/${this.#file(index).path.join('/')}`);
    } finally {
      used.release();
      this.#shared.trim();
    }
  }

  async #drop(index: number): Promise<void> {
    const open = this.#open.get(index);
    if (open === undefined) return;
    this.#open.delete(index);
    this.#shared.forget(open);
    await open.retire();
  }

  async #openFile(index: number, writable: boolean): Promise<number> {
    const { path, executable, lengthBytes } = this.#file(index);
    if (!writable) {
      const opened = await this.#folder.openFile(path, { access: 'read' });
      if (opened === undefined) throw new MissingFile();
      return opened.fd;
    }
    const known = this.#known[index];
    // What was there is not made again before it is known what was lost with it.
    const access = known === undefined ? 'create' : 'write';
    const opened = await this.#folder.openFile(path, { access, executable });
    if (opened === undefined || (known !== undefined && isOther(known, opened.status))) {
      if (opened !== undefined) await this.#disk.close(opened.fd);
      this.#notice(index, opened?.status);
      throw changedBySomebody(path, opened?.status, lengthBytes);
    }
    try {
      if (opened.status.sizeBytes !== lengthBytes) {
        await this.#disk.truncate(opened.fd, lengthBytes);
        await this.#left(index, opened.fd);
      } else if (known === undefined) this.#known[index] = opened.status;
      return opened.fd;
    } catch (error) {
      await this.#disk.close(opened.fd);
      throw error;
    }
  }
}

/** True for what the system says of a file, false for what we found out ourselves. */
function isStale(error: unknown): error is TorrentError {
  return isTorrentError(error, 'FileChanged') && systemCode(error.cause) !== '';
}

const OWNER_EXECUTES = 0o100;
const READABLE = 0o444;

function isOther(known: FileStatus, status: FileStatus): boolean {
  return known.identity !== status.identity || known.sizeBytes !== status.sizeBytes;
}

/**
 * True if nobody wrote to a file in between. The time of the last change alone tells of a write whose time was set
 * back, and also of another mode or number of links, which is no matter.
 */
function isUntouched(before: FileTrace, after: FileTrace): boolean {
  if (before.sizeBytes !== after.sizeBytes || before.modifiedNanoseconds !== after.modifiedNanoseconds)
    return false;
  if (before.changedNanoseconds === after.changedNanoseconds) return true;
  return before.mode !== after.mode || before.links !== after.links;
}

function changedBySomebody(
  path: readonly string[],
  status: FileStatus | undefined,
  lengthBytes: number,
): TorrentError {
  const how =
    status === undefined
      ? 'was removed or moved away'
      : status.sizeBytes === lengthBytes
        ? 'was replaced'
        : `has ${status.sizeBytes} bytes instead of ${lengthBytes}: it was changed`;
  return new TorrentError('FileChanged', `${path.join('/')} ${how} by somebody else`);
}

/** Ends a use of a file that is not there; never leaves this module. */
class MissingFile extends Error {}
