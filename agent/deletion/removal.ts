// Carries out what the ledger finds due: takes names, `current` and files away from content whose objects are
// gone.
//
// Invariant: nothing is removed on the word of a watch or a list alone: right before, the API server is asked
// whether the kind is there and the objects are not; while it cannot be asked, everything stays. And no file goes
// while a Pod of this node may see it, but for the hour after which a deletion waits for nobody.
import type { ContentRevision } from '../../api/index.ts';
import type { Clock, Logger } from '../../base/index.ts';
import type { ContentRoot } from '../content-root/content-root.ts';
import { replaceFile } from '../content-root/disk.ts';
import type { SeenRevisions } from '../revisions/objects.ts';
import { keyOf } from '../revisions/target.ts';
import { type Absence, type DeletionHold, DeletionLedger, type PresentRevision } from './ledger.ts';

/** What the API server says when it is asked about objects that seem to be gone. */
export type Confirmation =
  /** The kind is there, the objects are not. */
  | 'gone'
  /** They are there after all. */
  | 'there'
  /** The kind itself is gone or going: an accident, or the end of all of it, but nobody deleted this content. */
  | 'kindGone'
  /** It cannot be asked. */
  | 'unavailable';

/** Asks the API server about one revision of a distribution, or, without one, about all of them. */
export type GoneConfirmer = (
  namespace: string,
  uid: string,
  revision: string | undefined,
) => Promise<Confirmation>;

/** What a removal is made with. */
export interface RemovalOptions {
  root: ContentRoot;
  clock: Clock;
  logger: Logger;
  ledger?: DeletionLedger;
  /** How long pins keep the files of a deleted distribution, in milliseconds; an hour by default. */
  pinLimitMilliseconds?: number;
  /** Leaves the swarm of a revision. */
  leave(uid: string, revision: string): Promise<void>;
  confirmGone: GoneConfirmer;
  /** Names of the Pods that may see a revision. */
  pinnedBy(uid: string, revision: string): string[];
  /** Whether it is known which Pods run here and what they use. */
  podsKnown(): boolean;
  /** Whether a revision was published here and waits for its object. */
  isReserved(uid: string, revision: string): boolean;
  /** What the annotation says that confirms a deletion. */
  annotation(): string | undefined;
}

const LOOK_AGAIN_MILLISECONDS = 5000;
const ASK_AGAIN_MILLISECONDS = 30_000;
const PIN_LIMIT_MILLISECONDS = 3_600_000;

/** Removes what is gone from one content root. */
export class Removal {
  readonly #options: RemovalOptions;
  readonly #root: ContentRoot;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #ledger: DeletionLedger;
  /** What was heard of since the last look, oldest first. */
  #news: Absence[] = [];
  #newsTaken = 0;
  #hold: DeletionHold | undefined;
  #savedLedger = '';
  /** When it was last asked, by UID, whether a distribution is gone for the sake of its name. */
  readonly #askedAt = new Map<string, number>();
  /** Active revisions that are gone by the word of the API server, while others of their distribution are not. */
  readonly #confirmed = new Set<string>();

  constructor(options: RemovalOptions) {
    this.#options = options;
    this.#root = options.root;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#ledger = options.ledger ?? new DeletionLedger();
  }

  /** Takes up what was known of absences. */
  async restore(): Promise<void> {
    this.#ledger.restore(await this.#root.disk.readFile(this.#root.layout.deletions));
  }

  /** Why deletion waits, if it does. */
  get hold(): DeletionHold | undefined {
    return this.#hold;
  }

  /** A DELETED event was seen, or a list did not have the object. It counts from the next look on. */
  gone(object: ContentRevision, byList: boolean): void {
    const { distributionUID: uid, revision } = (object.spec ?? {}) as Partial<ContentRevision['spec']>;
    if (typeof uid !== 'string' || typeof revision !== 'string') return;
    this.#news.push({ uid, revision, kind: byList ? 'list' : 'event', at: this.#clock.now() });
  }

  /** How much has been heard of so far; to be asked in the moment in which the objects of a look are read. */
  get newsCount(): number {
    return this.#newsTaken + this.#news.length;
  }

  /** Whether the API server has said that an active revision is gone, so that an older one may take its place. */
  isConfirmed(uid: string, revision: string): boolean {
    return this.#confirmed.has(keyOf(uid, revision));
  }

  /** Whether no Pod of this node may see a revision. */
  isUnused(uid: string, revision: string): boolean {
    return this.#options.podsKnown() && this.#options.pinnedBy(uid, revision).length === 0;
  }

  /** All revisions on this disk, half-done downloads included. */
  onDisk(): PresentRevision[] {
    return this.#root.uids().flatMap((uid) => {
      const record = this.#root.record(uid);
      const revisions = new Set([...Object.keys(record?.revisions ?? {}), ...this.#root.heldOf(uid)]);
      return [...revisions].map((revision) => ({ uid, revision, retained: record?.onDelete === 'Retain' }));
    });
  }

  /**
   * Looks at everything that is on the disk and removes what is due. Call it only with objects that were really
   * listed. `newsCount` is from the moment in which they were read: what was heard of later is for the next look,
   * because these objects say nothing of it. Returns when to look again, in milliseconds since 1970.
   */
  async look({ valid, invalid }: SeenRevisions, newsCount = this.newsCount): Promise<number> {
    const now = this.#clock.now();
    const disk = this.onDisk();
    const exists = new Set<string>();
    const uids = new Set<string>();
    const seen = [
      ...valid.map(({ spec }) => ({ uid: spec.distributionUID, revision: spec.revision })),
      ...invalid,
    ];
    for (const { uid, revision } of seen) {
      exists.add(keyOf(uid, revision));
      uids.add(uid);
    }
    this.#takeNews(newsCount);
    for (const { uid, revision } of disk) {
      if (exists.has(keyOf(uid, revision)) || this.#options.isReserved(uid, revision)) {
        this.#ledger.present(uid, revision);
        this.#confirmed.delete(keyOf(uid, revision));
      } else this.#ledger.missing(uid, revision, now);
    }
    const { due, hold, nextAt } = this.#ledger.judge(now, disk, this.#options.annotation());
    if (hold?.since !== this.#hold?.since && hold !== undefined)
      this.#logger.error({ ...hold }, `deletion waits: ${hold.message}`);
    this.#hold = hold;

    let lookAgainAt = nextAt ?? Number.POSITIVE_INFINITY;
    const again = (afterMilliseconds = LOOK_AGAIN_MILLISECONDS) => {
      lookAgainAt = Math.min(lookAgainAt, now + afterMilliseconds);
    };
    const confirmedBefore = this.#confirmed.size;
    for (const absence of due) if (!(await this.#remove(absence, uids.has(absence.uid)))) again();
    // Another revision can take the place of the active one now.
    if (this.#confirmed.size > confirmedBefore) again(0);
    for (const uid of this.#root.uids()) {
      if (uids.has(uid)) {
        this.#askedAt.delete(uid);
        continue;
      }
      // Decided just now or before a restart, or waiting for a Pod.
      const deletedAt = this.#root.record(uid)?.deletedAt;
      if (deletedAt === undefined)
        await this.#takeName(uid, disk.filter((entry) => entry.uid === uid).length);
      else if (!(await this.#removeContent(uid, deletedAt))) again();
    }
    const there = new Set(this.onDisk().map(({ uid }) => uid));
    for (const uid of this.#root.uids())
      if (!there.has(uid) && !uids.has(uid)) await this.#root.forgetEmpty(uid);
    await this.#saveLedger();
    return lookAgainAt;
  }

  /** News of a revision that still counts as waiting for its object is kept: it decides once that is over. */
  #takeNews(newsCount: number): void {
    const heard = this.#news.splice(0, newsCount - this.#newsTaken);
    const isEarly = ({ uid, revision }: Absence) => this.#options.isReserved(uid, revision);
    const news = heard.filter((absence) => !isEarly(absence));
    this.#news.unshift(...heard.filter(isEarly));
    this.#newsTaken += news.length;
    for (const { uid, revision, kind, at } of news) {
      if (kind === 'event') this.#ledger.deleted(uid, revision, at);
      else this.#ledger.missing(uid, revision, at);
    }
  }

  /**
   * Takes its name from a distribution that is gone, before its files go: one that is made anew under that name
   * is another one, and whoever comes by the name must wait for that one's files.
   */
  async #takeName(uid: string, revisionsOnDisk: number): Promise<void> {
    const record = this.#root.record(uid);
    if (record === undefined || record.onDelete === 'Retain') return;
    const absences = this.#ledger.absencesOf(uid);
    if (absences.length === 0 || absences.length < revisionsOnDisk) return;
    if (this.#hold !== undefined && absences.some(({ kind }) => kind === 'list')) return;
    const now = this.#clock.now();
    if (now - (this.#askedAt.get(uid) ?? Number.NEGATIVE_INFINITY) < ASK_AGAIN_MILLISECONDS) return;
    this.#askedAt.set(uid, now);
    const { namespace, name } = record;
    if ((await this.#options.confirmGone(namespace, uid, undefined)) !== 'gone') return;
    // Asked once is enough until its objects are seen again.
    this.#askedAt.set(uid, Number.POSITIVE_INFINITY);
    this.#logger.info({ uid, namespace, name }, 'distribution is gone; its name leads nowhere from here on');
    await this.#root.unname(uid);
  }

  /** Removes what is due, if the API server confirms it. Returns false if it has to be looked at again. */
  async #remove(absence: Absence, hasOtherRevisions: boolean): Promise<boolean> {
    const { uid, revision } = absence;
    const record = this.#root.record(uid);
    if (record === undefined) return true;
    if (!hasOtherRevisions && (record.onDelete === 'Retain' || record.deletedAt !== undefined)) return true;
    const { namespace, name } = record;
    const asked = hasOtherRevisions ? revision : undefined;
    const confirmation = await this.#options.confirmGone(namespace, uid, asked);
    const isGone = confirmation === 'gone' || (confirmation === 'kindGone' && absence.cleared === true);
    if (!isGone) {
      if (confirmation !== 'unavailable') this.#ledger.doubt(uid, revision, this.#clock.now());
      return false;
    }
    if (!hasOtherRevisions) {
      this.#logger.info({ uid, namespace, name }, 'distribution is gone; its content goes too');
      await this.#root.markDeleted(uid);
      return true;
    }
    if (this.#root.current(uid) === revision) {
      this.#confirmed.add(keyOf(uid, revision));
      return false;
    }
    if (!this.isUnused(uid, revision)) return false;
    this.#logger.info({ uid, revision }, 'revision is gone; its files go too');
    await this.#drop(uid, revision);
    return true;
  }

  /** Removes the files of a deleted distribution; returns false while a Pod may see some of them. */
  async #removeContent(uid: string, deletedAt: number): Promise<boolean> {
    await this.#root.deactivate(uid);
    const limit = this.#options.pinLimitMilliseconds ?? PIN_LIMIT_MILLISECONDS;
    const isOver = this.#clock.now() - deletedAt >= limit;
    let isDone = true;
    for (const { revision } of this.onDisk().filter((entry) => entry.uid === uid)) {
      if (isOver || this.isUnused(uid, revision)) await this.#drop(uid, revision);
      else isDone = false;
    }
    return isDone;
  }

  async #drop(uid: string, revision: string): Promise<void> {
    await this.#options.leave(uid, revision);
    await this.#root.remove(uid, revision);
    this.#ledger.done(uid, revision);
    this.#confirmed.delete(keyOf(uid, revision));
  }

  async #saveLedger(): Promise<void> {
    const text = `${JSON.stringify(this.#ledger)}\n`;
    if (text === this.#savedLedger) return;
    await replaceFile(this.#root.disk, this.#root.layout.deletions, text);
    this.#savedLedger = text;
  }
}
