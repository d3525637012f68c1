// The list of files that a publisher declares, judged before a byte of them is taken. Pure functions.
import {
  ApiError,
  checkPaths,
  comparePaths,
  formatBytes,
  type PlanRequest,
  type Reservation,
} from '../../api/index.ts';
import { expectFewFiles, judgeTorrent } from './describe.ts';
import { IngestRefusal } from './errors.ts';
import type { IngestFile } from './record.ts';

/**
 * Judges a plan against its reservation.
 * @throws IngestRefusal InvalidRequest, SizeLimitExceeded, TooManyFiles
 */
export function judgePlan({ sourceState, files }: PlanRequest, reservation: Reservation): void {
  if (sourceState !== reservation.sourceState) {
    throw new IngestRefusal(
      'InvalidRequest',
      'the plan is of another source than the reservation: its publisher is out of date',
    );
  }
  expectFewFiles(files);
  const paths = files.map(({ path }) => path);
  try {
    checkPaths(paths);
  } catch (error) {
    if (error instanceof ApiError) throw new IngestRefusal('InvalidRequest', error.message, { cause: error });
    throw error;
  }
  for (const [index, path] of paths.entries()) {
    const before = paths[index - 1];
    if (before !== undefined && comparePaths(before, path) >= 0)
      throw new IngestRefusal('InvalidRequest', 'the files of a plan must be in byte order of their paths');
  }
  expectWithinLimit(
    files.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0),
    reservation,
  );
  const { uid, distributionName: name } = reservation;
  judgeTorrent(
    { uid, name },
    files.map(({ path, executable, sizeBytes }) => ({ path, executable, sizeBytes: sizeBytes ?? 0 })),
  );
}

/** @throws IngestRefusal SizeLimitExceeded if the source has at least so many bytes and may not. */
export function expectWithinLimit(bytes: number, { sizeLimit }: Reservation): void {
  if (sizeLimit === undefined || bytes <= sizeLimit) return;
  throw new IngestRefusal(
    'SizeLimitExceeded',
    `the source has at least ${formatBytes(bytes)}, and sizeLimit is ${formatBytes(sizeLimit)}`,
  );
}

/** A plan after another one of the same source. */
export interface MergedPlan {
  files: IngestFile[];
  /** Bytes that are on the disk, by index of the file. */
  offsets: number[];
  /** Paths of which nothing is kept. */
  dropped: string[];
  /** Nothing is different. */
  isUnchanged: boolean;
}

/** Whether what is there of a file counts for another plan's file. */
function isSame(file: PlanRequest['files'][number], before: IngestFile): boolean {
  return (
    before.path === file.path &&
    before.validator === file.validator &&
    before.sizeBytes === file.sizeBytes &&
    before.executable === file.executable &&
    before.sha256 === file.sha256
  );
}

/** Keeps of what is there everything that is still the same file. */
export function mergePlan(
  request: PlanRequest['files'],
  files: readonly IngestFile[],
  offsets: readonly number[],
): MergedPlan {
  const before = new Map(files.map((file, index) => [file.path, { file, index }]));
  const merged: MergedPlan = { files: [], offsets: [], dropped: [], isUnchanged: false };
  let kept = 0;
  for (const [index, file] of request.entries()) {
    const known = before.get(file.path);
    if (known === undefined || !isSame(file, known.file)) {
      merged.files.push({ ...file });
      merged.offsets.push(0);
      continue;
    }
    before.delete(file.path);
    if (known.index === index) kept += 1;
    const { complete } = known.file;
    merged.files.push(complete === undefined ? { ...file } : { ...file, complete });
    merged.offsets.push(offsets[known.index] ?? 0);
  }
  merged.dropped = [...before.keys()];
  merged.isUnchanged = kept === request.length && files.length === request.length;
  return merged;
}
