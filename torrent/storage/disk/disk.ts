// The few operations that storage needs of an operating system, as an interface, so that a test can hand in a
// disk that is full, fails or writes short. Invariant: what fails here leaves as a TorrentError by `diskError`.
import * as fs from 'node:fs';
import { dirname, resolve } from 'node:path';
import { promisify, types } from 'node:util';
import { TorrentError, type TorrentErrorCode } from '../../errors.ts';

/** What is asked about an open file or folder. */
export interface FileStatus {
  isFile: boolean;
  isFolder: boolean;
  sizeBytes: number;
  /** Modification time in nanoseconds since 1970. */
  modifiedNanoseconds: bigint;
  /** Time of the last change of content, mode, name or links, in nanoseconds since 1970; nobody can set it. */
  changedNanoseconds: bigint;
  /** Names that the file has; 0 once it is removed. */
  links: number;
  /** Device and inode: the same file has the same. */
  identity: string;
  /** Permission bits. */
  mode: number;
}

/** File operations by descriptor; failures are the operating system's, with `code` and `errno`. */
export interface Disk {
  open(path: string, flags: number, mode?: number): Promise<number>;
  close(fd: number): Promise<void>;
  /** May read less than asked for; 0 at the end of the file. */
  read(fd: number, into: Uint8Array, position: number): Promise<number>;
  /** May write less than given. */
  write(fd: number, from: Uint8Array, position: number): Promise<number>;
  status(fd: number): Promise<FileStatus>;
  /** The same, at once where the way through the thread pool would cost more than the answer. */
  statusNow(fd: number): FileStatus | Promise<FileStatus>;
  truncate(fd: number, sizeBytes: number): Promise<void>;
  sync(fd: number): Promise<void>;
  setMode(fd: number, mode: number): Promise<void>;
  /** Sets the modification time, in seconds since 1970. */
  setModified(fd: number, seconds: number): Promise<void>;
  makeFolder(path: string, mode: number): Promise<void>;
  makeFolders(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  exists(path: string): Promise<boolean>;
}

const calls = {
  open: promisify(fs.open),
  close: promisify(fs.close),
  fstat: promisify(fs.fstat),
  ftruncate: promisify(fs.ftruncate),
  fsync: promisify(fs.fsync),
  fchmod: promisify(fs.fchmod),
  futimes: promisify(fs.futimes),
};

function toStatus(stats: fs.BigIntStats): FileStatus {
  return {
    isFile: stats.isFile(),
    isFolder: stats.isDirectory(),
    sizeBytes: Number(stats.size),
    modifiedNanoseconds: stats.mtimeNs,
    changedNanoseconds: stats.ctimeNs,
    links: Number(stats.nlink),
    identity: `${stats.dev}:${stats.ino}`,
    mode: Number(stats.mode) & 0o7777,
  };
}

/** Reads and writes up to this size are done at once while the disk is quick. */
const DIRECT_BYTES = 512 * 1024;

/** A read or write that takes longer shows that it did not come from, or go to, memory. */
const QUICK_MILLISECONDS = 2;

/** After that, the thread pool does them for this long, and on until one of them was quick there. */
const POOL_MILLISECONDS = 1000;

/** The way through the pool takes a while by itself on a busy machine. */
const QUICK_IN_POOL_MILLISECONDS = 20;

/**
 * Decides who does a read or write. The way through the thread pool was measured to cost about as much as the
 * copy of 64 KiB to or from the page cache itself; but a disk that has to be waited for must not hold up the main
 * loop more often than once in a while, and one that hangs not again: the pool finds out whether it is quick again.
 */
export class DirectOrPool {
  readonly #now: () => number;
  #isSlow = false;
  #poolUntil = Number.NEGATIVE_INFINITY;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Does work on `bytes` bytes by the one way or the other. */
  do(bytes: number, direct: () => number, byPool: () => Promise<number>): Promise<number> {
    const begun = this.#now();
    if (bytes > DIRECT_BYTES) return byPool();
    if (this.#isSlow) return this.#probe(begun, byPool);
    try {
      const count = direct();
      const ended = this.#now();
      if (ended - begun > QUICK_MILLISECONDS) {
        this.#isSlow = true;
        this.#poolUntil = ended + POOL_MILLISECONDS;
      }
      return Promise.resolve(count);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async #probe(begun: number, byPool: () => Promise<number>): Promise<number> {
    const count = await byPool();
    if (begun >= this.#poolUntil && this.#now() - begun <= QUICK_IN_POOL_MILLISECONDS) this.#isSlow = false;
    return count;
  }
}

/** Magic numbers of file systems that lie behind a network or a program: each answer may take for ever (statfs(2)). */
const DISTANT_FILE_SYSTEMS = new Set([
  0x6969, // NFS
  0x517b, // SMB
  0xff534d42, // CIFS
  0xfe534d42, // SMB2
  0x65735546, // FUSE
  0x01021997, // 9P
  0x00c36400, // Ceph
  0x0bd00bd0, // Lustre
  0x47504653, // GPFS
  0x19830326, // BeeGFS
]);

const reads = new DirectOrPool(() => performance.now());
const writes = new DirectOrPool(() => performance.now());

function readByPool(fd: number, into: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(fd, into, 0, into.length, position, (error, count) => (error ? reject(error) : resolve(count)));
  });
}

function writeByPool(fd: number, from: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.write(fd, from, 0, from.length, position, (error, count) => (error ? reject(error) : resolve(count)));
  });
}

/** The real disk. */
export const nodeDisk: Omit<Disk, 'statusNow'> & { statusNow(fd: number): FileStatus } = {
  open: (path, flags, mode) => calls.open(path, flags, mode),
  close: (fd) => calls.close(fd),
  read: (fd, into, position) =>
    reads.do(
      into.length,
      () => fs.readSync(fd, into, 0, into.length, position),
      () => readByPool(fd, into, position),
    ),
  write: (fd, from, position) =>
    writes.do(
      from.length,
      () => fs.writeSync(fd, from, 0, from.length, position),
      () => writeByPool(fd, from, position),
    ),
  status: async (fd) => toStatus(await calls.fstat(fd, { bigint: true })),
  statusNow: (fd) => toStatus(fs.fstatSync(fd, { bigint: true })),
  truncate: (fd, sizeBytes) => calls.ftruncate(fd, sizeBytes),
  sync: (fd) => calls.fsync(fd),
  setMode: (fd, mode) => calls.fchmod(fd, mode),
  setModified: (fd, seconds) => calls.futimes(fd, seconds, seconds),
  makeFolder: async (path, mode) => {
    await fs.promises.mkdir(path, { mode });
  },
  makeFolders: async (path) => {
    await fs.promises.mkdir(path, { recursive: true });
  },
  rename: (from, to) => fs.promises.rename(from, to),
  remove: (path) => fs.promises.unlink(path),
  exists: (path) =>
    fs.promises.access(path).then(
      () => true,
      () => false,
    ),
};

/** The real disk where an answer may take for ever: the main loop never waits for one. */
export const distantDisk: Disk = {
  ...nodeDisk,
  read: readByPool,
  write: writeByPool,
  statusNow: nodeDisk.status,
};

/**
 * The disk for files below a folder, which need not be there yet.
 * @param fileSystem tells the magic number of the file system of a path that is there, for tests
 */
export async function diskFor(
  folder: string,
  fileSystem = async (path: string): Promise<number> => (await fs.promises.statfs(path)).type,
): Promise<Disk> {
  for (let path = resolve(folder); ; path = dirname(path)) {
    try {
      return DISTANT_FILE_SYSTEMS.has(await fileSystem(path)) ? distantDisk : nodeDisk;
    } catch {
      if (path === dirname(path)) return nodeDisk;
    }
  }
}

/** The operating system's code of a failure (`ENOSPC`), or '' if it has none. */
export function systemCode(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return '';
  return typeof error.code === 'string' ? error.code : '';
}

const CODES: { [systemCode: string]: TorrentErrorCode | undefined } = {
  ENOSPC: 'NoSpace',
  EDQUOT: 'NoSpace',
  EFBIG: 'NoSpace',
  EROFS: 'ReadOnly',
  EACCES: 'ReadOnly',
  EPERM: 'ReadOnly',
  ENOENT: 'FileChanged',
  ESTALE: 'FileChanged',
  ELOOP: 'UnsafePath',
  ENOTDIR: 'UnsafePath',
  EISDIR: 'UnsafePath',
  ENXIO: 'UnsafePath',
};

/** A failure of the disk as a TorrentError; `doing` says what was tried and on which file. */
export function diskError(error: unknown, doing: string): TorrentError {
  if (error instanceof TorrentError) return error;
  const code = systemCode(error);
  const message = types.isNativeError(error) ? error.message : String(error);
  return new TorrentError(CODES[code] ?? 'DiskIo', `${doing}: ${message}`, { cause: error });
}

/** Writes all of `from`, however short the single writes are. */
export async function writeFully(disk: Disk, fd: number, from: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < from.length; ) {
    const count = await disk.write(fd, from.subarray(done), position + done);
    if (count <= 0) throw new TorrentError('DiskIo', 'the disk takes no more bytes and gives no reason');
    done += count;
  }
}

/** Reads until `into` is full or the file ends. Returns how many bytes were read. */
export async function readFully(disk: Disk, fd: number, into: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < into.length) {
    const count = await disk.read(fd, into.subarray(done), position + done);
    if (count <= 0) break;
    done += count;
  }
  return done;
}
