// The files of one torrent, opened as they are needed. Invariant: a file that is written to has its exact
// length from its first write on (sparse until it is filled), and one that lost bytes underneath is an error,
// never silently filled up again.
import { TorrentError } from '../errors.ts';
import type { Metainfo, TorrentFile } from '../metainfo.ts';
import { type Disk, diskError, type FileStatus, readFully, systemCode, writeFully } from './disk.ts';
import type { Folder } from './folder.ts';
import { OpenFile, type OpenFiles } from './open-files.ts';

const NANOSECONDS = 1_000_000_000n;

/** Random access to the files of one torrent, by their index in the metainfo. */
export class TorrentFiles {
  readonly #metainfo: Metainfo;
  readonly #disk: Disk;
  readonly #folder: Folder;
  readonly #shared: OpenFiles;
  readonly #open = new Map<number, OpenFile>();
  /** 1 for files that are known to have their exact length. */
  readonly #sized: Uint8Array;

  constructor(metainfo: Metainfo, disk: Disk, folder: Folder, shared: OpenFiles) {
    this.#metainfo = metainfo;
    this.#disk = disk;
    this.#folder = folder;
    this.#shared = shared;
    this.#sized = new Uint8Array(metainfo.files.length);
  }

  /** What the disk says about a file; undefined if it is not there. */
  async status(index: number): Promise<FileStatus | undefined> {
    const opened = await this.#folder.openFile(this.#file(index).path, 'read');
    if (opened === undefined) return undefined;
    await this.#disk.close(opened.fd);
    if (opened.status.sizeBytes === this.#file(index).lengthBytes) this.#sized[index] = 1;
    return opened.status;
  }

  /**
   * Reads from a file until `into` is full or the file ends. Returns how many bytes were read, and what the disk
   * says about the file after that; 0 bytes and no status where there is no file.
   */
  async read(
    index: number,
    into: Uint8Array,
    position: number,
  ): Promise<{ count: number; status: FileStatus | undefined }> {
    const result = await this.#use(index, false, 'reading', async (fd) => {
      const count = await readFully(this.#disk, fd, into, position);
      return { count, status: this.#disk.statusNow(fd) };
    });
    return result ?? { count: 0, status: undefined };
  }

  /** Writes to a file, which is made if need be. */
  async write(index: number, from: Uint8Array, position: number): Promise<void> {
    await this.#use(index, true, 'writing', (fd) => writeFully(this.#disk, fd, from, position));
  }

  /** Has files open for writing, each made if need be, while the work lasts. */
  withOpen<T>(indexes: readonly number[], work: (fds: readonly number[]) => Promise<T>): Promise<T> {
    const open = (fds: readonly number[]): Promise<T> => {
      const index = indexes[fds.length];
      if (index === undefined) return work(fds);
      // A file that is made when it is missing is never missing.
      return this.#use(index, true, 'writing', (fd) => open([...fds, fd])) as Promise<T>;
    };
    return open([]);
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
      const { modifiedNanoseconds } = await this.#disk.status(fd);
      let seconds = modifiedNanoseconds / NANOSECONDS - 1n;
      while (taken.includes(seconds * NANOSECONDS)) seconds--;
      try {
        await this.#disk.setModified(fd, Number(seconds));
      } catch (error) {
        // Files of another owner keep their time; a fine clock then has to do.
        if (!['EPERM', 'EACCES', 'EROFS'].includes(systemCode(error))) throw error;
      }
      return this.#disk.status(fd);
    });
  }

  /**
   * Gives a file its exact length (making it, if it is not there) and its mode, and flushes it.
   * Returns whether it had another length.
   */
  async finish(index: number): Promise<boolean> {
    const file = this.#file(index);
    const status = await this.status(index);
    const isExact = status?.sizeBytes === file.lengthBytes;
    const mode = file.executable ? 0o755 : 0o644;
    await this.#use(index, !isExact, 'finishing', async (fd) => {
      if (status?.mode !== mode) await this.#disk.setMode(fd, mode);
      await this.#disk.sync(fd);
    });
    return !isExact;
  }

  /** Somebody else changed a file: it is opened anew, and filled up again if it is too short. */
  async forget(index: number): Promise<void> {
    this.#sized[index] = 0;
    await this.#drop(index);
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
    const file = this.#file(index);
    const opened = await this.#folder.openFile(file.path, writable ? 'create' : 'read');
    if (opened === undefined) throw new MissingFile();
    if (!writable || opened.status.sizeBytes === file.lengthBytes) {
      if (writable) this.#sized[index] = 1;
      return opened.fd;
    }
    try {
      if (this.#sized[index] === 1) {
        throw new TorrentError(
          'FileChanged',
          `${file.path.join('/')} has ${opened.status.sizeBytes} bytes instead of ${file.lengthBytes}: it was changed by somebody else`,
        );
      }
      await this.#disk.truncate(opened.fd, file.lengthBytes);
      this.#sized[index] = 1;
      return opened.fd;
    } catch (error) {
      await this.#disk.close(opened.fd);
      throw error;
    }
  }
}

/** Ends a use of a file that is not there; never leaves this module. */
class MissingFile extends Error {}
