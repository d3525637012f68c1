// When content whose objects are gone may be removed. Objects vanish for bad reasons too:
// a CRD that was removed, an etcd put back from a backup, a wrong kubeconfig. So nothing goes at once.
//
// Invariant: a removal is due only 10 s after a DELETED event, or an hour after a list did not have the object;
// and while more than half of a node's content is missing from lists, which looks like an accident, no removal of
// those distributions is due until a person confirms it or a day has passed. What somebody deleted, object by object
// and in sight of this agent, is no accident, however much it is.

/** How an object was found to be gone. */
export type AbsenceKind = 'event' | 'list';

/** A revision on this disk whose object is gone. */
export interface Absence {
  uid: string;
  revision: string;
  kind: AbsenceKind;
  /** Since when, in milliseconds since 1970. */
  at: number;
  /** A person or a day has said that it is no accident. */
  cleared?: boolean;
}

/** Why deletion waits. */
export interface DeletionHold {
  /** Milliseconds since 1970. */
  since: number;
  /** What the annotation said then: only another value confirms. */
  annotation: string | undefined;
  /** For a condition's message. */
  message: string;
}

/** A revision on this disk. */
export interface PresentRevision {
  uid: string;
  revision: string;
  /** Its files stay when its distribution is deleted. */
  retained: boolean;
}

/** Settings, in milliseconds. */
export interface DeletionSettings {
  afterEvent: number;
  afterList: number;
  holdFor: number;
}

/** The design's settings. */
export const DELETION_SETTINGS: DeletionSettings = {
  afterEvent: 10_000,
  afterList: 3_600_000,
  holdFor: 24 * 3_600_000,
};

/** What is to be done now. */
export interface DeletionJudgement {
  /** Removals that may go on, those after an event once the API server has confirmed them. */
  due: Absence[];
  hold: DeletionHold | undefined;
  /** When to look again, in milliseconds since 1970. */
  nextAt: number | undefined;
}

const keyOf = (uid: string, revision: string) => `${uid}/${revision}`;

/** As the ledger is kept in state/. */
interface LedgerRecord {
  absences: Absence[];
  hold?: DeletionHold;
}

/** Remembers what is gone since when. */
export class DeletionLedger {
  readonly #settings: DeletionSettings;
  readonly #absences = new Map<string, Absence>();
  #hold: DeletionHold | undefined;

  constructor(settings: DeletionSettings = DELETION_SETTINGS) {
    this.#settings = settings;
  }

  /** The object is there. */
  present(uid: string, revision: string): void {
    this.#absences.delete(keyOf(uid, revision));
  }

  /** A DELETED event was seen. */
  deleted(uid: string, revision: string, now: number): void {
    if (this.#absences.get(keyOf(uid, revision))?.kind === 'event') return;
    this.#absences.set(keyOf(uid, revision), { uid, revision, kind: 'event', at: now });
  }

  /** A list did not have it. */
  missing(uid: string, revision: string, now: number): void {
    if (this.#absences.has(keyOf(uid, revision))) return;
    this.#absences.set(keyOf(uid, revision), { uid, revision, kind: 'list', at: now });
  }

  /** The event came while the kind itself was going: it counts as an absence found now. */
  doubt(uid: string, revision: string, now: number): void {
    this.#absences.set(keyOf(uid, revision), { uid, revision, kind: 'list', at: now });
  }

  /** It was removed from the disk, or is to stay for good. */
  done(uid: string, revision: string): void {
    this.#absences.delete(keyOf(uid, revision));
  }

  /** What is gone of a distribution. */
  absencesOf(uid: string): Absence[] {
    return [...this.#absences.values()].filter((absence) => absence.uid === uid);
  }

  /** Judges everything that is gone. `annotation` is what the confirmation says, undefined if there is none. */
  judge(now: number, disk: readonly PresentRevision[], annotation: string | undefined): DeletionJudgement {
    this.#forgetWhatIsNotThere(disk);
    const gone = this.#goneDistributions(disk);
    this.#updateHold(now, disk, gone, annotation);
    const due: Absence[] = [];
    let nextAt: number | undefined;
    const lookAgainAt = (at: number) => {
      nextAt = Math.min(nextAt ?? at, at);
    };
    if (this.#hold !== undefined) lookAgainAt(this.#hold.since + this.#settings.holdFor);
    for (const absence of this.#absences.values()) {
      const dueAt =
        absence.at + (absence.kind === 'event' ? this.#settings.afterEvent : this.#settings.afterList);
      if (this.#hold !== undefined && gone.get(absence.uid) === 'list' && absence.cleared !== true) continue;
      if (dueAt <= now) due.push(absence);
      else lookAgainAt(dueAt);
    }
    return { due, hold: this.#hold, nextAt };
  }

  /** The ledger as text, to be kept over a restart. */
  toJSON(): LedgerRecord {
    return {
      absences: [...this.#absences.values()],
      ...(this.#hold === undefined ? {} : { hold: this.#hold }),
    };
  }

  /** Takes up what was kept; anything of another form counts as nothing: what is gone is found again. */
  restore(bytes: Uint8Array | undefined): void {
    if (bytes === undefined) return;
    let value: Partial<LedgerRecord> | null;
    try {
      value = JSON.parse(Buffer.from(bytes).toString('utf8')) as Partial<LedgerRecord> | null;
    } catch {
      return;
    }
    for (const absence of Array.isArray(value?.absences) ? value.absences : []) {
      const { uid, revision, kind, at, cleared } = absence ?? {};
      if (typeof uid !== 'string' || typeof revision !== 'string' || typeof at !== 'number') continue;
      if (kind !== 'event' && kind !== 'list') continue;
      this.#absences.set(keyOf(uid, revision), {
        uid,
        revision,
        kind,
        at,
        ...(cleared === true ? { cleared } : {}),
      });
    }
    const { since, annotation, message } = value?.hold ?? {};
    if (typeof since === 'number' && typeof message === 'string')
      this.#hold = { since, annotation: typeof annotation === 'string' ? annotation : undefined, message };
  }

  #forgetWhatIsNotThere(disk: readonly PresentRevision[]): void {
    const there = new Set(disk.map(({ uid, revision }) => keyOf(uid, revision)));
    for (const key of this.#absences.keys()) if (!there.has(key)) this.#absences.delete(key);
  }

  /** UIDs of which no object is left, with how that was found. */
  #goneDistributions(disk: readonly PresentRevision[]): Map<string, AbsenceKind> {
    const gone = new Map<string, AbsenceKind>();
    const present = new Set<string>();
    for (const { uid, revision } of disk) {
      const absence = this.#absences.get(keyOf(uid, revision));
      if (absence === undefined) present.add(uid);
      // One revision that a list missed makes the whole a finding of a list.
      else gone.set(uid, gone.get(uid) === 'list' ? 'list' : absence.kind);
    }
    for (const uid of present) gone.delete(uid);
    return gone;
  }

  #updateHold(
    now: number,
    disk: readonly PresentRevision[],
    gone: ReadonlyMap<string, AbsenceKind>,
    annotation: string | undefined,
  ): void {
    const retained = new Set(disk.filter((revision) => revision.retained).map(({ uid }) => uid));
    const cleared = new Set(
      [...this.#absences.values()].filter((absence) => absence.cleared === true).map(({ uid }) => uid),
    );
    const missing = [...gone].filter(
      ([uid, kind]) => kind === 'list' && !retained.has(uid) && !cleared.has(uid),
    ).length;
    const total = new Set(disk.map(({ uid }) => uid)).size;
    if (this.#hold === undefined) {
      if (missing * 2 <= total) return;
      const message = `${missing} of ${total} contents of this node are missing from the API`;
      this.#hold = { since: now, annotation, message };
    }
    const isConfirmed = annotation !== undefined && annotation !== this.#hold.annotation;
    const isOver = now - this.#hold.since >= this.#settings.holdFor;
    if (isConfirmed || isOver) {
      for (const absence of this.#absences.values()) if (gone.has(absence.uid)) absence.cleared = true;
      this.#hold = undefined;
    } else if (missing === 0) {
      // All of it is there again, or was deleted in sight.
      this.#hold = undefined;
    }
  }
}
