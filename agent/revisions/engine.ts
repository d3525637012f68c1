// Brings this node to what the ContentRevisions say: level-driven, one look after the other. A look reads
// everything, decides, and acts; whatever fails is done by a later look.
//
// Invariant: only here (and in what is called from here) is decided what the content root holds, shows and
// loses. Files are lost only by the rules of deletion/, and never while a Pod of this node may see them.
import {
  type ContentRevision,
  type NodeContent,
  type NodeRevision,
  type PlacementNode,
  parseLimits,
  Reason,
  type Reservation,
} from '../../api/index.ts';
import { openStorage } from '../../torrent/index.ts';
import type { TorrentProgress } from '../../torrent/session/types.ts';
import { apiTime, type Clock } from '../clock.ts';
import type { ContentRoot } from '../content-root/content-root.ts';
import { replaceFile } from '../content-root/disk.ts';
import { type Absence, type DeletionHold, DeletionLedger, type PresentRevision } from '../deletion/ledger.ts';
import { AgentError } from '../errors.ts';
import type { DescribedContent } from '../ingest/describe.ts';
import type { Logger } from '../logger.ts';
import { parseStorage, type Space } from '../space/space.ts';
import { type Decision, decide } from './decide.ts';
import { nameOwners } from './names.ts';
import { type SeenRevisions, seenRevisions } from './objects.ts';
import { DEFAULT_SETTINGS, keyOf, settingsOf, type Target, targetOf } from './target.ts';
import { Transfer, type TransferHost } from './transfer.ts';

/** What the API server says about an object that a DELETED event was seen for. */
export type Confirmation = 'gone' | 'doubtful' | 'unavailable';

/** What the engine sees of the cluster; all of it as last seen. */
export interface EngineView {
  /** The objects, and whether they have been listed since the start. */
  revisions(): { objects: readonly ContentRevision[]; hasSynced: boolean };
  node(): PlacementNode | undefined;
  nodeContent(): NodeContent | undefined;
  /** Names of the Pods that may see a revision. */
  pinnedBy(uid: string, revision: string): string[];
  /** Whether the Pods of this node have been listed since the start. */
  podsKnown(): boolean;
  /** Whether a revision was published here and waits for its object. */
  isReserved(uid: string, revision: string): boolean;
  /** Asks the API server whether an object is really gone. */
  confirmGone(namespace: string, uid: string, revision: string): Promise<Confirmation>;
}

/** What the engine is made with. */
export interface EngineOptions extends Omit<TransferHost, 'promiseRoom' | 'releaseRoom' | 'changed'> {
  space: Space;
  view: EngineView;
  ledger?: DeletionLedger;
  /** How long pins keep the files of a deleted distribution, in milliseconds. */
  pinLimitMilliseconds?: number;
  annotationName: string;
  /** Something changed that the status tells of; `isUrgent` if others wait for it. */
  changed(isUrgent: boolean): void;
}

/** A look is made at least this often. */
const LOOK_EVERY_MILLISECONDS = 30_000;
const LOOK_AGAIN_MILLISECONDS = 5000;
const PIN_LIMIT_MILLISECONDS = 3_600_000;

function addTotals(
  totals: { downloadedBytes: number; uploadedBytes: number; wastedBytes: number },
  progress: TorrentProgress | undefined,
): void {
  totals.downloadedBytes += progress?.downloadedBytes ?? 0;
  totals.uploadedBytes += progress?.uploadedBytes ?? 0;
  totals.wastedBytes += progress?.wastedBytes ?? 0;
}

/** The engine of one node. */
export class RevisionEngine {
  readonly #options: EngineOptions;
  readonly #root: ContentRoot;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #ledger: DeletionLedger;
  readonly #transfers = new Map<string, Transfer>();
  readonly #leftTotals = { downloadedBytes: 0, uploadedBytes: 0, wastedBytes: 0 };
  /** Why a held revision cannot be shown, by UID. */
  readonly #activationFailures = new Map<string, string>();
  #seen: SeenRevisions = { valid: [], invalid: [] };
  #decision: Decision = { wanted: [], kept: [], unsupported: [], activate: new Map() };
  #hold: DeletionHold | undefined;
  #savedLedger = '';
  #looking: Promise<void> | undefined;
  #isWantedAgain = false;
  #cancelTimer: () => void = () => {};
  #isClosed = false;
  /** Something happened that others wait for. */
  #isNews = false;
  /** Adoptions and looks exclude each other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#root = options.root;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#ledger = options.ledger ?? new DeletionLedger();
  }

  /** Takes up what was kept, and seeds what is held, without the API server. */
  async start(): Promise<void> {
    this.#ledger.restore(await this.#root.disk.readFile(this.#root.layout.deletions));
    for (const { uid, revision } of this.#root.held()) {
      const target = this.#rememberedTarget(uid, revision);
      if (target !== undefined) this.#begin(target, DEFAULT_SETTINGS);
    }
    this.lookSoon();
  }

  /** Leaves all swarms and saves what is verified. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelTimer();
    await this.#looking;
    await this.#turn;
    await Promise.all([...this.#transfers.values()].map((transfer) => transfer.stop()));
  }

  /** Why deletion waits, if it does. */
  get deletionHold(): DeletionHold | undefined {
    return this.#hold;
  }

  get transfers(): IterableIterator<Transfer> {
    return this.#transfers.values();
  }

  /** Bytes of payload since the start, swarms that were left included. */
  totals(): { downloadedBytes: number; uploadedBytes: number; wastedBytes: number } {
    const totals = { ...this.#leftTotals };
    for (const transfer of this.#transfers.values()) addTotals(totals, transfer.progress());
    return totals;
  }

  /** Metainfo of a swarm of this node. */
  async metainfo(infoHashHex: string): Promise<Uint8Array | undefined> {
    for (const transfer of this.#transfers.values())
      if (transfer.target.infoHash === infoHashHex) return transfer.metainfoBytes;
    return undefined;
  }

  /** Bytes that content uses on the disk, half-done downloads included. */
  get usedBytes(): number {
    let sum = 0;
    for (const { uid, revision } of this.#root.held())
      sum += this.#root.revisionRecord(uid, revision)?.sizeBytes ?? 0;
    for (const transfer of this.#transfers.values()) sum += transfer.writtenBytes;
    return sum;
  }

  /** A DELETED event was seen, or a list did not have the object. */
  gone(object: ContentRevision, byList: boolean): void {
    const { distributionUID: uid, revision } = (object.spec ?? {}) as Partial<ContentRevision['spec']>;
    if (typeof uid !== 'string' || typeof revision !== 'string') return;
    const now = this.#clock.now();
    if (byList) this.#ledger.missing(uid, revision, now);
    else this.#ledger.deleted(uid, revision, now);
    this.lookSoon();
  }

  /** Something changed: looks at everything, soon. */
  lookSoon(): void {
    if (this.#isClosed) return;
    this.#isWantedAgain = true;
    if (this.#looking !== undefined) return;
    this.#looking = this.#lookWhileWanted().finally(() => {
      this.#looking = undefined;
    });
  }

  /** Resolves when no look is under way or wanted; for tests. */
  async settled(): Promise<void> {
    while (this.#looking !== undefined) await this.#looking;
  }

  /** There may be more room, or other trackers: what waits to be tried again is tried now. */
  retryNow(): void {
    for (const transfer of this.#transfers.values()) transfer.retryNow();
  }

  /** Promises room; inactive revisions that nobody uses go first if need be. @throws AgentError StorageLow */
  async promiseRoom(key: string, totalBytes: number, writtenBytes: () => number): Promise<void> {
    for (;;) {
      try {
        await this.#options.space.promise(key, totalBytes, writtenBytes);
        return;
      } catch (error) {
        if (!(error instanceof AgentError) || error.code !== 'StorageLow') throw error;
        const { availableBytes } = await this.#options.space.figures();
        const neededBytes = totalBytes - writtenBytes() - availableBytes;
        if (!(await this.#evictOne(key, neededBytes))) throw error;
      }
    }
  }

  /** Takes what a publisher streamed as a held revision, and seeds it. */
  adopt(reservation: Reservation, content: DescribedContent, folder: string): Promise<void> {
    return this.#inTurn(async () => {
      const { uid, distributionName: name, podNamespace: namespace } = reservation;
      const { revision, infoHash, digest, sizeBytes } = content.result;
      const root = this.#root;
      await this.#end(uid, revision);
      const onDelete = root.record(uid)?.onDelete ?? 'Delete';
      await root.know({ uid, namespace, name, onDelete });
      await root.expect(uid, revision, { infoHash, digest, sizeBytes }, content.metainfoBytes);
      const held = await root.hold(uid, revision, folder);
      const storage = await openStorage({
        metainfo: content.metainfo,
        root: held,
        resumeFile: root.layout.resume(uid, revision),
        alreadyVerified: true,
      });
      try {
        await storage.saveResume();
      } finally {
        await storage.close();
      }
      this.#begin({ uid, revision, infoHash, digest, sizeBytes }, DEFAULT_SETTINGS);
      this.lookSoon();
    });
  }

  /** For NodeContent.status.revisions; the wanted ones first. */
  status(): NodeRevision[] {
    const entries = new Map<string, NodeRevision>();
    const add = (entry: NodeRevision) => {
      const key = keyOf(entry.uid, entry.revision);
      if (!entries.has(key)) entries.set(key, entry);
    };
    const describe = (
      namespace: string,
      distribution: string,
      uid: string,
      revision: string,
    ): NodeRevision => {
      const state = this.#transfers.get(keyOf(uid, revision))?.state ?? {
        phase: this.#root.isHeld(uid, revision) ? 'Held' : 'Pending',
      };
      const heldAt = this.#root.revisionRecord(uid, revision)?.heldAt;
      const isActive = this.#root.current(uid) === revision;
      const trouble = state.phase === 'Held' && !isActive ? this.#activationFailures.get(uid) : undefined;
      return {
        namespace,
        distribution,
        uid,
        revision,
        ...(trouble === undefined ? state : { ...state, reason: Reason.DiskError, message: trouble }),
        active: isActive,
        ...(heldAt === undefined || state.phase !== 'Held' ? {} : { heldAt: apiTime(heldAt) }),
      };
    };
    const ofObject = ({ metadata, spec }: ContentRevision) =>
      describe(metadata.namespace ?? '', spec.distribution, spec.distributionUID, spec.revision);
    const isHere = (uid: string, revision: string) =>
      this.#root.isHeld(uid, revision) || this.#transfers.has(keyOf(uid, revision));

    for (const revision of this.#decision.wanted) add(ofObject(revision));
    for (const { revision, features } of this.#decision.unsupported) {
      const message = `this agent does not know: ${features.join(', ')}; update the agents`;
      add({ ...ofObject(revision), phase: 'Unsupported', reason: Reason.UnsupportedFeature, message });
    }
    for (const { uid, revision, namespace, distribution, message } of this.#seen.invalid)
      add({
        ...describe(namespace, distribution, uid, revision),
        phase: 'Failed',
        reason: Reason.InvalidRevision,
        message,
      });
    for (const revision of this.#decision.kept)
      if (isHere(revision.spec.distributionUID, revision.spec.revision)) add(ofObject(revision));
    for (const { uid, revision } of this.#root.held()) {
      const { namespace = '', name = '' } = this.#root.record(uid) ?? {};
      if (namespace !== '' && name !== '') add(describe(namespace, name, uid, revision));
    }
    return [...entries.values()];
  }

  async #lookWhileWanted(): Promise<void> {
    while (this.#isWantedAgain && !this.#isClosed) {
      this.#isWantedAgain = false;
      let nextAt: number;
      try {
        nextAt = await this.#inTurn(() => this.#look());
      } catch (error) {
        this.#logger.error({ err: error }, 'a look at the revisions failed; the next one tries again');
        nextAt = this.#clock.now() + LOOK_AGAIN_MILLISECONDS;
      }
      this.#options.changed(this.#isNews);
      this.#isNews = false;
      this.#cancelTimer();
      const wait = Math.min(Math.max(nextAt - this.#clock.now(), 100), LOOK_EVERY_MILLISECONDS);
      this.#cancelTimer = this.#clock.after(wait, () => this.lookSoon());
    }
  }

  /** One look; returns when to look again, in milliseconds since 1970. */
  async #look(): Promise<number> {
    const { view, space, session } = this.#options;
    const { objects, hasSynced } = view.revisions();
    const nodeContent = view.nodeContent();
    const { storage, limits, paused = false } = nodeContent?.spec ?? {};
    space.settings = parseStorage(storage);
    session.setLimits(parseLimits(limits));

    this.#seen = seenRevisions(objects);
    this.#decision = decide({
      node: view.node(),
      revisions: this.#seen.valid,
      isHeld: (uid, revision) => this.#root.isHeld(uid, revision),
    });
    await this.#knowContents();
    await this.#followWanted(paused);
    await this.#activate();
    if (!hasSynced) return this.#clock.now() + LOOK_EVERY_MILLISECONDS;
    return await this.#deleteWhatIsGone();
  }

  async #knowContents(): Promise<void> {
    const wanted = new Set(this.#decision.wanted.map(({ spec }) => spec.distributionUID));
    for (const { metadata, spec } of [...this.#decision.kept, ...this.#decision.wanted]) {
      const { distributionUID: uid, distribution: name } = spec;
      if (!wanted.has(uid) && this.#root.record(uid) === undefined) continue;
      const onDelete = spec.onDelete ?? 'Delete';
      await this.#root.know({ uid, namespace: metadata.namespace ?? '', name, onDelete });
    }
  }

  /** Begins, updates and ends transfers. */
  async #followWanted(nodePaused: boolean): Promise<void> {
    const followed = new Set<string>();
    for (const object of this.#decision.wanted) {
      const target = targetOf(object);
      followed.add(keyOf(target.uid, target.revision));
      await this.#follow(target, settingsOf(object, nodePaused));
    }
    // What is held is seeded, wanted or not.
    for (const object of this.#decision.kept) {
      const target = targetOf(object);
      if (!this.#root.isHeld(target.uid, target.revision)) continue;
      followed.add(keyOf(target.uid, target.revision));
      await this.#follow(target, settingsOf(object, nodePaused));
    }
    for (const [key, transfer] of this.#transfers) {
      const { uid, revision } = transfer.target;
      if (followed.has(key) || this.#root.isHeld(uid, revision)) continue;
      await this.#end(uid, revision);
    }
  }

  async #follow(target: Target, settings: ReturnType<typeof settingsOf>): Promise<void> {
    const transfer = this.#transfers.get(keyOf(target.uid, target.revision));
    if (transfer !== undefined && transfer.target.infoHash === target.infoHash) {
      transfer.update(settings);
      return;
    }
    if (transfer !== undefined) await this.#end(target.uid, target.revision);
    this.#begin(target, settings);
  }

  #begin(target: Target, settings: ReturnType<typeof settingsOf>): void {
    const { space, changed: _, view: __, ...host } = this.#options;
    const transfer: Transfer = new Transfer(
      {
        ...host,
        promiseRoom: (key, totalBytes, writtenBytes) => this.promiseRoom(key, totalBytes, writtenBytes),
        releaseRoom: (key) => space.release(key),
        changed: () => {
          if (transfer.state.phase === 'Held' || transfer.state.phase === 'Failed') this.#isNews = true;
          // A revision that is held has to be activated.
          this.lookSoon();
        },
      },
      target,
      settings,
    );
    this.#transfers.set(keyOf(target.uid, target.revision), transfer);
    transfer.start();
  }

  async #end(uid: string, revision: string): Promise<void> {
    const key = keyOf(uid, revision);
    const transfer = this.#transfers.get(key);
    if (transfer === undefined) return;
    const progress = transfer.progress();
    await transfer.stop();
    this.#transfers.delete(key);
    addTotals(this.#leftTotals, progress);
  }

  async #activate(): Promise<void> {
    const owners = nameOwners(this.#seen.valid);
    for (const uid of this.#root.uids()) {
      const { namespace, name } = this.#root.record(uid) ?? {};
      const owner = owners.get(`${namespace}/${name}`);
      if (owner !== undefined && owner !== uid) await this.#root.unname(uid);
    }
    for (const [uid, revision] of this.#decision.activate) {
      const { namespace, name } = this.#root.record(uid) ?? {};
      if (owners.get(`${namespace}/${name}`) !== uid) continue;
      const before = this.#root.current(uid);
      try {
        await this.#root.activate(uid, revision);
        this.#activationFailures.delete(uid);
        this.#isNews ||= before !== revision;
        if (before !== revision)
          this.#logger.info({ uid, revision, namespace, name, before }, 'revision is active');
      } catch (error) {
        this.#activationFailures.set(uid, (error as Error).message);
        this.#logger.error({ err: error, uid, revision }, 'a held revision cannot be shown to Pods');
      }
    }
  }

  /** All revisions on this disk, half-done downloads included. */
  #onDisk(): PresentRevision[] {
    return this.#root.uids().flatMap((uid) => {
      const record = this.#root.record(uid);
      const held = this.#root.held().filter((revision) => revision.uid === uid);
      const revisions = new Set([
        ...Object.keys(record?.revisions ?? {}),
        ...held.map(({ revision }) => revision),
      ]);
      return [...revisions].map((revision) => ({ uid, revision, retained: record?.onDelete === 'Retain' }));
    });
  }

  async #deleteWhatIsGone(): Promise<number> {
    const { view, annotationName } = this.#options;
    const now = this.#clock.now();
    const disk = this.#onDisk();
    const exists = new Set<string>();
    const uids = new Set<string>();
    for (const { spec } of this.#seen.valid) {
      exists.add(keyOf(spec.distributionUID, spec.revision));
      uids.add(spec.distributionUID);
    }
    for (const { uid, revision } of this.#seen.invalid) {
      exists.add(keyOf(uid, revision));
      uids.add(uid);
    }
    for (const { uid, revision } of disk) {
      if (exists.has(keyOf(uid, revision)) || view.isReserved(uid, revision))
        this.#ledger.present(uid, revision);
      else this.#ledger.missing(uid, revision, now);
    }
    const annotation = view.nodeContent()?.metadata.annotations?.[annotationName];
    const { due, hold, nextAt } = this.#ledger.judge(now, disk, annotation);
    if (hold?.since !== this.#hold?.since && hold !== undefined)
      this.#logger.error({ ...hold }, `deletion waits: ${hold.message}`);
    this.#hold = hold;

    let lookAgainAt = nextAt ?? Number.POSITIVE_INFINITY;
    for (const absence of due) {
      const isDone = await this.#remove(absence, uids.has(absence.uid));
      if (!isDone) lookAgainAt = Math.min(lookAgainAt, now + LOOK_AGAIN_MILLISECONDS);
    }
    // Decided before a restart, or waiting for a Pod.
    for (const uid of this.#root.uids()) {
      const deletedAt = this.#root.record(uid)?.deletedAt;
      if (deletedAt === undefined || uids.has(uid)) continue;
      if (!(await this.#removeContent(uid, deletedAt)))
        lookAgainAt = Math.min(lookAgainAt, now + LOOK_AGAIN_MILLISECONDS);
    }
    const there = new Set(this.#onDisk().map(({ uid }) => uid));
    for (const uid of this.#root.uids())
      if (!there.has(uid) && !uids.has(uid)) await this.#root.forgetEmpty(uid);
    await this.#saveLedger();
    return lookAgainAt;
  }

  /** Removes what is due, if the API server confirms it. Returns false if it has to be looked at again. */
  async #remove(absence: Absence, hasOtherRevisions: boolean): Promise<boolean> {
    const { uid, revision, kind } = absence;
    const record = this.#root.record(uid);
    if (record === undefined) return true;
    if (!hasOtherRevisions && (record.onDelete === 'Retain' || record.deletedAt !== undefined)) return true;
    if (hasOtherRevisions && this.#root.current(uid) === revision) return false;
    if (kind === 'event' && absence.cleared !== true) {
      const confirmation = await this.#options.view.confirmGone(record.namespace, uid, revision);
      if (confirmation === 'doubtful') this.#ledger.doubt(uid, revision, this.#clock.now());
      if (confirmation !== 'gone') return false;
    }
    if (!hasOtherRevisions) {
      this.#logger.info(
        { uid, namespace: record.namespace, name: record.name },
        'distribution is gone; its content goes too',
      );
      await this.#root.markDeleted(uid);
      this.#ledger.removedDistribution(uid, this.#clock.now());
      await this.#root.deactivate(uid);
      return true;
    }
    if (!this.#mayRemove(uid, revision)) return false;
    this.#logger.info({ uid, revision }, 'revision is gone; its files go too');
    await this.#end(uid, revision);
    await this.#root.remove(uid, revision);
    this.#ledger.done(uid, revision);
    return true;
  }

  /** Removes the files of a deleted distribution; returns false while a Pod may see some of them. */
  async #removeContent(uid: string, deletedAt: number): Promise<boolean> {
    await this.#root.deactivate(uid);
    const limit = this.#options.pinLimitMilliseconds ?? PIN_LIMIT_MILLISECONDS;
    const isOver = this.#clock.now() - deletedAt >= limit;
    let isDone = true;
    for (const { revision } of this.#onDisk().filter((entry) => entry.uid === uid)) {
      if (!isOver && !this.#mayRemove(uid, revision)) {
        isDone = false;
        continue;
      }
      await this.#end(uid, revision);
      await this.#root.remove(uid, revision);
      this.#ledger.done(uid, revision);
    }
    return isDone;
  }

  #mayRemove(uid: string, revision: string): boolean {
    const { view } = this.#options;
    return view.podsKnown() && view.pinnedBy(uid, revision).length === 0;
  }

  /** Removes one revision that is neither wanted, active nor in use; the one that has been here longest. */
  async #evictOne(forKey: string, neededBytes: number): Promise<boolean> {
    const wanted = new Set(
      this.#decision.wanted.map(({ spec }) => keyOf(spec.distributionUID, spec.revision)),
    );
    const candidates = this.#onDisk()
      .filter(
        ({ uid, revision }) =>
          !wanted.has(keyOf(uid, revision)) &&
          `download/${keyOf(uid, revision)}` !== forKey &&
          this.#root.current(uid) !== revision &&
          this.#decision.activate.get(uid) !== revision &&
          !this.#options.view.isReserved(uid, revision) &&
          this.#mayRemove(uid, revision),
      )
      .map(({ uid, revision }) => ({ uid, revision, record: this.#root.revisionRecord(uid, revision) }))
      .sort((a, b) => (a.record?.heldAt ?? 0) - (b.record?.heldAt ?? 0));
    const room = candidates.reduce((sum, { record }) => sum + (record?.sizeBytes ?? 0), 0);
    const [first] = candidates;
    // Nothing is lost for a promise that cannot be kept anyway.
    if (first === undefined || room < neededBytes) return false;
    const { uid, revision } = first;
    this.#logger.info({ uid, revision }, 'an inactive revision is evicted for room');
    await this.#end(uid, revision);
    await this.#root.remove(uid, revision);
    this.#options.changed(false);
    return true;
  }

  #rememberedTarget(uid: string, revision: string): Target | undefined {
    const record = this.#root.revisionRecord(uid, revision);
    if (record === undefined) return undefined;
    const { infoHash, digest, sizeBytes } = record;
    return { uid, revision, infoHash, digest, sizeBytes };
  }

  async #saveLedger(): Promise<void> {
    const text = `${JSON.stringify(this.#ledger)}\n`;
    if (text === this.#savedLedger) return;
    await replaceFile(this.#root.disk, this.#root.layout.deletions, text);
    this.#savedLedger = text;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    // Whoever waits for the turn does not care how the one before ended; its own caller is told.
    this.#turn = result.catch(() => undefined);
    return result;
  }
}
