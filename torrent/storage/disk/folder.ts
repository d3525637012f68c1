// A folder that nothing leads out of. Invariant: every file is reached from the open root part by part, and no
// part is followed if it is a symlink; so even a path that is exchanged for a symlink between check and use
// does not leave the root (where /proc is there to open relative to a descriptor, as on Linux).
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { join } from 'node:path';
import { OPEN_CONTENT } from '../../content-files.ts';
import { TorrentError } from '../../errors.ts';
import { type Disk, diskError, type FileStatus, systemCode } from './disk.ts';
import { OpenFile } from './open-files.ts';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR } = constants;

/** How a file is opened; 'create' is 'write' that makes the file and its folders. */
type Access = 'read' | 'write' | 'create';

/** How a file is opened, and whether it may be executed if it is made. */
export interface HowToOpen {
  access: Access;
  executable?: boolean;
}

const FLAGS: Record<Access, number> = { read: O_RDONLY, write: O_RDWR, create: O_RDWR | O_CREAT };

// The process's umask takes away from these what its user does not want.
const FOLDER_MODE = 0o777;
const FILE_MODE = 0o666;
const EXECUTABLE_MODE = 0o777;
const UNNAMED_MODE = 0o600;

/** A folder on the way, and how to name what lies in it. */
interface Step {
  fd: number;
  path: string;
}

interface Parts {
  path: string;
  fd: number;
  identity: string;
  relative: boolean;
  follow: boolean;
}

/** An open root folder. */
export class Folder {
  readonly #disk: Disk;
  #path: string;
  #identity: string;
  /** Closed when it is replaced or given up and nobody walks through it any more. */
  #root: OpenFile;
  /** Whether /proc gives paths relative to descriptors. */
  readonly #relative: boolean;
  /** Symlinks lead on. */
  readonly #follow: boolean;
  #isClosed = false;

  private constructor(disk: Disk, { path, fd, identity, relative, follow }: Parts) {
    this.#disk = disk;
    this.#path = path;
    this.#identity = identity;
    this.#root = new OpenFile(disk, false, Promise.resolve(fd));
    this.#relative = relative;
    this.#follow = follow;
  }

  /**
   * Opens a root; the path to it is the caller's and may lead over symlinks.
   * @param options.follow files below it are only read, and may be reached over symlinks too
   * @throws TorrentError
   */
  static async open(
    disk: Disk,
    path: string,
    options: { create: boolean; follow?: boolean },
  ): Promise<Folder> {
    try {
      if (options.create) await disk.makeFolders(path);
      const fd = await disk.open(path, O_RDONLY | O_DIRECTORY);
      const { identity } = await disk.status(fd);
      const relative = await disk.exists(`/proc/self/fd/${fd}`);
      return new Folder(disk, { path, fd, identity, relative, follow: options.follow ?? false });
    } catch (error) {
      throw diskError(error, `opening the folder ${path}`);
    }
  }

  /** Where the root is, for messages. */
  get path(): string {
    return this.#path;
  }

  /** False if somebody else moved, removed or replaced the root. @throws TorrentError DiskIo */
  async isInPlace(): Promise<boolean> {
    try {
      const fd = await this.#disk.open(this.#path, O_RDONLY | O_DIRECTORY);
      try {
        return (await this.#disk.status(fd)).identity === this.#identity;
      } finally {
        await this.#disk.close(fd);
      }
    } catch (error) {
      const failure = diskError(error, `opening the folder ${this.#path}`);
      if (failure.code === 'DiskIo') throw failure;
      return false;
    }
  }

  /**
   * The root was renamed or moved. Returns true if it is another folder than before: what is open is then stale.
   * @throws TorrentError
   */
  async relocate(path: string): Promise<boolean> {
    const other = await Folder.open(this.#disk, path, { create: false });
    const isOther = other.#identity !== this.#identity;
    const old = this.#root;
    this.#path = path;
    this.#root = other.#root;
    this.#identity = other.#identity;
    await old.retire();
    return isOther;
  }

  /**
   * Opens a regular file below the root.
   * @param access where symlinks are followed, nothing but 'read'
   * @returns undefined if it (or a folder on the way) does not exist and is not to be created.
   * @throws TorrentError UnsafePath for a symlink or anything that is no regular file, or as the disk says.
   */
  async openFile(
    path: readonly string[],
    { access, executable = false }: HowToOpen,
  ): Promise<{ fd: number; status: FileStatus } | undefined> {
    const doing = `opening ${join(this.#path, ...path)}`;
    try {
      if (this.#follow) {
        const location = join(this.#path, ...path);
        return await this.#openRegular({ path: location, flags: OPEN_CONTENT, mode: 0 }, doing);
      }
      return await this.#within(path.slice(0, -1), access === 'create', async (folder) => {
        // Non-blocking: a FIFO in the way must not stop us.
        const flags = FLAGS[access] | O_NOFOLLOW | O_NONBLOCK;
        const mode = executable ? EXECUTABLE_MODE : FILE_MODE;
        return this.#openRegular({ path: this.#at(folder, path.at(-1) ?? ''), flags, mode }, doing);
      });
    } catch (error) {
      if (systemCode(error) === 'ENOENT' && access !== 'create') return undefined;
      throw diskError(error, doing);
    }
  }

  async #openRegular(
    { path, flags, mode }: { path: string; flags: number; mode: number },
    doing: string,
  ): Promise<{ fd: number; status: FileStatus }> {
    const fd = await this.#disk.open(path, flags, mode);
    try {
      const status = await this.#disk.status(fd);
      if (!status.isFile) throw new TorrentError('UnsafePath', `${doing}: it is no regular file`);
      return { fd, status };
    } catch (error) {
      await this.#disk.close(fd);
      throw error;
    }
  }

  /**
   * Flushes the entries of a folder below the root; the root itself for an empty path.
   * @throws TorrentError
   */
  async sync(path: readonly string[]): Promise<void> {
    try {
      await this.#within(path, false, (folder) => this.#disk.sync(folder.fd));
    } catch (error) {
      throw diskError(error, `flushing ${join(this.#path, ...path)}`);
    }
  }

  /**
   * A new file on the root's disk that has no name: it is gone with its descriptor, also when the process is killed.
   * @throws TorrentError
   */
  async openUnnamed(): Promise<number> {
    const name = `.enxame-${randomBytes(8).toString('hex')}`;
    try {
      return await this.#within([], false, async (root) => {
        const path = this.#at(root, name);
        const fd = await this.#disk.open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, UNNAMED_MODE);
        try {
          await this.#disk.remove(path);
        } catch (error) {
          await this.#disk.close(fd);
          throw error;
        }
        return fd;
      });
    } catch (error) {
      throw diskError(error, `making a file for unfinished pieces in ${this.#path}`);
    }
  }

  /** Closes the root, when whoever walks through it is done. */
  close(): Promise<void> {
    this.#isClosed = true;
    return this.#root.retire();
  }

  #at(folder: Step, name: string): string {
    return this.#relative ? `/proc/self/fd/${folder.fd}/${name}` : join(folder.path, name);
  }

  /** Goes down from the root, one part at a time and through folders only, and does the work there. */
  async #within<T>(
    parts: readonly string[],
    create: boolean,
    work: (folder: Step) => Promise<T>,
  ): Promise<T> {
    // A closed descriptor's number may be another file's by now.
    if (this.#isClosed) throw new TorrentError('Closed', `the folder ${this.#path} is closed`);
    const root = this.#root;
    root.users++;
    let folder: Step = { fd: await root.fd, path: this.#path };
    const rootFd = folder.fd;
    try {
      for (const part of parts) {
        const fd = await this.#enter(folder, part, create);
        const left = folder.fd;
        folder = { fd, path: join(folder.path, part) };
        if (left !== rootFd) await this.#disk.close(left);
      }
      return await work(folder);
    } finally {
      if (folder.fd !== rootFd) await this.#disk.close(folder.fd);
      root.release();
    }
  }

  async #enter(folder: Step, part: string, create: boolean): Promise<number> {
    const path = this.#at(folder, part);
    const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    try {
      return await this.#disk.open(path, flags);
    } catch (error) {
      if (systemCode(error) === 'ENOTDIR' || systemCode(error) === 'ELOOP') {
        const there = join(folder.path, part);
        throw new TorrentError('UnsafePath', `${there} is a symlink or no folder, and is not followed`, {
          cause: error,
        });
      }
      if (systemCode(error) !== 'ENOENT' || !create) throw error;
    }
    try {
      await this.#disk.makeFolder(path, FOLDER_MODE);
    } catch (error) {
      // Made in the meantime for another file: as good.
      if (systemCode(error) !== 'EEXIST') throw error;
    }
    return this.#disk.open(path, flags);
  }
}
