// The few operations that the content root needs of an operating system, as an interface, so that a test can
// let any one of them fail. Invariant: none of them follows a symlink in the last part of its path.
import { constants, promises as fs } from 'node:fs';
import { systemCode } from '../../base/index.ts';

/** What lies at a path. */
type EntryKind = 'file' | 'folder' | 'link' | 'other';

/** An entry of a folder. */
interface Entry {
  name: string;
  kind: EntryKind;
}

/** Operations by path; failures are the operating system's, with `code`. */
export interface RootDisk {
  makeFolder(path: string): Promise<void>;
  /** A folder's entries; empty if it is not there. */
  list(path: string): Promise<Entry[]>;
  kind(path: string): Promise<EntryKind | undefined>;
  /** Permission bits. */
  mode(path: string): Promise<number>;
  setFolderMode(path: string, mode: number): Promise<void>;
  setFileMode(path: string, mode: number): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  makeLink(target: string, path: string): Promise<void>;
  /** Where a symlink points to; undefined if there is none. */
  readLink(path: string): Promise<string | undefined>;
  removeFile(path: string): Promise<void>;
  removeFolder(path: string): Promise<void>;
  /** Undefined if there is no such file. */
  readFile(path: string): Promise<Buffer | undefined>;
  /** Makes or replaces a file and flushes it. */
  writeFile(path: string, data: Uint8Array | string): Promise<void>;
  /** Flushes a folder's entries. */
  syncFolder(path: string): Promise<void>;
}

const { O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_TRUNC, O_WRONLY } = constants;

function kindOf(status: { isFile(): boolean; isDirectory(): boolean; isSymbolicLink(): boolean }): EntryKind {
  if (status.isSymbolicLink()) return 'link';
  if (status.isDirectory()) return 'folder';
  return status.isFile() ? 'file' : 'other';
}

async function withOpen<T>(
  path: string,
  flags: number,
  work: (file: fs.FileHandle) => Promise<T>,
  mode?: number,
): Promise<T> {
  const file = await fs.open(path, flags | O_NOFOLLOW, mode);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

async function ifThere<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The real disk. */
export const nodeRootDisk: RootDisk = {
  makeFolder: (path) => fs.mkdir(path, { mode: 0o755 }),
  async list(path) {
    const entries = (await ifThere(fs.readdir(path, { withFileTypes: true }))) ?? [];
    return entries.map((entry) => ({ name: entry.name, kind: kindOf(entry) }));
  },
  async kind(path) {
    const status = await ifThere(fs.lstat(path));
    return status === undefined ? undefined : kindOf(status);
  },
  mode: async (path) => (await fs.lstat(path)).mode & 0o7777,
  setFolderMode: (path, mode) => withOpen(path, O_RDONLY | O_DIRECTORY, (folder) => folder.chmod(mode)),
  setFileMode: (path, mode) => withOpen(path, O_RDONLY | O_NONBLOCK, (file) => file.chmod(mode)),
  rename: (from, to) => fs.rename(from, to),
  makeLink: (target, path) => fs.symlink(target, path),
  async readLink(path) {
    try {
      return await fs.readlink(path);
    } catch (error) {
      // EINVAL: something is there, but it is no symlink.
      if (['ENOENT', 'EINVAL'].includes(systemCode(error))) return undefined;
      throw error;
    }
  },
  removeFile: (path) => fs.unlink(path),
  removeFolder: (path) => fs.rmdir(path),
  readFile: (path) => ifThere(withOpen(path, O_RDONLY | O_NONBLOCK, (file) => file.readFile())),
  writeFile: (path, data) =>
    withOpen(
      path,
      O_WRONLY | O_CREAT | O_TRUNC,
      async (file) => {
        await file.writeFile(data);
        await file.sync();
      },
      0o644,
    ),
  syncFolder: (path) => withOpen(path, O_RDONLY | O_DIRECTORY, (folder) => folder.sync()),
};

/** Makes a folder unless it is there. Returns whether it was made. */
export async function ensureFolder(disk: RootDisk, path: string): Promise<boolean> {
  try {
    await disk.makeFolder(path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST' && (await disk.kind(path)) === 'folder') return false;
    throw error;
  }
}

/** Replaces a file so that a crash at any instant leaves the old one or the new one. */
export async function replaceFile(disk: RootDisk, path: string, data: Uint8Array | string): Promise<void> {
  const temporary = `${path}.tmp`;
  await disk.writeFile(temporary, data);
  await disk.rename(temporary, path);
  await disk.syncFolder(path.slice(0, path.lastIndexOf('/')));
}

/** Removes a file or symlink if it is there. */
export async function removeIfThere(disk: RootDisk, path: string): Promise<void> {
  await ifThere(disk.removeFile(path));
}
