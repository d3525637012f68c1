// The files of a publication on disk, under staging/ingest/UID, at the paths that they will have. Each is
// written from its beginning to its end and hashed on the way.
//
// Invariant: the hash of a file always stands for exactly its first `offset` bytes; after a restart it is made
// again from the disk before another byte is written.
import { createHash, type Hash } from 'node:crypto';
import { constants, promises as fs } from 'node:fs';
import { dirname, join } from 'node:path';
import { systemCode } from '../../base/index.ts';

const READ_BYTES = 1024 * 1024;
const FOLDER_MODE = 0o755;

/** A file that is being written. */
interface OpenFile {
  handle: fs.FileHandle;
  hash: Hash;
  offset: number;
}

/** Opens files: `fs.promises`, or a test's disk that is full. */
export type FileOpener = Pick<typeof fs, 'open'>;

/** Reads a file in chunks; each is valid until the next one. */
async function* readChunks(
  opener: FileOpener,
  path: string,
  signal?: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  const handle = await opener.open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    for (;;) {
      signal?.throwIfAborted();
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

/** Access to the folder of one publication. */
export class IngestFolder {
  readonly root: string;
  readonly #opener: FileOpener;
  #open: { path: string; file: OpenFile } | undefined;

  constructor(root: string, opener: FileOpener = fs) {
    this.root = root;
    this.#opener = opener;
  }

  /** Reads a file in chunks; each is valid until the next one. */
  read(path: string, signal?: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    return readChunks(this.#opener, join(this.root, path), signal);
  }

  /** Bytes that are on the disk of a file; 0 if it is not there. */
  async sizeOf(path: string): Promise<number> {
    try {
      const status = await fs.lstat(join(this.root, path));
      return status.isFile() ? status.size : 0;
    } catch (error) {
      if (['ENOENT', 'ENOTDIR'].includes(systemCode(error))) return 0;
      throw error;
    }
  }

  /**
   * Opens a file for its bytes from `offset` on; whatever is behind is cut off.
   * @throws RangeError if there are not so many.
   */
  async open(path: string, offset: number, executable: boolean): Promise<void> {
    if (this.#open?.path === path && this.#open.file.offset === offset) return;
    await this.close();
    const target = join(this.root, path);
    await fs.mkdir(dirname(target), { recursive: true, mode: FOLDER_MODE });
    const hash = createHash('sha256');
    if (offset > 0) {
      let rest = offset;
      for await (const chunk of this.read(path)) {
        hash.update(chunk.subarray(0, rest));
        rest -= Math.min(rest, chunk.length);
        if (rest === 0) break;
      }
      if (rest > 0) throw new RangeError(`${path} has ${offset - rest} bytes on disk and not ${offset}`);
    }
    const mode = executable ? 0o755 : 0o644;
    const handle = await this.#opener.open(
      target,
      constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW,
      mode,
    );
    try {
      await handle.truncate(offset);
      await handle.chmod(mode);
    } catch (error) {
      await handle.close();
      throw error;
    }
    this.#open = { path, file: { handle, hash, offset } };
  }

  /** Appends to the file that is open. Returns its new offset. Hot: once a chunk of the network. */
  async append(chunk: Uint8Array): Promise<number> {
    const file = this.#file();
    for (let done = 0; done < chunk.length; ) {
      const { bytesWritten } = await file.handle.write(chunk, done, chunk.length - done, file.offset + done);
      done += bytesWritten;
    }
    file.hash.update(chunk);
    file.offset += chunk.length;
    return file.offset;
  }

  /** Ends the file that is open; returns its SHA-256 in hexadecimal digits. It is not flushed yet. */
  async finish(): Promise<string> {
    const { hash } = this.#file();
    const digest = hash.digest('hex');
    await this.close();
    return digest;
  }

  /** Closes what is open; what was written stays. */
  async close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.file.handle.close();
  }

  /** Removes a file, and the folders that are empty without it. */
  async drop(path: string): Promise<void> {
    if (this.#open?.path === path) await this.close();
    try {
      await fs.unlink(join(this.root, path));
    } catch (error) {
      if (!['ENOENT', 'ENOTDIR'].includes(systemCode(error))) throw error;
    }
    for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) {
      try {
        await fs.rmdir(join(this.root, folder));
      } catch {
        // Not empty, or not there: that is as far as it goes.
        return;
      }
    }
  }

  /** Flushes a file to the disk. */
  async sync(path: string): Promise<void> {
    const handle = await this.#opener.open(join(this.root, path), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  /** Flushes every folder, and removes every file that is not one of `paths` and folders without any. */
  async tidy(paths: ReadonlySet<string>): Promise<void> {
    const folders = new Set<string>(['']);
    for (const path of paths)
      for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) folders.add(folder);
    const visit = async (folder: string): Promise<void> => {
      for (const entry of await fs.readdir(join(this.root, folder), { withFileTypes: true })) {
        const path = join(folder, entry.name);
        if (entry.isDirectory() && folders.has(path)) await visit(path);
        else if (entry.isDirectory()) await fs.rm(join(this.root, path), { recursive: true });
        else if (!paths.has(path)) await fs.unlink(join(this.root, path));
      }
      const handle = await this.#opener.open(
        join(this.root, folder),
        constants.O_RDONLY | constants.O_DIRECTORY,
      );
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    };
    await visit('');
  }

  #file(): OpenFile {
    if (this.#open === undefined) throw new TypeError('no file is open');
    return this.#open.file;
  }
}
