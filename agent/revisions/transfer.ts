// One revision on this node, from nothing to held and seeded.
//
// Invariant: a transfer is in exactly one phase; it says Held only while the revision lies complete in content/.
// It never gives up by itself: what fails is tried again, sooner when somebody says that things have changed.
import { formatBytes, Reason } from '../../api/index.ts';
import { type BackoffBounds, backoffMilliseconds, type Clock, type Logger } from '../../base/index.ts';
import { type Discovery, type Metainfo, openStorage, type PieceStorage } from '../../torrent/index.ts';
import type { Torrent, TorrentProgress, TorrentSession } from '../../torrent/session/index.ts';
import type { ContentRoot } from '../content-root/content-root.ts';
import { AgentError } from '../errors.ts';
import { checkMetainfo } from './check-metainfo.ts';
import { failureOf, TransferFailure } from './failure.ts';
import type { MetainfoFetcher } from './fetch-metainfo.ts';
import { sameLimits, type Target, type TransferSettings } from './target.ts';

/** How far a transfer is. */
export interface TransferState {
  phase: 'Pending' | 'Downloading' | 'Held' | 'Failed';
  reason?: string;
  message?: string;
}

/** A discovery that follows the trackers until it is stopped. */
type DiscoveryFactory = (infoHashHex: string) => Discovery;

/** What a transfer needs of the agent. */
export interface TransferHost {
  root: ContentRoot;
  session: TorrentSession;
  clock: Clock;
  random(): number;
  logger: Logger;
  fetchMetainfo: MetainfoFetcher;
  discovery: DiscoveryFactory;
  /** Promises room, evicting what is not needed. @throws AgentError StorageLow */
  promiseRoom(key: string, totalBytes: number, writtenBytes: () => number): Promise<void>;
  releaseRoom(key: string): void;
  /** Bytes that content may newly use. */
  availableBytes(): Promise<number>;
  /** The state changed. */
  changed(): void;
}

/** Counts since the start; bytes are payload. */
export interface TransferTotals {
  downloadedBytes: number;
  uploadedBytes: number;
  wastedBytes: number;
  memoryWaits: number;
}

export const NO_TOTALS: Readonly<TransferTotals> = {
  downloadedBytes: 0,
  uploadedBytes: 0,
  wastedBytes: 0,
  memoryWaits: 0,
};

/** Adds counts to others. */
export function addTotals(to: TransferTotals, totals: TransferTotals): void {
  to.downloadedBytes += totals.downloadedBytes;
  to.uploadedBytes += totals.uploadedBytes;
  to.wastedBytes += totals.wastedBytes;
  to.memoryWaits += totals.memoryWaits;
}

/** The metainfo of a revision that was just published appears within moments. */
const QUICK_RETRY_MILLISECONDS = [200, 500, 1000];
const BACKOFF: BackoffBounds = { firstMilliseconds: 2000, maxMilliseconds: 30_000 };
const SAVE_EVERY_MILLISECONDS = 30_000;

/** A joined swarm. */
interface Joined {
  torrent: Torrent;
  storage: PieceStorage;
}

/** A revision that is to be held and seeded. */
export class Transfer {
  readonly target: Target;
  readonly #host: TransferHost;
  readonly #key: string;
  readonly #stop = new AbortController();
  #settings: TransferSettings;
  #state: TransferState = { phase: 'Pending' };
  #joined: Joined | undefined;
  /** Payload of swarms that were left. */
  readonly #leftTotals: TransferTotals = { ...NO_TOTALS };
  /** Bytes of the download that are on the disk, joined or not. */
  #stagedBytes: () => number = () => 0;
  #metainfoBytes: Uint8Array | undefined;
  #wake: (() => void) | undefined;
  #done: Promise<void> = Promise.resolve();

  constructor(host: TransferHost, target: Target, settings: TransferSettings) {
    this.#host = host;
    this.target = target;
    this.#settings = settings;
    this.#key = `download/${target.uid}/${target.revision}`;
    if (host.root.isHeld(target.uid, target.revision)) this.#state = { phase: 'Held' };
  }

  get state(): TransferState {
    return this.#state;
  }

  /** The metainfo, once it is known. */
  get metainfoBytes(): Uint8Array | undefined {
    return this.#metainfoBytes;
  }

  /** Numbers of the swarm; undefined while it is not joined. */
  progress(): TorrentProgress | undefined {
    return this.#joined?.torrent.progress();
  }

  /** Counts since it began, also of earlier times in the swarm. */
  totals(): TransferTotals {
    const totals = { ...this.#leftTotals };
    addTotals(totals, this.progress() ?? NO_TOTALS);
    return totals;
  }

  /** How it is in the swarm; fixed for its life. */
  get policy(): TransferSettings['policy'] {
    return this.#settings.policy;
  }

  /** Bytes of it in staging. */
  get writtenBytes(): number {
    return this.#state.phase === 'Held' ? 0 : this.#stagedBytes();
  }

  /** Begins; returns at once. */
  start(): void {
    this.#done = this.#run();
  }

  /** Takes other settings of the same policy, without leaving the swarm. */
  update(settings: TransferSettings): void {
    const before = this.#settings;
    this.#settings = settings;
    const torrent = this.#joined?.torrent;
    if (torrent !== undefined) {
      if (!sameLimits(before.limits, settings.limits)) torrent.setLimits(settings.limits);
      if (settings.paused && !before.paused) torrent.pause();
      if (!settings.paused && before.paused) torrent.resume();
    }
    if (before.paused !== settings.paused) {
      if (this.#state.phase !== 'Held' && this.#state.phase !== 'Failed' && torrent !== undefined)
        this.#enter(this.#transferring());
      this.#wake?.();
    }
  }

  /** Things have changed: what waits to be tried again is tried now. */
  retryNow(): void {
    this.#wake?.();
  }

  /** Leaves the swarm and closes the files; they stay as they are. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake?.();
    await this.#done;
    await this.#leave();
    this.#host.releaseRoom(this.#key);
  }

  /** Records what is verified, for the next start. */
  async save(): Promise<void> {
    try {
      await this.#joined?.storage.saveResume();
    } catch (error) {
      this.#host.logger.warn({ err: error, ...this.target }, 'resume data cannot be saved');
    }
  }

  get #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  #enter(state: TransferState): void {
    const { phase, reason, message } = this.#state;
    if (state.phase === phase && state.reason === reason && state.message === message) return;
    this.#state = state;
    this.#host.changed();
  }

  #transferring(): TransferState {
    return this.#settings.paused
      ? { phase: 'Pending', reason: Reason.Paused, message: 'transfers are suspended' }
      : { phase: 'Downloading' };
  }

  /** Tries until it is stopped; each try ends with an error, or when the files have to be looked at anew. */
  async #run(): Promise<void> {
    for (let failures = 0; !this.#isStopped; ) {
      try {
        await this.#attempt(() => {
          failures = 0;
        });
      } catch (error) {
        if (this.#isStopped) break;
        await this.#afterFailure(await this.#withNumbers(failureOf(error)), failures);
        failures += 1;
      }
    }
  }

  /** A disk that became full on the way says so in other words than one that is too small from the start. */
  async #withNumbers(failure: TransferFailure): Promise<TransferFailure> {
    if (failure.reason !== Reason.StorageLow || failure.cause instanceof AgentError) return failure;
    const neededBytes = this.target.sizeBytes - this.writtenBytes;
    const numbers = `needs ${formatBytes(neededBytes)} more, ${formatBytes(await this.#host.availableBytes())} free`;
    return new TransferFailure(failure.reason, `the disk became full: ${numbers}`, { cause: failure.cause });
  }

  async #afterFailure(failure: TransferFailure, failures: number): Promise<void> {
    const { uid, revision } = this.target;
    await this.#leave();
    this.#host.releaseRoom(this.#key);
    const isQuick =
      failure.reason === Reason.MetainfoUnavailable && failures < QUICK_RETRY_MILLISECONDS.length;
    const { reason, message } = failure;
    if (this.#host.root.isHeld(uid, revision)) this.#enter({ phase: 'Held', reason, message });
    // Nobody has it yet: that is waiting, and no failure of this node.
    else if (reason === Reason.MetainfoUnavailable) this.#enter({ phase: 'Pending', reason, message });
    else this.#enter({ phase: 'Failed', reason, message });
    if (!isQuick)
      this.#host.logger.warn({ uid, revision, reason, err: failure.cause }, `transfer failed: ${message}`);
    const late = Math.max(
      0,
      failures - (reason === Reason.MetainfoUnavailable ? QUICK_RETRY_MILLISECONDS.length : 0),
    );
    const waitMilliseconds = isQuick
      ? (QUICK_RETRY_MILLISECONDS[failures] ?? 0)
      : backoffMilliseconds(late + 1, BACKOFF, this.#host.random);
    await this.#wait(waitMilliseconds);
  }

  /** Resolves after a time, or when somebody wakes it. */
  #wait(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#host.clock.after(milliseconds, () => done());
      const done = () => {
        cancel();
        this.#wake = undefined;
        resolve();
      };
      this.#wake = done;
      if (this.#isStopped) done();
    });
  }

  async #attempt(joined: () => void): Promise<void> {
    const { uid, revision } = this.target;
    const { root } = this.#host;
    if (!root.isHeld(uid, revision)) {
      while (this.#settings.paused && !this.#isStopped) {
        this.#enter(this.#transferring());
        await this.#wait(BACKOFF.maxMilliseconds);
      }
      if (this.#isStopped) return;
    }
    const metainfo = await this.#metainfo();
    if (this.#isStopped) return;
    if (root.isHeld(uid, revision)) {
      if (await this.#openHeld(metainfo)) {
        joined();
        await this.#untilTrouble();
        return;
      }
    }
    await this.#openDownload(metainfo);
    joined();
    await this.#untilComplete();
    if (this.#isStopped) return;
    await this.#hold();
    await this.#untilTrouble();
  }

  async #metainfo(): Promise<Metainfo> {
    const { uid, revision, infoHash, digest, sizeBytes } = this.target;
    const { root, fetchMetainfo } = this.#host;
    const kept = await root.metainfo(uid, revision);
    if (kept !== undefined) {
      try {
        const metainfo = checkMetainfo(kept, this.target);
        this.#metainfoBytes = kept;
        return metainfo;
      } catch (error) {
        this.#host.logger.info(
          { err: error, uid, revision },
          'the metainfo that was kept is not the right one',
        );
      }
    }
    const bytes = await fetchMetainfo(infoHash, this.#stop.signal);
    const metainfo = checkMetainfo(bytes, this.target);
    await root.expect(uid, revision, { infoHash, digest, sizeBytes }, bytes);
    this.#metainfoBytes = bytes;
    return metainfo;
  }

  #open(metainfo: Metainfo, folder: string): Promise<PieceStorage> {
    const { uid, revision } = this.target;
    const resumeFile = this.#host.root.layout.resume(uid, revision);
    return openStorage({ metainfo, root: folder, resumeFile, signal: this.#stop.signal });
  }

  #join(metainfo: Metainfo, storage: PieceStorage): void {
    const { session, discovery } = this.#host;
    const { policy, limits, paused } = this.#settings;
    const torrent = session.add({
      metainfo,
      storage,
      policy,
      limits,
      paused,
      discovery: [discovery(metainfo.infoHashHex)],
    });
    this.#joined = { torrent, storage };
  }

  /** Seeds what is held; false if the files are damaged, and then it is a download again. */
  async #openHeld(metainfo: Metainfo): Promise<boolean> {
    const { uid, revision } = this.target;
    const { root, logger } = this.#host;
    const storage = await this.#open(metainfo, root.layout.revision(uid, revision));
    try {
      if (storage.have.isFull) {
        await storage.saveResume();
        this.#join(metainfo, storage);
        this.#enter({ phase: 'Held' });
        return true;
      }
    } catch (error) {
      if (this.#joined === undefined) await storage.close();
      throw error;
    }
    const missing = metainfo.pieceCount - storage.have.count;
    await storage.close();
    logger.error({ uid, revision, missing }, 'held files are damaged; the missing pieces are fetched again');
    await root.reopen(uid, revision);
    this.#enter({
      phase: 'Pending',
      reason: Reason.DiskCorrupts,
      message: `${missing} of ${metainfo.pieceCount} pieces on the disk are damaged and are fetched again`,
    });
    return false;
  }

  async #openDownload(metainfo: Metainfo): Promise<void> {
    const { uid, revision } = this.target;
    const { root } = this.#host;
    const folder = await root.prepareDownload(uid, revision);
    const storage = await this.#open(metainfo, folder);
    try {
      const { have } = storage;
      this.#stagedBytes = () => Math.min(metainfo.totalBytes, have.count * metainfo.pieceLength);
      await this.#host.promiseRoom(this.#key, metainfo.totalBytes, this.#stagedBytes);
      this.#join(metainfo, storage);
      if (!have.isFull) this.#enter(this.#transferring());
    } catch (error) {
      await storage.close();
      throw error;
    }
  }

  /** Resolves when every piece is there; rejects when the disk fails. */
  async #untilComplete(): Promise<void> {
    const { torrent, storage } = this.#joined!;
    const { clock } = this.#host;
    let cancelSave = () => {};
    const saveLater = () => {
      cancelSave = clock.after(SAVE_EVERY_MILLISECONDS, () => {
        void this.save().then(() => {
          if (this.#joined?.torrent === torrent && !storage.have.isFull) saveLater();
        });
      });
    };
    if (!storage.have.isFull) saveLater();
    try {
      await this.#eventOf(torrent, () => torrent.complete || storage.have.isFull);
    } finally {
      cancelSave();
    }
  }

  /** Resolves when it is stopped; rejects when the disk fails. */
  async #untilTrouble(): Promise<void> {
    await this.#eventOf(this.#joined!.torrent, () => false);
    await this.#leave();
  }

  /** Resolves when `isDone`, asked after each completion, or when it is stopped; rejects on an error of the torrent. */
  #eventOf(torrent: Torrent, isDone: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (error?: unknown) => {
        torrent.off('complete', check);
        torrent.off('error', end);
        this.#stop.signal.removeEventListener('abort', check);
        if (error === undefined) resolve();
        else reject(error);
      };
      const check = () => {
        if (this.#isStopped || isDone()) end();
      };
      torrent.on('complete', check);
      torrent.on('error', end);
      this.#stop.signal.addEventListener('abort', check);
      if (torrent.error !== undefined) end(torrent.error);
      else check();
    });
  }

  async #hold(): Promise<void> {
    const { uid, revision, sizeBytes } = this.target;
    const { root, logger } = this.#host;
    const { storage } = this.#joined!;
    await storage.finalize();
    await storage.saveResume();
    const folder = await root.hold(uid, revision, root.layout.download(uid, revision));
    await storage.relocate(folder);
    this.#host.releaseRoom(this.#key);
    this.#enter({ phase: 'Held' });
    logger.info({ uid, revision, sizeBytes }, 'revision is held');
  }

  async #leave(): Promise<void> {
    const joined = this.#joined;
    if (joined === undefined) return;
    await this.#host.session.remove(joined.torrent.infoHashHex);
    Object.assign(this.#leftTotals, this.totals());
    this.#joined = undefined;
    await joined.storage.close();
  }
}
