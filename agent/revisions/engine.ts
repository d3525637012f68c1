// Brings this node to what the ContentRevisions say: level-driven, one look after the other. A look reads
// everything, decides, and acts; whatever fails is done by a later look.
//
// Invariant: only here (and in what is called from here) is decided what the content root holds, shows and
// loses; and nothing is decided before the objects have been listed whole, because from a part of them an older
// revision could look like the newest.

import {
  type ContentRevision,
  type NodeContent,
  type NodeRevision,
  type PlacementNode,
  parseLimits,
  Reason,
  type Reservation,
} from '../../api/index.ts';
import { type Clock, type Logger, Mutex } from '../../base/index.ts';
import { openStorage } from '../../torrent/index.ts';
import type { ContentRoot } from '../content-root/content-root.ts';
import type { DeletionHold, DeletionLedger } from '../deletion/ledger.ts';
import { type GoneConfirmer, Removal } from '../deletion/removal.ts';
import { AgentError } from '../errors.ts';
import type { DescribedContent } from '../ingest/describe.ts';
import { nextToEvict } from '../space/evict.ts';
import { parseStorage, type Space } from '../space/space.ts';
import { type Decision, decide } from './decide.ts';
import { nameOwners } from './names.ts';
import { type SeenRevisions, seenRevisions } from './objects.ts';
import { revisionStatus } from './status.ts';
import {
  DEFAULT_SETTINGS,
  keyOf,
  settingsOf,
  type Target,
  type TransferSettings,
  targetOf,
} from './target.ts';
import { addTotals, NO_TOTALS, Transfer, type TransferHost, type TransferTotals } from './transfer.ts';

/** What the engine sees of the cluster; all of it as last seen. */
interface EngineView {
  /** The objects, and whether they have been listed since the start. */
  revisions(): { objects: readonly ContentRevision[]; hasSynced: boolean };
  node(): PlacementNode | undefined;
  nodeContent(): NodeContent | undefined;
  /** Names of the Pods that may see a revision. */
  pinnedBy(uid: string, revision: string): string[];
  /** Whether it is known which Pods run here and what they use. */
  podsKnown(): boolean;
  /** Whether a revision was published here and waits for its object. */
  isReserved(uid: string, revision: string): boolean;
  confirmGone: GoneConfirmer;
}

/** What the engine is made with. */
export interface EngineOptions
  extends Omit<TransferHost, 'promiseRoom' | 'releaseRoom' | 'availableBytes' | 'changed'> {
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
/** What was on its way may still arrive; then the next look is made. */
const SHORTEST_WAIT_MILLISECONDS = 100;

/** The engine of one node. */
export class RevisionEngine {
  readonly #options: EngineOptions;
  readonly #root: ContentRoot;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #removal: Removal;
  readonly #transfers = new Map<string, Transfer>();
  readonly #leftTotals: TransferTotals = { ...NO_TOTALS };
  /** Which held revision cannot be shown as it should, and why, by UID. */
  readonly #activationFailures = new Map<string, { revision: string; message: string }>();
  #seen: SeenRevisions = { valid: [], invalid: [] };
  #decision: Decision = { wanted: [], kept: [], unsupported: [], activate: new Map() };
  #storageSettings = '';
  #looking: Promise<void> | undefined;
  #isWantedAgain = false;
  #cancelTimer: () => void = () => {};
  #isClosed = false;
  /** Something happened that others wait for. */
  #isNews = false;
  /** Adoptions and looks exclude each other. */
  readonly #looks = new Mutex();

  constructor(options: EngineOptions) {
    const { root, clock, logger, view, ledger, pinLimitMilliseconds, annotationName } = options;
    this.#options = options;
    this.#root = root;
    this.#clock = clock;
    this.#logger = logger;
    this.#removal = new Removal({
      root,
      clock,
      logger,
      ...(ledger === undefined ? {} : { ledger }),
      ...(pinLimitMilliseconds === undefined ? {} : { pinLimitMilliseconds }),
      leave: (uid, revision) => this.#end(uid, revision),
      confirmGone: (namespace, uid, revision) => view.confirmGone(namespace, uid, revision),
      pinnedBy: (uid, revision) => view.pinnedBy(uid, revision),
      podsKnown: () => view.podsKnown(),
      isReserved: (uid, revision) => view.isReserved(uid, revision),
      annotation: () => view.nodeContent()?.metadata.annotations?.[annotationName],
    });
  }

  /** Takes up what was kept, and seeds what is held, without the API server. */
  async start(): Promise<void> {
    await this.#removal.restore();
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
    await this.#looks.idle();
    await Promise.all([...this.#transfers.values()].map((transfer) => transfer.stop()));
  }

  /** Why deletion waits, if it does. */
  get deletionHold(): DeletionHold | undefined {
    return this.#removal.hold;
  }

  get transfers(): IterableIterator<Transfer> {
    return this.#transfers.values();
  }

  /** Bytes of payload since the start, swarms that were left included. */
  totals(): TransferTotals {
    const totals = { ...this.#leftTotals };
    for (const transfer of this.#transfers.values()) addTotals(totals, transfer.totals());
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
    this.#removal.gone(object, byList);
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
    return this.#looks.run(async () => {
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
    return revisionStatus({
      root: this.#root,
      seen: this.#seen,
      decision: this.#decision,
      stateOf: (uid, revision) => this.#transfers.get(keyOf(uid, revision))?.state,
      activationFailures: this.#activationFailures,
    });
  }

  async #lookWhileWanted(): Promise<void> {
    while (this.#isWantedAgain && !this.#isClosed) {
      this.#isWantedAgain = false;
      let nextAt: number;
      try {
        nextAt = await this.#looks.run(() => this.#look());
      } catch (error) {
        this.#logger.error({ err: error }, 'a look at the revisions failed; the next one tries again');
        nextAt = this.#clock.now() + LOOK_AGAIN_MILLISECONDS;
      }
      this.#options.changed(this.#isNews);
      this.#isNews = false;
      this.#cancelTimer();
      const wait = Math.min(
        Math.max(nextAt - this.#clock.now(), SHORTEST_WAIT_MILLISECONDS),
        LOOK_EVERY_MILLISECONDS,
      );
      this.#cancelTimer = this.#clock.after(wait, () => this.lookSoon());
    }
  }

  /** One look; returns when to look again, in milliseconds since 1970. */
  async #look(): Promise<number> {
    const { view, space, session } = this.#options;
    const { objects, hasSynced } = view.revisions();
    const { newsCount } = this.#removal;
    const nodeContent = view.nodeContent();
    const { storage, limits, paused = false } = nodeContent?.spec ?? {};
    space.settings = parseStorage(storage);
    session.setLimits(parseLimits(limits));
    const settings = JSON.stringify(storage);
    if (settings !== this.#storageSettings) this.#roomAppeared();
    this.#storageSettings = settings;
    if (!hasSynced) return this.#clock.now() + LOOK_EVERY_MILLISECONDS;

    this.#seen = seenRevisions(objects);
    this.#decision = decide({
      node: view.node(),
      revisions: this.#seen.valid,
      isHeld: (uid, revision) => this.#root.isHeld(uid, revision),
    });
    await this.#knowContents();
    await this.#followWanted(paused);
    await this.#activate();
    return await this.#removal.look(this.#seen, newsCount);
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

  async #follow(target: Target, settings: TransferSettings): Promise<void> {
    const transfer = this.#transfers.get(keyOf(target.uid, target.revision));
    // Another policy is another way to be in the swarm: it is left and joined anew, with all that is verified.
    if (transfer?.target.infoHash === target.infoHash && transfer.policy === settings.policy) {
      transfer.update(settings);
      return;
    }
    if (transfer !== undefined) await this.#end(target.uid, target.revision);
    this.#begin(target, settings);
  }

  #begin(target: Target, settings: TransferSettings): void {
    const { space, changed: _, view: __, ...host } = this.#options;
    const transfer: Transfer = new Transfer(
      {
        ...host,
        promiseRoom: (key, totalBytes, writtenBytes) => this.promiseRoom(key, totalBytes, writtenBytes),
        releaseRoom: (key) => space.release(key),
        availableBytes: async () => (await space.figures()).availableBytes,
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
    await transfer.stop();
    this.#transfers.delete(key);
    addTotals(this.#leftTotals, transfer.totals());
    this.#roomAppeared();
  }

  async #activate(): Promise<void> {
    const owners = nameOwners(this.#seen.valid);
    for (const uid of this.#root.uids()) {
      const { namespace, name } = this.#root.record(uid) ?? {};
      const owner = owners.get(`${namespace}/${name}`);
      if (owner !== undefined && owner !== uid) await this.#root.unname(uid);
    }
    for (const [uid, { spec }] of this.#decision.activate) {
      const { revision, activation } = spec;
      const { namespace, name } = this.#root.record(uid) ?? {};
      if (owners.get(`${namespace}/${name}`) !== uid) continue;
      const before = this.#root.current(uid);
      if (before !== undefined && before !== revision && this.#isStepBack(uid, before, activation.epoch))
        continue;
      try {
        await this.#root.activate(uid, revision, activation.epoch);
        this.#activationFailures.delete(uid);
        this.#isNews ||= before !== revision;
        if (before !== revision)
          this.#logger.info({ uid, revision, namespace, name, before }, 'revision is active');
      } catch (error) {
        this.#activationFailures.set(uid, { revision, message: (error as Error).message });
        this.#logger.error({ err: error, uid, revision }, 'a held revision cannot be shown to Pods');
      }
    }
  }

  /**
   * Whether an older revision would become active only because the object of the active one is gone. The objects
   * of a distribution that is deleted go one after the other; who rolls back raises an epoch.
   */
  #isStepBack(uid: string, before: string, epoch: number): boolean {
    const isThere = this.#seen.valid.some(
      ({ spec }) => spec.distributionUID === uid && spec.revision === before,
    );
    const activeEpoch = this.#root.activeEpoch(uid);
    if (isThere || activeEpoch === undefined || epoch >= activeEpoch) return false;
    return !this.#removal.isConfirmed(uid, before);
  }

  /** Removes one revision that is neither wanted, active nor in use; false if that would not make room enough. */
  async #evictOne(forKey: string, neededBytes: number): Promise<boolean> {
    const wanted = new Set(
      this.#decision.wanted.map(({ spec }) => keyOf(spec.distributionUID, spec.revision)),
    );
    const candidates = this.#removal
      .onDisk()
      .filter(
        ({ uid, revision }) =>
          !wanted.has(keyOf(uid, revision)) &&
          `download/${keyOf(uid, revision)}` !== forKey &&
          this.#root.current(uid) !== revision &&
          this.#decision.activate.get(uid)?.spec.revision !== revision &&
          !this.#options.view.isReserved(uid, revision) &&
          this.#removal.isUnused(uid, revision),
      )
      .map(({ uid, revision }) => {
        const { sizeBytes = 0, heldAt } = this.#root.revisionRecord(uid, revision) ?? {};
        return { uid, revision, sizeBytes, heldAt };
      });
    const next = nextToEvict(candidates, neededBytes);
    if (next === undefined) return false;
    const { uid, revision } = next;
    this.#logger.info({ uid, revision }, 'an inactive revision is evicted for room');
    await this.#end(uid, revision);
    await this.#root.remove(uid, revision);
    this.#options.changed(false);
    return true;
  }

  /** What did not fit is tried again. */
  #roomAppeared(): void {
    for (const transfer of this.#transfers.values())
      if (transfer.state.reason === Reason.StorageLow) transfer.retryNow();
  }

  #rememberedTarget(uid: string, revision: string): Target | undefined {
    const record = this.#root.revisionRecord(uid, revision);
    if (record === undefined) return undefined;
    const { infoHash, digest, sizeBytes } = record;
    return { uid, revision, infoHash, digest, sizeBytes };
  }
}
