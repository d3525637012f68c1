// One publication: what a publisher streams to this node, from the plan to the revision.
//
// Invariant: what arrived is kept for as long as the reservation and the source state are the same, over broken
// connections, other publisher Pods and restarts of the agent; and nothing is called published before it is
// complete, flushed and held.
import { createHash } from 'node:crypto';
import { promises as fs } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import {
  ApiError,
  checkPaths,
  comparePaths,
  type FileFinishResponse,
  formatBytes,
  type IngestStatus,
  type OffsetResponse,
  type PlanRequest,
  type PlanResponse,
  Reason,
  type Reservation,
} from '../../api/index.ts';
import { PieceHasher } from '../../torrent/index.ts';
import { AgentError, systemCode } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { type DescribedContent, describe, judgePlan, pieceLengthFor } from './describe.ts';
import { IngestRefusal } from './errors.ts';
import { IngestFolder, readChunks } from './folder.ts';
import type { IngestFile, IngestRecord, IngestResult } from './record.ts';

/** Room is promised in such steps where a source does not state its size. */
const ROOM_STEP_BYTES = 64 * 1024 * 1024;
/** The record is written at most this often while files come. */
const SAVE_EVERY_MILLISECONDS = 2000;

/** What a publication needs of the agent. */
export interface PublicationHost {
  folder: string;
  bootId: string;
  logger: Logger;
  now(): number;
  /** Keeps the record; it is on the disk when this resolves. */
  save(record: IngestRecord): Promise<void>;
  /** Something changed that the status tells of; `isUrgent` if others wait for it. */
  changed(isUrgent: boolean): void;
  /** Promises room, evicting what is not needed. @throws AgentError StorageLow */
  promiseRoom(totalBytes: number, writtenBytes: () => number): Promise<void>;
  releaseRoom(): void;
  /** Takes the complete folder as a held revision and seeds it. */
  adopt(reservation: Reservation, content: DescribedContent, folder: string): Promise<void>;
  isHeld(revision: string): boolean;
}

/** Hashes pieces while files come in order; given up as soon as they do not. */
interface PiecesInPassing {
  hasher: PieceHasher;
  file: number;
  offset: number;
}

/** A publication of one distribution on this node. */
export class Publication {
  readonly #host: PublicationHost;
  readonly #folder: IngestFolder;
  #reservation: Reservation;
  #record: IngestRecord;
  /** Bytes on the disk, by index of the file. */
  #offsets: number[];
  #pieces: PiecesInPassing | undefined;
  #promisedBytes = 0;
  /** Complete, and not flushed yet. */
  readonly #unflushed = new Set<number>();
  #savedAt = 0;
  /** The body that is being received. */
  #body: Readable | undefined;
  /** Calls run one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #finishing: Promise<void> | undefined;
  readonly #stop = new AbortController();

  private constructor(
    host: PublicationHost,
    reservation: Reservation,
    record: IngestRecord,
    offsets: number[],
  ) {
    this.#host = host;
    this.#folder = new IngestFolder(host.folder);
    this.#reservation = reservation;
    this.#record = record;
    this.#offsets = offsets;
  }

  /** A new publication, or one that goes on after a restart of the agent. */
  static async open(
    host: PublicationHost,
    reservation: Reservation,
    kept: IngestRecord | undefined,
  ): Promise<Publication> {
    const { uid, attempt, sourceState } = reservation;
    const fresh: IngestRecord = {
      uid,
      attempt,
      sourceState,
      bootId: host.bootId,
      phase: 'Receiving',
      files: [],
    };
    if (kept?.sourceState !== sourceState) return new Publication(host, reservation, fresh, []);
    const folder = new IngestFolder(host.folder);
    const isSameBoot = kept.bootId === host.bootId;
    const offsets: number[] = [];
    for (const file of kept.files) {
      const onDisk = await folder.sizeOf(file.path);
      if (file.complete !== undefined && file.complete.sizeBytes !== onDisk) delete file.complete;
      offsets.push(file.complete !== undefined || isSameBoot ? onDisk : 0);
    }
    const publication = new Publication(host, reservation, { ...kept, bootId: host.bootId }, offsets);
    await publication.#goOn();
    return publication;
  }

  get uid(): string {
    return this.#record.uid;
  }

  get reservation(): Reservation {
    return this.#reservation;
  }

  get result(): IngestResult | undefined {
    return this.#record.result;
  }

  /** Bytes of it on the disk, in staging. */
  get writtenBytes(): number {
    if (this.#record.phase === 'Published') return 0;
    let sum = 0;
    for (const offset of this.#offsets) sum += offset;
    return sum;
  }

  get phase(): 'Reserved' | IngestRecord['phase'] {
    const { phase, files } = this.#record;
    return phase === 'Receiving' && files.length === 0 ? 'Reserved' : phase;
  }

  /** How it goes, as the protocol tells. */
  status(): IngestStatus {
    const { reason, message, result } = this.#record;
    return {
      phase: this.phase,
      ...(reason === undefined ? {} : { reason }),
      ...(message === undefined ? {} : { message }),
      ...(result === undefined || this.phase !== 'Published' ? {} : { digest: result.digest }),
    };
  }

  /** The reservation changed: another publisher Pod, or another attempt at the same source. */
  async reserve(reservation: Reservation): Promise<void> {
    const isNewAttempt = reservation.attempt !== this.#reservation.attempt;
    this.#reservation = reservation;
    if (!isNewAttempt) return;
    this.#body?.destroy();
    await this.#inTurn(async () => {
      this.#record.attempt = reservation.attempt;
      if (this.#record.phase === 'Failed' || this.#record.phase === 'Published') {
        const { reason: _, message: __, result: ___, ...rest } = this.#record;
        const files = this.#record.phase === 'Published' ? [] : rest.files;
        this.#record = { ...rest, files, phase: 'Receiving' };
        if (files.length === 0) this.#offsets = [];
      }
      await this.#save();
    });
    this.#host.changed(false);
  }

  /** Takes the list of files. What is there already of a file that is still the same is kept. */
  plan(request: PlanRequest): Promise<PlanResponse> {
    this.#body?.destroy();
    return this.#inTurn(async () => {
      this.#expectReceiving();
      this.#judge(request);
      await this.#takePlan(request);
      await this.#promiseRoom();
      await this.#save();
      this.#host.changed(false);
      return {
        files: this.#record.files.map((file, index) => ({
          offset: this.#offsets[index] ?? 0,
          complete: file.complete !== undefined,
        })),
      };
    });
  }

  /** Takes the bytes of a file from `offset` on; what came before the connection broke is kept. */
  receive(index: number, offset: number, body: Readable): Promise<OffsetResponse> {
    // The newest connection counts: the one before it is dead, or of a Pod that was replaced.
    this.#body?.destroy();
    return this.#inTurn(async () => {
      this.#expectReceiving();
      const file = this.#file(index);
      const have = this.#offsets[index] ?? 0;
      if (file.complete !== undefined || offset !== have) {
        throw new IngestRefusal('OffsetMismatch', `the agent has ${have} bytes of this file`, {
          offset: have,
        });
      }
      await this.#folder.open(file.path, offset, file.executable);
      this.#body = body;
      try {
        for await (const chunk of body as AsyncIterable<Buffer>) await this.#take(index, file, chunk);
      } catch (error) {
        throw this.#refusal(error);
      } finally {
        this.#body = undefined;
      }
      return { offset: this.#offsets[index] ?? 0 };
    });
  }

  /** The file ends here; returns what was hashed. */
  finishFile(index: number, sizeBytes: number): Promise<FileFinishResponse> {
    return this.#inTurn(async () => {
      this.#expectReceiving();
      const file = this.#file(index);
      if (file.complete !== undefined && file.complete.sizeBytes === sizeBytes)
        return { sha256: file.complete.sha256 };
      const have = this.#offsets[index] ?? 0;
      if (have !== sizeBytes) {
        throw new IngestRefusal(
          'OffsetMismatch',
          `the agent has ${have} bytes of this file, not ${sizeBytes}`,
          {
            offset: have,
          },
        );
      }
      if (file.sizeBytes !== null && file.sizeBytes !== sizeBytes) {
        throw new IngestRefusal(
          'InvalidRequest',
          `${file.path} was to have ${file.sizeBytes} bytes and ends after ${sizeBytes}`,
        );
      }
      await this.#folder.open(file.path, sizeBytes, file.executable);
      const sha256 = await this.#folder.finish();
      if (file.sha256 !== null && file.sha256.toLowerCase() !== sha256) {
        await this.#drop(index);
        throw new IngestRefusal(
          'ChecksumMismatch',
          `${file.path} has the SHA-256 ${sha256}, and ${file.sha256} is declared`,
        );
      }
      file.complete = { sha256, sizeBytes };
      this.#unflushed.add(index);
      if (this.#pieces?.file === index) {
        this.#pieces.file += 1;
        this.#pieces.offset = 0;
      } else this.#pieces = undefined;
      if (this.#host.now() - this.#savedAt >= SAVE_EVERY_MILLISECONDS) await this.#save();
      return { sha256 };
    });
  }

  /** All files are there: makes the revision, in the background. */
  finish(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#record.phase === 'Hashing' || this.#record.phase === 'Published') return;
      this.#expectReceiving();
      const missing = this.#record.files.find(({ complete }) => complete === undefined);
      if (missing !== undefined || this.#record.files.length === 0) {
        throw new IngestRefusal(
          'WrongPhase',
          missing === undefined ? 'there is no plan yet' : `${missing.path} is not complete`,
        );
      }
      this.#record.phase = 'Hashing';
      await this.#save();
      this.#host.changed(false);
      this.#beginFinishing();
    });
  }

  /** The publisher gave up on its source. */
  fail(reason: string, message: string): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#record.phase !== 'Receiving') return;
      await this.#failWith(reason, message);
    });
  }

  /** Stops what is under way and waits for it; what arrived stays on the disk. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#body?.destroy();
    await this.#turn;
    await this.#finishing;
    await this.#folder.close();
    this.#host.releaseRoom();
  }

  /** What a restart left: hashing goes on by itself, and room is promised again. */
  async #goOn(): Promise<void> {
    const { phase, result } = this.#record;
    if (phase === 'Hashing' && result !== undefined && this.#host.isHeld(result.revision)) {
      this.#record.phase = 'Published';
      await this.#save();
    } else if (phase === 'Hashing') {
      if (this.#record.files.some(({ complete }) => complete === undefined)) this.#record.phase = 'Receiving';
      else this.#beginFinishing();
    }
    if (this.#record.attempt !== this.#reservation.attempt) {
      const reservation = this.#reservation;
      this.#reservation = { ...reservation, attempt: this.#record.attempt };
      await this.reserve(reservation);
    }
  }

  #judge({ sourceState, files }: PlanRequest): void {
    if (sourceState !== this.#reservation.sourceState) {
      throw new IngestRefusal(
        'InvalidRequest',
        'the plan is of another source than the reservation: its publisher is out of date',
      );
    }
    const paths = files.map(({ path }) => path);
    try {
      checkPaths(paths);
    } catch (error) {
      if (error instanceof ApiError)
        throw new IngestRefusal('InvalidRequest', error.message, { cause: error });
      throw error;
    }
    for (const [index, path] of paths.entries()) {
      const before = paths[index - 1];
      if (before !== undefined && comparePaths(before, path) >= 0)
        throw new IngestRefusal('InvalidRequest', 'the files of a plan must be in byte order of their paths');
    }
    const knownBytes = files.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0);
    this.#expectWithinLimit(knownBytes);
    const { uid, distributionName: name } = this.#reservation;
    judgePlan(
      { uid, name },
      files.map(({ path, executable, sizeBytes }) => ({ path, executable, sizeBytes: sizeBytes ?? 0 })),
    );
  }

  #expectWithinLimit(bytes: number): void {
    const { sizeLimit } = this.#reservation;
    if (sizeLimit === undefined || bytes <= sizeLimit) return;
    throw new IngestRefusal(
      'SizeLimitExceeded',
      `the source has at least ${formatBytes(bytes)}, and sizeLimit is ${formatBytes(sizeLimit)}`,
    );
  }

  async #takePlan({ files, sourceState }: PlanRequest): Promise<void> {
    const before = new Map(this.#record.files.map((file, index) => [file.path, { file, index }]));
    const isUnchanged =
      files.length === this.#record.files.length &&
      files.every(
        (file, index) => before.get(file.path)?.index === index && isSame(file, before.get(file.path)?.file),
      );
    if (isUnchanged) return;

    const next: IngestFile[] = [];
    const offsets: number[] = [];
    for (const file of files) {
      const kept = before.get(file.path);
      const isKept = kept !== undefined && isSame(file, kept.file);
      next.push(
        isKept && kept.file.complete !== undefined ? { ...file, complete: kept.file.complete } : { ...file },
      );
      offsets.push(isKept ? (this.#offsets[kept.index] ?? 0) : 0);
      if (isKept) before.delete(file.path);
    }
    await this.#folder.close();
    for (const { file } of before.values()) await this.#folder.drop(file.path);
    this.#unflushed.clear();
    for (const [index, { complete }] of next.entries())
      if (complete !== undefined) this.#unflushed.add(index);
    this.#record.files = next;
    this.#record.sourceState = sourceState;
    this.#offsets = offsets;
    const isFresh = offsets.every((offset) => offset === 0);
    const sizesKnown = files.every(({ sizeBytes }) => sizeBytes !== null);
    const totalBytes = files.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0);
    this.#pieces =
      isFresh && sizesKnown
        ? { hasher: new PieceHasher(pieceLengthFor(totalBytes)), file: 0, offset: 0 }
        : undefined;
  }

  /** Promises room for the sizes that are known, and a step beyond what is there for the others. */
  async #promiseRoom(): Promise<void> {
    let totalBytes = 0;
    for (const [index, { sizeBytes }] of this.#record.files.entries())
      totalBytes += sizeBytes ?? this.#offsets[index] ?? 0;
    await this.#promise(totalBytes);
  }

  async #promise(totalBytes: number): Promise<void> {
    try {
      await this.#host.promiseRoom(totalBytes, () => this.writtenBytes);
      this.#promisedBytes = totalBytes;
    } catch (error) {
      if (!(error instanceof AgentError) || error.code !== 'StorageLow') throw error;
      await this.#failWith(Reason.InsufficientStorage, error.message);
      throw new IngestRefusal('InsufficientStorage', error.message, { cause: error });
    }
  }

  /** Hot: once a chunk of the network. */
  async #take(index: number, file: IngestFile, chunk: Buffer): Promise<void> {
    const offset = this.#offsets[index] ?? 0;
    if (file.sizeBytes !== null) {
      if (offset + chunk.length > file.sizeBytes) {
        throw new IngestRefusal(
          'InvalidRequest',
          `${file.path} was to have ${file.sizeBytes} bytes and has more`,
        );
      }
    } else {
      this.#expectWithinLimit(this.writtenBytes + chunk.length);
      if (this.writtenBytes + chunk.length > this.#promisedBytes)
        await this.#promise(this.#promisedBytes + ROOM_STEP_BYTES + chunk.length);
    }
    this.#offsets[index] = await this.#folder.append(chunk);
    const pieces = this.#pieces;
    if (pieces === undefined) return;
    if (pieces.file === index && pieces.offset === offset) {
      pieces.hasher.update(chunk);
      pieces.offset += chunk.length;
    } else this.#pieces = undefined;
  }

  #refusal(error: unknown): unknown {
    if (error instanceof IngestRefusal) return error;
    if (['ENOSPC', 'EDQUOT', 'EFBIG'].includes(systemCode(error))) {
      return new IngestRefusal('InsufficientStorage', 'the disk is full', { cause: error });
    }
    return error;
  }

  async #drop(index: number): Promise<void> {
    const file = this.#file(index);
    await this.#folder.drop(file.path);
    delete file.complete;
    this.#offsets[index] = 0;
    this.#unflushed.delete(index);
    this.#pieces = undefined;
    await this.#save();
  }

  #file(index: number): IngestFile {
    const file = this.#record.files[index];
    if (file === undefined) throw new IngestRefusal('InvalidRequest', `the plan has no file ${index}`);
    return file;
  }

  #expectReceiving(): void {
    const { phase, message } = this.#record;
    if (phase === 'Receiving') return;
    throw new IngestRefusal(
      'WrongPhase',
      message === undefined ? `the publication is ${phase}` : `the publication is ${phase}: ${message}`,
    );
  }

  async #failWith(reason: string, message: string): Promise<void> {
    this.#record = { ...this.#record, phase: 'Failed', reason, message };
    this.#host.releaseRoom();
    await this.#save();
    this.#host.changed(true);
    this.#host.logger.warn({ uid: this.uid, reason }, `publication failed: ${message}`);
  }

  async #save(): Promise<void> {
    const flushed = [...this.#unflushed];
    for (const index of flushed) await this.#folder.sync(this.#file(index).path);
    for (const index of flushed) this.#unflushed.delete(index);
    await this.#host.save(this.#record);
    this.#savedAt = this.#host.now();
  }

  #beginFinishing(): void {
    this.#finishing = this.#complete().catch(async (error: unknown) => {
      if (this.#stop.signal.aborted) return;
      this.#host.logger.error(
        { err: error, uid: this.uid },
        'the content that was received cannot be published',
      );
      const isFull = systemCode(error) === 'ENOSPC';
      const reason =
        error instanceof IngestRefusal && error.code === 'TooManyFiles'
          ? Reason.TooManyFiles
          : isFull
            ? Reason.InsufficientStorage
            : Reason.DiskError;
      try {
        await this.#failWith(
          reason,
          `the content was received and cannot be published: ${(error as Error).message}`,
        );
      } catch (second) {
        this.#host.logger.error({ err: second, uid: this.uid }, 'the failure cannot be written down either');
      }
    });
  }

  async #complete(): Promise<void> {
    const { files } = this.#record;
    const { uid, distributionName: name } = this.#reservation;
    const pieces =
      this.#pieces?.file === files.length ? this.#pieces.hasher.finish() : await this.#hashPieces();
    this.#pieces = undefined;
    const content = describe(
      { uid, name },
      files.map(({ path, executable, complete }) => {
        if (complete === undefined) throw new TypeError(`${path} is not complete`);
        return { path, executable, ...complete };
      }),
      pieces,
    );
    await this.#folder.tidy(new Set(files.map(({ path }) => path)));
    this.#record.result = content.result;
    await this.#save();
    this.#stop.signal.throwIfAborted();
    await this.#host.adopt(this.#reservation, content, this.#folder.root);
    this.#record.phase = 'Published';
    this.#host.releaseRoom();
    await this.#save();
    this.#host.changed(true);
    const { revision, sizeBytes } = content.result;
    this.#host.logger.info({ uid, revision, sizeBytes, files: files.length }, 'published');
  }

  /** The second pass: all files in order, from the disk; their SHA-256 are checked once more on the way. */
  async #hashPieces(): Promise<Buffer> {
    const { files } = this.#record;
    const totalBytes = files.reduce((sum, { complete }) => sum + (complete?.sizeBytes ?? 0), 0);
    const hasher = new PieceHasher(pieceLengthFor(totalBytes));
    for (const { path, complete } of files) {
      const sha256 = createHash('sha256');
      for await (const chunk of readChunks(join(this.#folder.root, path), this.#stop.signal)) {
        sha256.update(chunk);
        hasher.update(chunk);
      }
      if (sha256.digest('hex') !== complete?.sha256) {
        await fs.rm(join(this.#folder.root, path), { force: true });
        throw new Error(`${path} is not on the disk as it was received; the disk may be failing`);
      }
    }
    return hasher.finish();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    // Whoever waits for the turn does not care how the one before ended; its own caller is told.
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

/** Whether what is there of a file counts for another plan's file. */
function isSame(file: PlanRequest['files'][number], before: IngestFile | undefined): boolean {
  return (
    before !== undefined &&
    before.path === file.path &&
    before.validator === file.validator &&
    before.sizeBytes === file.sizeBytes &&
    before.executable === file.executable &&
    before.sha256 === file.sha256
  );
}
