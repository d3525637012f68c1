// Open descriptors of the files of one torrent. Invariants: one that failed is not used again; a file that was there is
// not made again before it is known what was lost with it; and one that is opened for writing has its exact length.
import { TorrentError } from '../../errors.ts';
import type { Metainfo, TorrentFile } from '../../metainfo.ts';
import { type Disk, diskError } from './disk.ts';
import { changedBySomebody, type FilesAsLeft, isReplaced } from './files-as-left.ts';
import type { Folder } from './folder.ts';
import { OpenFile, type OpenFiles } from './open-files.ts';

/** What is open of the files, by their index in the metainfo. */
export class FileDescriptors {
  readonly #metainfo: Metainfo;
  readonly #disk: Disk;
  readonly #folder: Folder;
  readonly #shared: OpenFiles;
  readonly #left: FilesAsLeft;
  readonly #open = new Map<number, OpenFile>();

  constructor(metainfo: Metainfo, disk: Disk, folder: Folder, shared: OpenFiles, left: FilesAsLeft) {
    this.#metainfo = metainfo;
    this.#disk = disk;
    this.#folder = folder;
    this.#shared = shared;
    this.#left = left;
  }

  /** The file of an index. @throws TorrentError InvalidRequest if there is none */
  file(index: number): TorrentFile {
    const file = this.#metainfo.files[index];
    if (file === undefined) throw new TorrentError('InvalidRequest', `no file ${index} in the torrent`);
    return file;
  }

  /**
   * Opens a file, if it is not open as it has to be, for as long as the work lasts; one that is to be written to is
   * made if need be, and has its length from then on. Returns undefined where there is nothing to read.
   * @throws TorrentError FileChanged if somebody else removed, replaced or cut what is to be written to; what the disk
   *   says of the opening or of the work
   */
  async use<T>(
    index: number,
    writable: boolean,
    doing: string,
    work: (fd: number) => Promise<T>,
  ): Promise<T | undefined> {
    let open = this.#open.get(index);
    if (open === undefined || (writable && !open.writable)) {
      if (open !== undefined) void this.drop(index);
      open = new OpenFile(this.#disk, writable, this.#openFile(index, writable));
      this.#open.set(index, open);
    }
    const used = open;
    used.users++;
    this.#shared.touch(used, () => void this.drop(index));
    try {
      const fd = await used.fd;
      return await work(fd);
    } catch (error) {
      // Whatever happened, the next use begins with a fresh descriptor.
      if (this.#open.get(index) === used) void this.drop(index);
      if (error instanceof MissingFile) return undefined;
      throw diskError(error, `${doing} ${this.#folder.path}/${this.file(index).path.join('/')}`);
    } finally {
      used.release();
      this.#shared.trim();
    }
  }

  /** What is open of the file is used no more; resolves when it is closed. */
  async drop(index: number): Promise<void> {
    const open = this.#open.get(index);
    if (open === undefined) return;
    this.#open.delete(index);
    this.#shared.forget(open);
    await open.retire();
  }

  /** Closes what is open, each file as soon as nobody uses it. */
  async closeAll(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((index) => this.drop(index)));
  }

  async #openFile(index: number, writable: boolean): Promise<number> {
    const { path, executable, lengthBytes } = this.file(index);
    if (!writable) {
      const opened = await this.#folder.openFile(path, { access: 'read' });
      if (opened === undefined) throw new MissingFile();
      return opened.fd;
    }
    const known = this.#left.known(index);
    // What was there is not made again before it is known what was lost with it.
    const access = known === undefined ? 'create' : 'write';
    const opened = await this.#folder.openFile(path, { access, executable });
    if (opened === undefined || (known !== undefined && isReplaced(known, opened.status))) {
      if (opened !== undefined) await this.#disk.close(opened.fd);
      this.#left.notice(index, opened?.status);
      throw changedBySomebody(path, opened?.status, lengthBytes);
    }
    try {
      if (opened.status.sizeBytes !== lengthBytes) {
        await this.#disk.truncate(opened.fd, lengthBytes);
        this.#left.set(index, await this.#disk.status(opened.fd));
      } else if (known === undefined) this.#left.set(index, opened.status);
      return opened.fd;
    } catch (error) {
      await this.#disk.close(opened.fd);
      throw error;
    }
  }
}

/** Ends a use of a file that is not there; never leaves this module. */
class MissingFile extends Error {}
