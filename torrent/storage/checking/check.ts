// Finding out which pieces lie on disk. Invariant: a piece is believed only if the resume data vouches for it
// and every file it touches looks exactly as it did then; or if its bytes pass their hash now.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Bitfield } from '../../bitfield.ts';
import { TorrentError } from '../../errors.ts';
import type { Metainfo } from '../../metainfo.ts';
import type { TorrentFiles } from '../disk/files.ts';
import { forEachOf } from '../for-each-of.ts';
import type { Layout } from '../layout.ts';
import { type FileStamp, isSameStamp, type ResumeData } from '../resume/resume.ts';
import type { PieceHash } from './piece-hash.ts';

/** Pieces that are read and hashed at the same time: one on the disk, one on the processor. */
const CONCURRENT_PIECES = 2;

/** Files whose status is asked for at the same time. */
const CONCURRENT_FILES = 8;

/** Reading and hashing gives way to everything else after this long: both may be done without ever waiting. */
const LONGEST_RUN_MILLISECONDS = 5;

/** What the disk says about every file; undefined for those that are not there, empty or padding. */
export async function readStamps(
  metainfo: Metainfo,
  files: TorrentFiles,
): Promise<(FileStamp | undefined)[]> {
  const stamps: (FileStamp | undefined)[] = metainfo.files.map(() => undefined);
  await forEachOf(metainfo.files.entries(), CONCURRENT_FILES, async ([index, file]) => {
    if (file.padding) return;
    const status = await files.status(index);
    if (file.lengthBytes === 0 || status === undefined || status.sizeBytes === 0) return;
    stamps[index] = { sizeBytes: status.sizeBytes, modifiedNanoseconds: status.modifiedNanoseconds };
  });
  return stamps;
}

/**
 * Sets the pieces that resume data vouches for in `have` and returns those that have to be hashed: the ones in
 * files that are there but look different, or of which nothing is known.
 */
export function believeResume(
  metainfo: Metainfo,
  layout: Layout,
  stamps: readonly (FileStamp | undefined)[],
  resume: ResumeData | undefined,
  have: Bitfield,
): number[] {
  const toHash: number[] = [];
  for (let piece = 0; piece < metainfo.pieceCount; piece++) {
    let isThere = true;
    let isVouchedFor = resume !== undefined;
    for (const { fileIndex, padding } of layout.pieceSegments(piece)) {
      if (padding) continue;
      if (stamps[fileIndex] === undefined) isThere = false;
      else if (!isSameStamp(stamps[fileIndex], resume?.stamps[fileIndex])) isVouchedFor = false;
    }
    if (!isThere) continue;
    if (!isVouchedFor) toHash.push(piece);
    else if (resume?.have.get(piece)) have.set(piece);
  }
  return toHash;
}

/** How pieces are hashed, and who is told. */
export interface HashingOptions {
  hash: PieceHash;
  signal?: AbortSignal;
  /** Called after each piece. */
  onChecked?: (checkedPieces: number, piecesToCheck: number) => void;
}

/**
 * Hashes the given pieces from disk and reports each one's outcome.
 * @throws TorrentError when the disk fails, and Closed when the signal aborts.
 */
export async function hashPieces(
  metainfo: Metainfo,
  layout: Layout,
  files: Pick<TorrentFiles, 'read'>,
  pieces: readonly number[],
  options: HashingOptions,
  report: (piece: number, isGood: boolean) => void,
): Promise<void> {
  const buffers: Buffer[] = [];
  let checked = 0;
  let begun = performance.now();
  await forEachOf(pieces, CONCURRENT_PIECES, async (piece) => {
    if (options.signal?.aborted) throw new TorrentError('Closed', 'checking the files was given up');
    const whole =
      buffers.pop() ?? Buffer.allocUnsafeSlow(Math.min(metainfo.pieceLength, metainfo.totalBytes));
    const data = whole.subarray(0, metainfo.pieceLengthAt(piece));
    let isGood = await readSegments(files, layout, piece, data);
    if (isGood) isGood = (await options.hash(data)).equals(metainfo.pieceHash(piece));
    buffers.push(whole);
    report(piece, isGood);
    options.onChecked?.(++checked, pieces.length);
    if (performance.now() - begun > LONGEST_RUN_MILLISECONDS) {
      await nextTurn();
      begun = performance.now();
    }
  });
}

/** Reads a whole piece; false if a file ends too early. */
async function readSegments(
  files: Pick<TorrentFiles, 'read'>,
  layout: Layout,
  piece: number,
  into: Buffer,
): Promise<boolean> {
  for (const segment of layout.pieceSegments(piece)) {
    const part = into.subarray(segment.rangeOffset, segment.rangeOffset + segment.lengthBytes);
    if (segment.padding) {
      part.fill(0);
      continue;
    }
    const count = await files.read(segment.fileIndex, part, segment.fileOffset);
    if (count < part.length) return false;
  }
  return true;
}
