/**
 * The place on the disk that a download goes to. Invariant: a file that is there and is not of this torrent is never
 * written over unasked, and a download that cannot fit is refused before it begins.
 */
import type { Stats } from 'node:fs';
import { access, constants, rm, stat, statfs } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { formatBytes } from '../../api/quantity.ts';
import {
  type Bitfield,
  isTorrentError,
  type Metainfo,
  openStorage,
  type PieceStorage,
  type TorrentFile,
} from '../../torrent/index.ts';
import { UsageError } from '../errors.ts';

/** Unit of `Stats.blocks`, whatever the file system. */
const BLOCK_BYTES = 512;

/** Failures of writing where one may not. */
const READ_ONLY = ['EROFS', 'EACCES', 'EPERM'];

/** How a destination is opened. */
export interface OpenOptions {
  /** Files of somebody else may be replaced. */
  readonly replace: boolean;
  readonly signal: AbortSignal;
  readonly onChecked: (checkedPieces: number, piecesToCheck: number) => void;
}

/** Where a torrent's content goes in a folder: FOLDER/NAME, as other clients have it. */
export class Destination {
  /** The file or folder that the content becomes. */
  readonly content: string;
  readonly #metainfo: Metainfo;
  readonly #root: string;
  /** Says which pieces are verified, until the download is complete. */
  readonly #resumeFile: string;

  constructor(folder: string, metainfo: Metainfo) {
    this.#metainfo = metainfo;
    this.content = join(folder, metainfo.name);
    this.#root = metainfo.isSingleFile ? folder : this.content;
    this.#resumeFile = join(folder, `.enxame-${metainfo.infoHashHex}.resume`);
  }

  /**
   * Opens the storage, with what is there already checked.
   *
   * @throws UsageError for files of somebody else, Error where there is no room, TorrentError
   */
  async open({ replace, signal, onChecked }: OpenOptions): Promise<PieceStorage> {
    const wasBegun = (await statusOf(this.#resumeFile)) !== undefined;
    const [metainfo, root, resumeFile] = [this.#metainfo, this.#root, this.#resumeFile];
    // Of content that is complete and not ours to go on with nothing is written: it may lie where nobody may.
    const storage = await openStorage({
      metainfo,
      root,
      resumeFile,
      recordWhole: false,
      signal,
      onChecked,
    });
    try {
      // Told before anything else is said of what is there.
      if (!storage.have.isFull) await access(root, constants.W_OK);
      await this.#refuseFolded();
      const allocatedBytes = await this.#lookAtFiles(storage.have, replace || wasBegun);
      if (!storage.have.isFull) {
        await this.#refuseWithoutRoom(metainfo.totalBytes - allocatedBytes);
        // From here on what lies there is ours, also if we are killed before the first piece.
        await storage.saveResume();
      }
      return storage;
    } catch (error) {
      await storage.close();
      throw this.#readOnly(error, storage);
    }
  }

  /** The download is complete: nothing is gone on with. */
  async forgetResume(): Promise<void> {
    try {
      await rm(this.#resumeFile, { force: true });
    } catch (error) {
      // Complete content on a medium that nobody may write to: what is left there was there before.
      if (!READ_ONLY.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }

  /** Names that differ only in case are legal, and one file where the file system says so. */
  async #refuseFolded(): Promise<void> {
    const meeting = meetingPaths(this.#metainfo.files);
    if (meeting === undefined || !(await foldsCase(this.#root))) return;
    throw new UsageError(
      `${meeting[0]} and ${meeting[1]} differ only in case, which the file system of ${this.#root} does not tell apart; name a folder on another one`,
    );
  }

  /** Returns how many bytes of the torrent have their place on the disk already. */
  async #lookAtFiles(have: Bitfield, mayReplace: boolean): Promise<number> {
    let allocatedBytes = 0;
    for (const file of this.#metainfo.files) {
      if (file.padding) continue;
      const place = join(this.#root, ...file.path);
      const status = await statusOf(place);
      if (status === undefined) continue;
      allocatedBytes += Math.min(status.blocks * BLOCK_BYTES, file.lengthBytes);
      if (mayReplace || !this.#isForeign(status, file, have)) continue;
      throw new UsageError(
        `${place} exists and holds something else; move it away, name another folder, or use --force to replace it`,
      );
    }
    return allocatedBytes;
  }

  /** Too long for this torrent, or not one good piece where no more than a part of it can be there. */
  #isForeign(status: Stats, file: TorrentFile, have: Bitfield): boolean {
    if (!status.isFile() || status.size === 0) return false;
    if (status.size > file.lengthBytes) return true;
    return !this.#hasPieceOf(file, have) && (have.count === 0 || status.size < file.lengthBytes);
  }

  #hasPieceOf({ offsetBytes, lengthBytes }: TorrentFile, have: Bitfield): boolean {
    const { pieceLength } = this.#metainfo;
    const last = Math.floor((offsetBytes + lengthBytes - 1) / pieceLength);
    for (let piece = Math.floor(offsetBytes / pieceLength); piece <= last; piece++)
      if (have.get(piece)) return true;
    return false;
  }

  /** A failure to write where nobody may, as what it means for the download. */
  #readOnly(error: unknown, { have, metainfo }: PieceStorage): unknown {
    const cause = isTorrentError(error, 'ReadOnly') ? error.cause : error;
    const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? '';
    if (!READ_ONLY.includes(code)) return error;
    const missing = metainfo.pieceCount - have.count;
    return new Error(
      `${this.#root} may not be written to (${code}), and ${missing} of ${metainfo.pieceCount} pieces are missing; name a folder that may be written to`,
      { cause: error },
    );
  }

  async #refuseWithoutRoom(neededBytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.#root);
    const freeBytes = bavail * bsize;
    if (neededBytes <= freeBytes) return;
    throw new Error(
      `${this.#root} has ${formatBytes(freeBytes)} free and ${formatBytes(neededBytes)} are needed; free some space, or name another folder`,
    );
  }
}

/** Two paths that are one where case is no difference. */
export function meetingPaths(files: readonly TorrentFile[]): readonly [string, string] | undefined {
  const seen = new Map<string, string>();
  for (const { path, padding } of files) {
    if (padding) continue;
    // Folders meet as files do.
    for (let depth = 1; depth <= path.length; depth++) {
      const text = path.slice(0, depth).join('/');
      const folded = text.normalize('NFC').toLowerCase();
      const other = seen.get(folded);
      if (other !== undefined && other !== text) return [other, text];
      seen.set(folded, text);
    }
  }
  return undefined;
}

/** True if a folder that is there can be reached by its name in other letters too. */
async function foldsCase(folder: string): Promise<boolean> {
  for (let path = resolve(folder); path !== dirname(path); path = dirname(path)) {
    const name = basename(path);
    const other = name === name.toUpperCase() ? name.toLowerCase() : name.toUpperCase();
    if (other === name) continue;
    const [status, same] = await Promise.all([statusOf(path), statusOf(join(dirname(path), other))]);
    return same !== undefined && status?.ino === same.ino && status.dev === same.dev;
  }
  return false;
}

async function statusOf(path: string): Promise<Stats | undefined> {
  return stat(path).catch(() => undefined);
}
