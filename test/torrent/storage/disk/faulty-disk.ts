// The real disk with faults on demand. Invariant: what is not told to fail works as on the real disk.
import { basename } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Disk, type FileStatus, nodeDisk } from '../../../../torrent/storage/disk/disk.ts';

/** An operating system's error. */
function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: made by the test`), { code });
}

type Operation = keyof Disk;

/** A disk whose operations can be told to fail, and that counts what it is asked for. */
export class FaultyDisk implements Disk {
  /** Thrown instead of doing the operation. */
  readonly faults = new Map<Operation, () => Error | undefined>();
  /** How often each operation was asked for. */
  readonly counts = new Map<Operation, number>();
  /** Descriptors that are open. */
  readonly opened = new Set<number>();
  /** `sync NAME` and `rename NAME` for what was done, in order, with the last part of the path. */
  readonly log: string[] = [];
  readonly #names = new Map<number, string>();
  /** Most bytes that one read or write does. */
  mostBytes = Number.POSITIVE_INFINITY;
  /** Times are whole seconds, as on file systems with a coarse clock. */
  hasCoarseClock = false;
  /** How a file looks is told only a moment later. */
  isDistant = false;
  /** Called before each operation. */
  before: ((operation: Operation) => Promise<void>) | undefined;

  fail(operation: Operation, code: string, times = Number.POSITIVE_INFINITY): void {
    let left = times;
    this.faults.set(operation, () => (left-- > 0 ? systemError(code) : undefined));
  }

  count(operation: Operation): number {
    return this.counts.get(operation) ?? 0;
  }

  async #do<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
    this.counts.set(operation, this.count(operation) + 1);
    await this.before?.(operation);
    const fault = this.faults.get(operation)?.();
    if (fault !== undefined) throw fault;
    return work();
  }

  open(path: string, flags: number, mode?: number): Promise<number> {
    return this.#do('open', async () => {
      const fd = await nodeDisk.open(path, flags, mode);
      this.opened.add(fd);
      this.#names.set(fd, basename(path));
      return fd;
    });
  }

  close(fd: number): Promise<void> {
    return this.#do('close', async () => {
      if (!this.opened.delete(fd)) throw new Error(`descriptor ${fd} closed twice`);
      await nodeDisk.close(fd);
    });
  }

  read(fd: number, into: Uint8Array, position: number): Promise<number> {
    return this.#do('read', () => nodeDisk.read(fd, into.subarray(0, this.mostBytes), position));
  }

  write(fd: number, from: Uint8Array, position: number): Promise<number> {
    return this.#do('write', () => nodeDisk.write(fd, from.subarray(0, this.mostBytes), position));
  }

  status(fd: number): Promise<FileStatus> {
    return this.#do('status', async () => this.#statusOf(fd));
  }

  statusNow(fd: number): FileStatus | Promise<FileStatus> {
    const status = this.#statusOf(fd);
    return this.isDistant ? nextTurn().then(() => status) : status;
  }

  #statusOf(fd: number): FileStatus {
    const status = nodeDisk.statusNow(fd);
    const { modifiedNanoseconds: time } = status;
    return this.hasCoarseClock ? { ...status, modifiedNanoseconds: time - (time % 1_000_000_000n) } : status;
  }

  truncate(fd: number, sizeBytes: number): Promise<void> {
    return this.#do('truncate', () => nodeDisk.truncate(fd, sizeBytes));
  }

  sync(fd: number): Promise<void> {
    return this.#do('sync', async () => {
      await nodeDisk.sync(fd);
      this.log.push(`sync ${this.#names.get(fd)}`);
    });
  }

  setMode(fd: number, mode: number): Promise<void> {
    return this.#do('setMode', () => nodeDisk.setMode(fd, mode));
  }

  setModified(fd: number, seconds: number): Promise<void> {
    return this.#do('setModified', () => nodeDisk.setModified(fd, seconds));
  }

  makeFolder(path: string, mode: number): Promise<void> {
    return this.#do('makeFolder', () => nodeDisk.makeFolder(path, mode));
  }

  makeFolders(path: string): Promise<void> {
    return this.#do('makeFolders', () => nodeDisk.makeFolders(path));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#do('rename', async () => {
      await nodeDisk.rename(from, to);
      this.log.push(`rename ${basename(to)}`);
    });
  }

  remove(path: string): Promise<void> {
    return this.#do('remove', () => nodeDisk.remove(path));
  }

  exists(path: string): Promise<boolean> {
    return this.#do('exists', () => nodeDisk.exists(path));
  }
}
