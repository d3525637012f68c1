// The content root, and the only code that changes it. Invariant: a crash at any instant leaves the old state
// or the new one, never a mix: things are made aside, flushed, renamed, and the folder is flushed; what is then
// still open is closed by the next start. Nothing outside the root is touched and no symlink in it is followed.
import { type Clock, type Logger, Mutex } from '../../base/index.ts';
import { AgentError } from '../errors.ts';
import { ensureFolder, nodeRootDisk, type RootDisk, removeIfThere, replaceFile } from './disk.ts';
import { Layout } from './layout.ts';
import { dropLink, pointLink } from './links.ts';
import { lockRoot, type RootLock } from './lock.ts';
import { type ContentRecord, MAX_ACTIVATIONS, type RevisionRecord } from './record.ts';
import { emptyTrash, type FoundContent, prepareRoot, recoverRoot } from './recovery.ts';
import { sealInside, sealTop, unseal, unsealTop } from './seal.ts';

/** What a content root is opened with. */
export interface ContentRootOptions {
  path: string;
  clock: Clock;
  logger: Logger;
  /** How long an agent that is about to end is waited for; 20 s by default. */
  lockPatienceMilliseconds?: number;
  signal?: AbortSignal;
  disk?: RootDisk;
}

/** A revision on this disk. */
export interface HeldRevision {
  readonly uid: string;
  readonly revision: string;
}

const LOCK_PATIENCE_MILLISECONDS = 20_000;

/** An open content root. */
export class ContentRoot {
  readonly layout: Layout;
  readonly disk: RootDisk;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #lock: RootLock;
  readonly #contents: Map<string, FoundContent>;
  #trashCount = 0;
  /** Changes run one after the other. */
  readonly #changes = new Mutex();

  private constructor(
    options: ContentRootOptions,
    layout: Layout,
    disk: RootDisk,
    lock: RootLock,
    contents: Map<string, FoundContent>,
  ) {
    this.layout = layout;
    this.disk = disk;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#lock = lock;
    this.#contents = contents;
  }

  /**
   * Takes the content root for this process and finishes what the last one left half done.
   * @throws AgentError RootInUse, UnknownFormat, RootDamaged
   */
  static async open(options: ContentRootOptions): Promise<ContentRoot> {
    const { path, clock, signal, disk = nodeRootDisk } = options;
    const layout = new Layout(path);
    await prepareRoot(disk, layout);
    const patienceMilliseconds = options.lockPatienceMilliseconds ?? LOCK_PATIENCE_MILLISECONDS;
    const lock = await lockRoot(layout.lock, { clock, patienceMilliseconds, signal });
    try {
      return new ContentRoot(options, layout, disk, lock, await recoverRoot(disk, layout));
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** Gives the content root up, after the change under way. */
  async close(): Promise<void> {
    await this.#changes.idle();
    await this.#lock.release();
  }

  /** What is remembered of a distribution; do not change it. */
  record(uid: string): Readonly<ContentRecord> | undefined {
    return this.#contents.get(uid)?.record;
  }

  /** UIDs of which something is held or being downloaded. */
  uids(): string[] {
    return [...this.#contents.keys()];
  }

  /** All held revisions. */
  held(): HeldRevision[] {
    return [...this.#contents].flatMap(([uid, { held }]) => [...held].map((revision) => ({ uid, revision })));
  }

  /** Held revisions of a distribution. */
  heldOf(uid: string): string[] {
    return [...(this.#contents.get(uid)?.held ?? [])];
  }

  isHeld(uid: string, revision: string): boolean {
    return this.#contents.get(uid)?.held.has(revision) ?? false;
  }

  /** The active revision. */
  current(uid: string): string | undefined {
    return this.#contents.get(uid)?.current;
  }

  /** What is remembered of a revision. */
  revisionRecord(uid: string, revision: string): Readonly<RevisionRecord> | undefined {
    return this.#contents.get(uid)?.record.revisions[revision];
  }

  /** Remembers whose content this is. */
  know(content: Pick<ContentRecord, 'uid' | 'namespace' | 'name' | 'onDelete'>): Promise<void> {
    return this.#changes.run(async () => {
      const found = this.#contents.get(content.uid);
      const { uid, namespace, name, onDelete } = content;
      if (found === undefined) {
        const record = { uid, namespace, name, onDelete, activations: [], revisions: {} };
        await this.#save(record);
        this.#contents.set(uid, { record, held: new Set(), current: undefined });
        return;
      }
      const { record } = found;
      const isSame = record.namespace === namespace && record.name === name && record.onDelete === onDelete;
      if (isSame && record.deletedAt === undefined) return;
      const { deletedAt: _, ...rest } = record;
      await this.#replace(found, { ...rest, namespace, name, onDelete });
    });
  }

  /** Remembers what a revision is, and its metainfo, before its files come. */
  expect(
    uid: string,
    revision: string,
    facts: Omit<RevisionRecord, 'heldAt'>,
    metainfo: Uint8Array,
  ): Promise<void> {
    return this.#changes.run(async () => {
      const found = this.#found(uid);
      await replaceFile(this.disk, this.layout.metainfo(uid, revision), metainfo);
      const { heldAt } = found.record.revisions[revision] ?? {};
      await this.#replace(found, {
        ...found.record,
        revisions: {
          ...found.record.revisions,
          [revision]: { ...facts, ...(heldAt === undefined ? {} : { heldAt }) },
        },
      });
    });
  }

  /** The metainfo of a revision, if it was kept. */
  metainfo(uid: string, revision: string): Promise<Buffer | undefined> {
    return this.disk.readFile(this.layout.metainfo(uid, revision));
  }

  /** The folder that a revision is downloaded into: made, or opened for writing where it was left. */
  prepareDownload(uid: string, revision: string): Promise<string> {
    return this.#changes.run(async () => {
      const folder = this.layout.download(uid, revision);
      await ensureFolder(this.disk, this.layout.downloadsOf(uid));
      if (!(await ensureFolder(this.disk, folder))) await unseal(this.disk, folder);
      return folder;
    });
  }

  /**
   * Takes a folder that is complete, verified and flushed as a held revision: read-only from here on.
   * Returns where it is now.
   */
  hold(uid: string, revision: string, folder: string): Promise<string> {
    return this.#changes.run(async () => {
      const { disk, layout } = this;
      const found = this.#found(uid);
      const target = layout.revision(uid, revision);
      if (found.held.has(revision)) {
        if (folder !== target) await this.#discard(folder, `${uid}-${revision}`);
        return target;
      }
      await sealInside(disk, folder);
      if (await ensureFolder(disk, layout.content(uid))) await disk.syncFolder(layout.contents);
      const facts = found.record.revisions[revision];
      if (facts !== undefined) {
        const revisions = { ...found.record.revisions, [revision]: { ...facts, heldAt: this.#clock.now() } };
        await this.#replace(found, { ...found.record, revisions });
      }
      await unsealTop(disk, folder);
      await disk.rename(folder, target);
      await disk.syncFolder(layout.content(uid));
      await disk.syncFolder(folder.slice(0, folder.lastIndexOf('/')));
      // Held from here on, whatever comes: a start closes a top folder that is still open.
      found.held.add(revision);
      await sealTop(disk, target);
      return target;
    });
  }

  /** Takes back a held revision whose files are damaged: it is a download again, and no longer active. */
  reopen(uid: string, revision: string): Promise<string> {
    return this.#changes.run(async () => {
      const { disk, layout } = this;
      const found = this.#found(uid);
      if (found.current === revision) await this.#dropCurrent(found);
      await ensureFolder(disk, layout.downloadsOf(uid));
      const target = layout.download(uid, revision);
      if (await disk.kind(target)) await this.#discard(target, `${uid}-${revision}`);
      await unsealTop(disk, layout.revision(uid, revision));
      await disk.rename(layout.revision(uid, revision), target);
      found.held.delete(revision);
      await disk.syncFolder(layout.content(uid));
      await disk.syncFolder(layout.downloadsOf(uid));
      await unseal(disk, target);
      return target;
    });
  }

  /** The activation epoch by which the active revision became so; undefined where that is not known. */
  activeEpoch(uid: string): number | undefined {
    return this.#contents.get(uid)?.record.activations.at(-1)?.epoch;
  }

  /**
   * Shows a held revision to Pods, and the content under its name. `epoch` is remembered with it.
   * @throws AgentError RootDamaged where something else is in the way
   */
  activate(uid: string, revision: string, epoch: number): Promise<void> {
    return this.#changes.run(async () => {
      const found = this.#found(uid);
      if (!found.held.has(revision)) {
        throw new AgentError('RootDamaged', `revision ${revision} of ${uid} is not held`);
      }
      // The name first: whoever is told that the revision is active finds it by its name. What is in the way of
      // the name must not be in the way of those who come by a claim.
      const named = await Promise.allSettled([this.#pointName(found.record)]);
      if (found.current !== revision) {
        // Remembered first: a Pod that starts in between pins one revision too many, never one too few.
        await this.#remember(found, { revision, epoch });
        await pointLink(this.disk, this.layout.current(uid), revision);
        found.current = revision;
      }
      if (named[0].status === 'rejected') throw named[0].reason;
    });
  }

  /** Shows nothing of a distribution any more. */
  deactivate(uid: string): Promise<void> {
    return this.#changes.run(async () => {
      const found = this.#contents.get(uid);
      if (found === undefined) return;
      await this.#dropName(found.record);
      await this.#dropCurrent(found);
    });
  }

  /** Takes the name from a distribution that another one of that name has replaced. */
  unname(uid: string): Promise<void> {
    return this.#changes.run(async () => {
      const found = this.#contents.get(uid);
      if (found !== undefined) await this.#dropName(found.record);
    });
  }

  /** Remembers that the deletion of a distribution is decided, so that a restart goes on with it. */
  markDeleted(uid: string): Promise<void> {
    return this.#changes.run(async () => {
      const found = this.#contents.get(uid);
      if (found === undefined || found.record.deletedAt !== undefined) return;
      await this.#replace(found, { ...found.record, deletedAt: this.#clock.now() });
    });
  }

  /** Removes a revision, held or half downloaded, and what is remembered of it. */
  async remove(uid: string, revision: string): Promise<void> {
    await this.#changes.run(async () => {
      const { disk, layout } = this;
      const found = this.#contents.get(uid);
      if (found === undefined) return;
      if (found.current === revision) await this.#dropCurrent(found);
      for (const folder of [layout.revision(uid, revision), layout.download(uid, revision)]) {
        if ((await disk.kind(folder)) === 'folder') await this.#discard(folder, `${uid}-${revision}`);
      }
      found.held.delete(revision);
      await removeIfThere(disk, layout.metainfo(uid, revision));
      await removeIfThere(disk, layout.resume(uid, revision));
      const { [revision]: _, ...revisions } = found.record.revisions;
      await this.#replace(found, { ...found.record, revisions });
      await this.#forgetIfEmpty(found);
    });
    await this.#sweepTrash();
  }

  /** Forgets a distribution of which nothing is here. */
  forgetEmpty(uid: string): Promise<void> {
    return this.#changes.run(async () => {
      const found = this.#contents.get(uid);
      if (found !== undefined) await this.#forgetIfEmpty(found);
    });
  }

  /** Throws away a folder in staging. */
  async discard(folder: string, label: string): Promise<void> {
    await this.#changes.run(async () => {
      if ((await this.disk.kind(folder)) === 'folder') await this.#discard(folder, label);
    });
    await this.#sweepTrash();
  }

  #found(uid: string): FoundContent {
    const found = this.#contents.get(uid);
    if (found === undefined) throw new AgentError('RootDamaged', `nothing is known of ${uid}`);
    return found;
  }

  async #save(record: ContentRecord): Promise<void> {
    if (await ensureFolder(this.disk, this.layout.recordsOf(record.uid)))
      await this.disk.syncFolder(this.layout.records);
    await replaceFile(this.disk, this.layout.record(record.uid), `${JSON.stringify(record)}\n`);
  }

  async #replace(found: FoundContent, record: ContentRecord): Promise<void> {
    await this.#save(record);
    found.record = record;
  }

  #remember(found: FoundContent, what: { revision: string; epoch?: number }): Promise<void> {
    const activation = { ...what, at: this.#clock.now() };
    const activations = [...found.record.activations, activation].slice(-MAX_ACTIVATIONS);
    return this.#replace(found, { ...found.record, activations });
  }

  async #dropCurrent(found: FoundContent): Promise<void> {
    const { uid } = found.record;
    await dropLink(this.disk, this.layout.current(uid));
    if (found.current === undefined) return;
    found.current = undefined;
    await this.#remember(found, { revision: '' });
  }

  async #pointName({ uid, namespace, name }: ContentRecord): Promise<void> {
    if (namespace === '' || name === '') return;
    const { disk, layout } = this;
    if (await ensureFolder(disk, layout.namespace(namespace))) await disk.syncFolder(layout.names);
    await pointLink(disk, layout.byName(namespace, name), layout.byNameTarget(uid));
  }

  async #dropName({ uid, namespace, name }: ContentRecord): Promise<void> {
    if (namespace === '' || name === '') return;
    await dropLink(this.disk, this.layout.byName(namespace, name), this.layout.byNameTarget(uid));
  }

  /** Moves a folder into the trash, in one step, so that nobody takes a half removed one for whole. */
  async #discard(folder: string, label: string): Promise<void> {
    const { disk, layout } = this;
    await unsealTop(disk, folder);
    let target: string;
    do target = `${layout.trash}/${label}-${this.#trashCount++}`;
    while (await disk.kind(target));
    await disk.rename(folder, target);
    await disk.syncFolder(folder.slice(0, folder.lastIndexOf('/')));
  }

  async #forgetIfEmpty(found: FoundContent): Promise<void> {
    const { disk, layout } = this;
    const { uid } = found.record;
    if (found.held.size > 0 || Object.keys(found.record.revisions).length > 0) return;
    await this.#dropName(found.record);
    await dropLink(disk, layout.current(uid));
    for (const folder of [layout.content(uid), layout.downloadsOf(uid)]) {
      if ((await disk.kind(folder)) === 'folder' && (await disk.list(folder)).length === 0)
        await disk.removeFolder(folder);
    }
    await removeIfThere(disk, layout.record(uid));
    if ((await disk.list(layout.recordsOf(uid))).length === 0) await disk.removeFolder(layout.recordsOf(uid));
    this.#contents.delete(uid);
  }

  /** Removes for good what was moved away; a failure leaves it to the next start. */
  async #sweepTrash(): Promise<void> {
    try {
      await this.#changes.run(() => emptyTrash(this.disk, this.layout));
    } catch (error) {
      this.#logger.warn({ err: error }, 'what was removed cannot be swept away; the next start tries again');
    }
  }
}
