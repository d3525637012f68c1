// How the files of one torrent were left by the last change of ours. Invariant: whatever else a file looks like was
// done by somebody else, and is counted and told once.
import { TorrentError } from '../../errors.ts';
import type { Metainfo } from '../../metainfo.ts';
import type { FileTrace } from '../writing/piece-write.ts';
import type { FileStatus } from './disk.ts';

/** Writes by a thread that are under way in one file: how the last one that is known of left it. */
interface ThreadWrites {
  count: number;
  last: FileTrace | undefined;
}

/** What is known of the files, by their index in the metainfo. */
export class FilesAsLeft {
  /** How often each file was found to have been changed by somebody else. */
  readonly disturbances: Uint32Array;
  /** Called whenever one is. */
  onDisturbed: (index: number) => void = () => {};
  readonly #metainfo: Metainfo;
  /** How each file looked after the last change of ours, or when somebody else's was noticed; undefined: not there. */
  readonly #known: (FileStatus | undefined)[];
  readonly #threadWrites = new Map<number, ThreadWrites>();
  /** Writes of this thread that are under way, by file. */
  readonly #writes: Uint32Array;
  /** Writes that began or ended, by file. */
  readonly #steps: Uint32Array;

  constructor(metainfo: Metainfo) {
    this.#metainfo = metainfo;
    this.disturbances = new Uint32Array(metainfo.files.length);
    this.#known = metainfo.files.map(() => undefined);
    this.#writes = new Uint32Array(metainfo.files.length);
    this.#steps = new Uint32Array(metainfo.files.length);
  }

  /** How a file looked when it was last looked at or changed by us; undefined: it was not there. */
  known(index: number): FileStatus | undefined {
    return this.#known[index];
  }

  /** So we leave the file, or take it for left. */
  set(index: number, status: FileStatus | undefined): void {
    this.#known[index] = status;
  }

  /** Takes note of how a file looks. False, once, if somebody else changed it. */
  notice(index: number, status: FileStatus | undefined): boolean {
    const known = this.#known[index];
    this.#known[index] = status;
    const isSame =
      known === undefined || status === undefined
        ? known === status
        : known.identity === status.identity && isUntouched(known, status);
    if (!isSame) this.disturbed(index);
    return isSame;
  }

  /** Somebody else changed the file. */
  disturbed(index: number): void {
    this.disturbances[index] = (this.disturbances[index] ?? 0) + 1;
    this.onDisturbed(index);
  }

  /** True if a file that is open for writing is there as it was left, with its exact length. */
  isAsLeft(index: number, status: FileStatus): boolean {
    const known = this.#known[index];
    if (!this.#isWhole(index, status)) return false;
    return known !== undefined && isUntouched(known, status);
  }

  /** How many writes of ours began or ended; undefined while one is under way: what a file looks like then tells nothing. */
  steps(index: number): number | undefined {
    if (this.#threadWrites.has(index) || (this.#writes[index] as number) > 0) return undefined;
    return this.#steps[index];
  }

  /** This thread is about to write to the file. */
  beginWrite(index: number): void {
    this.#writes[index] = (this.#writes[index] as number) + 1;
    this.#step(index);
  }

  /** It has written, and so left the file, as far as is known. */
  endWrite(index: number, status: FileStatus | undefined): void {
    this.#writes[index] = (this.#writes[index] as number) - 1;
    this.#step(index);
    if (status !== undefined) this.#known[index] = status;
  }

  #step(index: number): void {
    this.#steps[index] = (this.#steps[index] as number) + 1;
  }

  beginThreadWrite(index: number): void {
    this.#step(index);
    const writes = this.#threadWrites.get(index);
    if (writes !== undefined) writes.count++;
    else this.#threadWrites.set(index, { count: 1, last: this.#known[index] });
  }

  endThreadWrite(index: number): void {
    this.#step(index);
    const writes = this.#threadWrites.get(index);
    if (writes === undefined || --writes.count > 0) return;
    this.#threadWrites.delete(index);
    const known = this.#known[index];
    if (known !== undefined && writes.last !== undefined) this.#known[index] = { ...known, ...writes.last };
  }

  /** False if somebody else changed the file between two writes of the thread. */
  isContinued(index: number, before: FileTrace, after: FileTrace): boolean {
    const writes = this.#threadWrites.get(index);
    if (writes === undefined) return false;
    const { last } = writes;
    writes.last = after;
    return (last === undefined || isUntouched(last, before)) && this.#isWhole(index, after);
  }

  /** A write of the thread failed half way: how it left the file is not known. */
  loseTrack(index: number): void {
    const writes = this.#threadWrites.get(index);
    if (writes !== undefined) writes.last = undefined;
  }

  #isWhole(index: number, { links, sizeBytes }: FileTrace): boolean {
    return links > 0 && sizeBytes === this.#metainfo.files[index]?.lengthBytes;
  }
}

/** True if another file is in the place of one, or the same one has another length. */
export function isReplaced(known: FileStatus, status: FileStatus): boolean {
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

/** The error for a file that is not in its place, or cut. */
export function changedBySomebody(
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
