// One publication: what a publisher streams to this node, from the plan to the revision.
//
// Invariant: what arrived is kept for as long as the reservation and the source state are the same, over broken
// connections, other publisher Pods and restarts of the agent; and nothing is called published before it is
// complete, flushed and held. Where room lacks, everything is given back: another node is elected.
import type { Readable } from 'node:stream';
import {
  type FileFinishResponse,
  formatBytes,
  type IngestStatus,
  type OffsetResponse,
  type PlanRequest,
  type PlanResponse,
  Reason,
  type Reservation,
} from '../../api/index.ts';
import { type Logger, Mutex, systemCode } from '../../base/index.ts';
import { AgentError } from '../errors.ts';
import { type DescribedContent, describe } from './describe.ts';
import { IngestRefusal } from './errors.ts';
import { type FileOpener, IngestFolder } from './folder.ts';
import { expectWithinLimit, judgePlan } from './plan.ts';
import { ReceivedFiles } from './received.ts';
import type { IngestFile, IngestRecord, IngestResult } from './record.ts';

/** Room is promised in such steps where a source does not state its size. */
const ROOM_STEP_BYTES = 64 * 1024 * 1024;
/** The record is written at most this often while files come. */
const SAVE_EVERY_MILLISECONDS = 2000;

/** What a publication needs of the agent. */
export interface PublicationHost {
  folder: string;
  /** Opens files in it. */
  opener: FileOpener;
  bootId: string;
  logger: Logger;
  now(): number;
  /** Keeps the record; it is on the disk when this resolves. */
  save(record: IngestRecord): Promise<void>;
  /** Removes the folder. */
  discard(): Promise<void>;
  /** Something changed that the status tells of; `isUrgent` if others wait for it. */
  changed(isUrgent: boolean): void;
  /** Promises room, evicting what is not needed. @throws AgentError StorageLow */
  promiseRoom(totalBytes: number, writtenBytes: () => number): Promise<void>;
  releaseRoom(): void;
  /** Bytes that content may newly use. */
  availableBytes(): Promise<number>;
  /** Takes the complete folder as a held revision and seeds it. */
  adopt(reservation: Reservation, content: DescribedContent, folder: string): Promise<void>;
  isHeld(revision: string): boolean;
}

const isFull = (error: unknown): boolean => ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(systemCode(error));
/** The connection ended before the body. */
const isBroken = (error: unknown): boolean =>
  ['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE'].includes(systemCode(error));

/** A publication of one distribution on this node. */
export class Publication {
  readonly #host: PublicationHost;
  #reservation: Reservation;
  /** As it is kept, less the files. */
  #state: Omit<IngestRecord, 'files'>;
  readonly #received: ReceivedFiles;
  #promisedBytes = 0;
  #savedAt = 0;
  /** The body that is being received. */
  #body: Readable | undefined;
  /** Calls run one after the other. */
  readonly #calls = new Mutex();
  #finishing: Promise<void> | undefined;
  readonly #stop = new AbortController();

  private constructor(
    host: PublicationHost,
    reservation: Reservation,
    state: Omit<IngestRecord, 'files'>,
    received: ReceivedFiles,
  ) {
    this.#host = host;
    this.#reservation = reservation;
    this.#state = state;
    this.#received = received;
  }

  /** A new publication, or one that goes on after a restart of the agent. */
  static async open(
    host: PublicationHost,
    reservation: Reservation,
    kept: IngestRecord | undefined,
  ): Promise<Publication> {
    const { uid, attempt, sourceState } = reservation;
    const { bootId } = host;
    const folder = new IngestFolder(host.folder, host.opener);
    const restore = (files: readonly IngestFile[]) =>
      ReceivedFiles.restore(folder, files, kept?.bootId === bootId);
    const isLost = kept?.phase === 'Published' && !host.isHeld(kept.result?.revision ?? '');
    if (kept?.sourceState !== sourceState || isLost) {
      const fresh = { uid, attempt, sourceState, bootId, phase: 'Receiving' } as const;
      return new Publication(host, reservation, fresh, await restore([]));
    }
    const { files, ...state } = kept;
    const received = await restore(kept.phase === 'Published' ? [] : files);
    const publication = new Publication(host, reservation, { ...state, bootId }, received);
    await publication.#goOn();
    return publication;
  }

  get uid(): string {
    return this.#state.uid;
  }

  get reservation(): Reservation {
    return this.#reservation;
  }

  get result(): IngestResult | undefined {
    return this.#state.result;
  }

  /** Bytes of it on the disk, in staging. */
  get writtenBytes(): number {
    return this.#received.writtenBytes;
  }

  get phase(): 'Reserved' | IngestRecord['phase'] {
    const { phase } = this.#state;
    return phase === 'Receiving' && this.#received.files.length === 0 ? 'Reserved' : phase;
  }

  /** How it goes, as the protocol tells. */
  status(): IngestStatus {
    const { reason, message, result } = this.#state;
    return {
      phase: this.phase,
      ...(reason === undefined ? {} : { reason }),
      ...(message === undefined ? {} : { message }),
      ...(result === undefined || this.phase !== 'Published' ? {} : { digest: result.digest }),
    };
  }

  /** The reservation changed: another publisher Pod, or another attempt at the same source. */
  async reserve(reservation: Reservation): Promise<void> {
    this.#reservation = reservation;
    if (reservation.attempt === this.#state.attempt) return;
    this.#body?.destroy();
    await this.#inTurn(async () => {
      this.#state.attempt = reservation.attempt;
      if (this.#state.phase === 'Failed' || this.#state.phase === 'Published') {
        const { reason: _, message: __, result: ___, ...rest } = this.#state;
        this.#state = { ...rest, phase: 'Receiving' };
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
      judgePlan(request, this.#reservation);
      const received = this.#received;
      await received.takePlan(request.files);
      await this.#promise(received.committedBytes);
      await this.#save();
      this.#host.changed(false);
      return {
        files: received.files.map(({ complete }, index) => ({
          offset: received.offset(index),
          complete: complete !== undefined,
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
      const file = this.#received.file(index);
      const have = this.#received.offset(index);
      if (file.complete !== undefined || offset !== have) {
        throw new IngestRefusal('OffsetMismatch', `the agent has ${have} bytes of ${file.path}`, {
          offset: have,
        });
      }
      await this.#received.open(index);
      this.#body = body;
      try {
        for await (const chunk of body as AsyncIterable<Buffer>) await this.#take(index, file, chunk);
      } catch (error) {
        if (!isBroken(error)) throw error;
        throw new IngestRefusal('Unavailable', 'the connection ended before the body; what came is kept', {
          cause: error,
        });
      } finally {
        this.#body = undefined;
      }
      return { offset: this.#received.offset(index) };
    });
  }

  /** The file ends here; returns what was hashed. */
  finishFile(index: number, sizeBytes: number): Promise<FileFinishResponse> {
    return this.#inTurn(async () => {
      this.#expectReceiving();
      const received = this.#received;
      const { path, complete, sizeBytes: declaredBytes, sha256: declared } = received.file(index);
      if (complete !== undefined && complete.sizeBytes === sizeBytes) return { sha256: complete.sha256 };
      const have = received.offset(index);
      if (have !== sizeBytes) {
        throw new IngestRefusal(
          'OffsetMismatch',
          `the agent has ${have} bytes of ${path}, not ${sizeBytes}`,
          { offset: have },
        );
      }
      if (declaredBytes !== null && declaredBytes !== sizeBytes) {
        throw new IngestRefusal(
          'InvalidRequest',
          `${path} was to have ${declaredBytes} bytes and ends after ${sizeBytes}`,
        );
      }
      const sha256 = await received.finish(index);
      if (declared !== null && declared !== sha256) {
        await received.drop(index);
        await this.#save();
        throw new IngestRefusal(
          'ChecksumMismatch',
          `${path} has the SHA-256 ${sha256}, and ${declared} is declared`,
        );
      }
      received.complete(index, sha256);
      if (this.#host.now() - this.#savedAt >= SAVE_EVERY_MILLISECONDS) await this.#save();
      return { sha256 };
    });
  }

  /** All files are there: makes the revision, in the background. */
  finish(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#state.phase === 'Hashing' || this.#state.phase === 'Published') return;
      this.#expectReceiving();
      const { missing, files } = this.#received;
      if (missing !== undefined || files.length === 0) {
        throw new IngestRefusal(
          'WrongPhase',
          missing === undefined ? 'there is no plan yet' : `${missing.path} is not complete`,
        );
      }
      this.#state.phase = 'Hashing';
      try {
        await this.#save();
      } catch (error) {
        this.#state.phase = 'Receiving';
        throw error;
      }
      this.#host.changed(false);
      this.#beginFinishing();
    });
  }

  /** The publisher gave up on its source. */
  fail(reason: string, message: string): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#state.phase !== 'Receiving') return;
      await this.#failWith(reason, message);
    });
  }

  /** Stops what is under way and waits for it; what arrived stays on the disk. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#body?.destroy();
    await this.#calls.idle();
    await this.#finishing;
    await this.#received.close();
    await this.#saveLast();
    this.#host.releaseRoom();
  }

  /** What a restart left: hashing goes on by itself. */
  async #goOn(): Promise<void> {
    const { phase, result } = this.#state;
    if (phase === 'Hashing' && result !== undefined && this.#host.isHeld(result.revision)) {
      this.#state.phase = 'Published';
      this.#received.clear();
      await this.#save();
    } else if (phase === 'Hashing') {
      if (this.#received.missing !== undefined) this.#state.phase = 'Receiving';
      else this.#beginFinishing();
    }
    await this.reserve(this.#reservation);
  }

  /** Hot: once a chunk of the network. */
  async #take(index: number, file: IngestFile, chunk: Buffer): Promise<void> {
    const received = this.#received;
    if (file.sizeBytes === null) {
      const neededBytes = received.committedBytes + chunk.length;
      expectWithinLimit(neededBytes, this.#reservation);
      if (neededBytes > this.#promisedBytes) await this.#promise(neededBytes + ROOM_STEP_BYTES);
    } else if (received.offset(index) + chunk.length > file.sizeBytes) {
      throw new IngestRefusal(
        'InvalidRequest',
        `${file.path} was to have ${file.sizeBytes} bytes and has more`,
      );
    }
    await received.append(index, chunk);
  }

  async #promise(totalBytes: number): Promise<void> {
    await this.#host.promiseRoom(totalBytes, () => this.writtenBytes);
    this.#promisedBytes = totalBytes;
  }

  #expectReceiving(): void {
    const { phase, message } = this.#state;
    if (phase === 'Receiving') return;
    throw new IngestRefusal(
      'WrongPhase',
      message === undefined ? `the publication is ${phase}` : `the publication is ${phase}: ${message}`,
    );
  }

  /** What an error means for the publisher; a lack of room ends the publication on this node. */
  async #refusalOf(error: unknown): Promise<unknown> {
    const isRefused = error instanceof AgentError && error.code === 'StorageLow';
    if (!isRefused && !isFull(error)) return error;
    const message = isRefused ? error.message : await this.#fullMessage();
    if (this.#state.phase === 'Receiving') await this.#failWith(Reason.InsufficientStorage, message);
    return new IngestRefusal('InsufficientStorage', message, { cause: error });
  }

  async #fullMessage(): Promise<string> {
    const { writtenBytes, committedBytes } = this.#received;
    const [needed, received, free] = [
      Math.max(0, committedBytes - writtenBytes),
      writtenBytes,
      await this.#host.availableBytes(),
    ].map(formatBytes);
    return `the disk became full: ${received} were received, needs ${needed} more, ${free} free`;
  }

  /** It is over, in memory at least: whoever asks is told, even where the disk cannot take it down. */
  async #failWith(reason: string, message: string): Promise<void> {
    this.#state = { ...this.#state, phase: 'Failed', reason, message };
    this.#host.logger.warn({ uid: this.uid, reason }, `publication failed: ${message}`);
    try {
      if (reason === Reason.InsufficientStorage) await this.#giveBack();
      await this.#save();
    } catch (error) {
      this.#host.logger.error({ err: error, uid: this.uid }, 'the failure cannot be written down');
    }
    this.#host.releaseRoom();
    this.#promisedBytes = 0;
    this.#host.changed(true);
  }

  /** What came is of no use on a node that has no room for the rest. */
  async #giveBack(): Promise<void> {
    await this.#received.close();
    this.#received.clear();
    await this.#host.discard();
  }

  /** What is complete need not be hashed again by the next run. */
  async #saveLast(): Promise<void> {
    try {
      if (this.#state.phase === 'Receiving' && this.#received.files.length > 0) await this.#save();
    } catch (error) {
      this.#host.logger.warn({ err: error, uid: this.uid }, 'what was received last cannot be written down');
    }
  }

  async #save(): Promise<void> {
    await this.#received.flush();
    await this.#host.save({ ...this.#state, files: [...this.#received.files] });
    this.#savedAt = this.#host.now();
  }

  #beginFinishing(): void {
    this.#finishing = this.#complete().catch(async (error: unknown) => {
      if (this.#stop.signal.aborted) return;
      const { logger } = this.#host;
      logger.error({ err: error, uid: this.uid }, 'the content that was received cannot be published');
      if (isFull(error)) return this.#failWith(Reason.InsufficientStorage, await this.#fullMessage());
      const isTooMany = error instanceof IngestRefusal && error.code === 'TooManyFiles';
      await this.#failWith(
        isTooMany ? Reason.TooManyFiles : Reason.DiskError,
        `the content was received and cannot be published: ${(error as Error).message}`,
      );
    });
  }

  async #complete(): Promise<void> {
    const received = this.#received;
    const { uid, distributionName: name } = this.#reservation;
    const pieces = await received.pieces(this.#stop.signal);
    const content = describe(
      { uid, name },
      received.files.map(({ path, executable, complete }) => {
        if (complete === undefined) throw new TypeError(`${path} is not complete`);
        return { path, executable, ...complete };
      }),
      pieces,
    );
    await received.tidy();
    this.#state.result = content.result;
    await this.#save();
    this.#stop.signal.throwIfAborted();
    await this.#host.adopt(this.#reservation, content, this.#host.folder);
    this.#state.phase = 'Published';
    received.clear();
    this.#host.releaseRoom();
    await this.#save();
    this.#host.changed(true);
    const { revision, sizeBytes, files } = content.result;
    this.#host.logger.info({ uid, revision, sizeBytes, files }, 'published');
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    return this.#calls.run(async () => {
      try {
        return await work();
      } catch (error) {
        throw await this.#refusalOf(error);
      }
    });
  }
}
