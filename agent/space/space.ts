// Room on the disk: who has been promised what. Invariant: a transfer begins only after it was promised all the
// room that it will need, so that two transfers never count on the same bytes.
import { promises as fs } from 'node:fs';
import { formatBytes, type NodeContentSpec, parseQuantity } from '../../api/index.ts';
import { AgentError } from '../errors.ts';

/** What the file system says, in bytes. */
export interface FileSystemSpace {
  sizeBytes: number;
  /** Free for us. */
  freeBytes: number;
}

/** Asks the file system of a path. */
export async function fileSystemSpace(path: string): Promise<FileSystemSpace> {
  const status = await fs.statfs(path);
  return { sizeBytes: status.blocks * status.bsize, freeBytes: status.bavail * status.bsize };
}

/** What administrators ask of the disk, in bytes. */
export interface SpaceSettings {
  /** The most that content may use. */
  capacityBytes?: number;
  /** What content must leave free. */
  reserveBytes?: number;
}

/** What a NodeContent says; it has passed parseNodeContent. */
export function parseStorage(storage: NodeContentSpec['storage']): SpaceSettings {
  const { capacity, reserve } = storage ?? {};
  return {
    ...(capacity === undefined ? {} : { capacityBytes: parseQuantity(capacity) }),
    ...(reserve === undefined ? {} : { reserveBytes: parseQuantity(reserve) }),
  };
}

/** The figures of NodeContent.status.storage. */
export interface SpaceFigures {
  capacityBytes: number;
  usedBytes: number;
  reservedBytes: number;
  availableBytes: number;
}

interface Promised {
  totalBytes: number;
  writtenBytes: () => number;
}

/** What a ledger is made with. */
export interface SpaceOptions {
  /** What content uses now, in bytes. */
  usedBytes: () => number;
  fileSystem: () => Promise<FileSystemSpace>;
}

/** Promises of room, by a key of the transfer. */
export class Space {
  readonly #options: SpaceOptions;
  readonly #promised = new Map<string, Promised>();
  settings: SpaceSettings = {};

  constructor(options: SpaceOptions) {
    this.#options = options;
  }

  /** The figures now. */
  async figures(): Promise<SpaceFigures> {
    return this.#figures(await this.#options.fileSystem());
  }

  #figures({ sizeBytes, freeBytes }: FileSystemSpace): SpaceFigures {
    const usedBytes = this.#options.usedBytes();
    let reservedBytes = 0;
    for (const { totalBytes, writtenBytes } of this.#promised.values())
      reservedBytes += Math.max(0, totalBytes - writtenBytes());
    const { capacityBytes = Number.POSITIVE_INFINITY, reserveBytes = 0 } = this.settings;
    const byFileSystem = freeBytes - reserveBytes;
    const byCapacity = capacityBytes - usedBytes;
    return {
      capacityBytes: Math.max(0, Math.min(capacityBytes, sizeBytes - reserveBytes)),
      usedBytes,
      reservedBytes,
      availableBytes: Math.max(0, Math.min(byFileSystem, byCapacity) - reservedBytes),
    };
  }

  /**
   * Promises room for a transfer; a promise under the same key is replaced, and its room counts as free for this
   * one. `writtenBytes` says how much of it is on the disk already.
   * @throws AgentError StorageLow with the numbers
   */
  async promise(key: string, totalBytes: number, writtenBytes: () => number): Promise<void> {
    const fileSystem = await this.#options.fileSystem();
    // No wait from here on: nobody else may be promised what is counted here.
    const before = this.#promised.get(key);
    this.#promised.delete(key);
    const { availableBytes } = this.#figures(fileSystem);
    const neededBytes = Math.max(0, totalBytes - writtenBytes());
    if (neededBytes <= availableBytes) {
      this.#promised.set(key, { totalBytes, writtenBytes });
      return;
    }
    if (before !== undefined) this.#promised.set(key, before);
    throw new AgentError(
      'StorageLow',
      `needs ${formatBytes(neededBytes)}, ${formatBytes(availableBytes)} free`,
    );
  }

  /** Gives the room back: the transfer is over, or was given up. */
  release(key: string): void {
    this.#promised.delete(key);
  }
}
