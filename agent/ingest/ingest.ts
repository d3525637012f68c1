// The publications of this node, one for each reservation in its NodeContent. Invariant: what a publisher
// streamed is kept for as long as its reservation stands, and thrown away when that is gone.
import { promises as fs } from 'node:fs';
import type { Publication as PublicationStatus, Reservation } from '../../api/index.ts';
import { type Clock, type Logger, Mutex } from '../../base/index.ts';
import type { ContentRoot } from '../content-root/content-root.ts';
import { removeIfThere, replaceFile } from '../content-root/disk.ts';
import { isUid } from '../content-root/layout.ts';
import type { DescribedContent } from './describe.ts';
import { IngestRefusal } from './errors.ts';
import type { FileOpener } from './folder.ts';
import { Publication, type PublicationHost } from './publication.ts';
import { parseIngestRecord } from './record.ts';

/** What ingest needs of the rest of the agent. */
export interface IngestOptions {
  root: ContentRoot;
  clock: Clock;
  logger: Logger;
  /** Which start of the machine this is. */
  bootId: string;
  promiseRoom(key: string, totalBytes: number, writtenBytes: () => number): Promise<void>;
  releaseRoom(key: string): void;
  /** Bytes that content may newly use. */
  availableBytes(): Promise<number>;
  /** Opens the files that are received; the system's by default. */
  opener?: FileOpener;
  /** Takes a complete folder as a held revision and seeds it. */
  adopt(reservation: Reservation, content: DescribedContent, folder: string): Promise<void>;
  /** The status has changed; `isUrgent` if others wait for it. */
  changed(isUrgent: boolean): void;
}

/** Which start of the machine this is; '' where the system does not say, and then nothing unflushed is trusted. */
export async function readBootId(): Promise<string> {
  try {
    return (await fs.readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  } catch {
    return '';
  }
}

/** All publications of this node. */
export class Ingest {
  readonly #options: IngestOptions;
  readonly #publications = new Map<string, Publication>();
  #reservations = new Map<string, Reservation>();
  /** Reservations are taken one list after the other. */
  readonly #lists = new Mutex();
  #isClosed = false;

  constructor(options: IngestOptions) {
    this.#options = options;
  }

  /** The reservation of a distribution. */
  reservation(uid: string): Reservation | undefined {
    return this.#reservations.get(uid);
  }

  /** The publication of a reservation. @throws IngestRefusal Unavailable in the moment before it is ready. */
  publication(uid: string): Publication {
    const publication = this.#publications.get(uid);
    if (publication === undefined)
      throw new IngestRefusal('Unavailable', 'the reservation is being prepared; try again');
    return publication;
  }

  /** Bytes that publications have in staging. */
  get writtenBytes(): number {
    let sum = 0;
    for (const publication of this.#publications.values()) sum += publication.writtenBytes;
    return sum;
  }

  /** Whether a revision was published here and its reservation still stands. */
  isReserved(uid: string, revision: string): boolean {
    return this.#publications.get(uid)?.result?.revision === revision;
  }

  /** For NodeContent.status.publishing. */
  status(): PublicationStatus[] {
    return [...this.#reservations.values()].map(({ uid, attempt, sourceState }) => {
      const publication = this.#publications.get(uid);
      if (publication === undefined || publication.reservation.attempt !== attempt)
        return { uid, attempt, sourceState, phase: 'Reserved' };
      const { phase, reason, message } = publication.status();
      const { revision: _, ...result } = publication.result ?? {};
      return {
        uid,
        attempt,
        sourceState,
        phase: phase as PublicationStatus['phase'],
        ...(reason === undefined ? {} : { reason }),
        ...(message === undefined ? {} : { message }),
        ...(phase === 'Published' ? result : {}),
      };
    });
  }

  /**
   * Takes the reservations as they are now; call it only with a list that was really seen.
   * Returns whether all of them are ready: if not, call it again a little later.
   */
  setReservations(reservations: readonly Reservation[]): Promise<boolean> {
    const wanted = new Map(reservations.map((reservation) => [reservation.uid, reservation]));
    this.#reservations = wanted;
    return this.#lists.run(() => this.#follow(wanted));
  }

  /** Closes all; what arrived stays on the disk. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#lists.idle();
    await Promise.all([...this.#publications.values()].map((publication) => publication.close()));
  }

  async #follow(wanted: ReadonlyMap<string, Reservation>): Promise<boolean> {
    if (this.#isClosed) return true;
    let areReady = true;
    const tryEach = async (uid: string, work: () => Promise<void>) => {
      try {
        await work();
      } catch (error) {
        areReady = false;
        this.#options.logger.error({ err: error, uid }, 'a reservation cannot be followed; trying again');
      }
    };
    for (const [uid, publication] of this.#publications) {
      const reservation = wanted.get(uid);
      const isSame = reservation?.sourceState === publication.reservation.sourceState;
      await tryEach(uid, () => (isSame ? publication.reserve(reservation) : this.#end(uid, publication)));
    }
    await this.#removeStrays(wanted);
    for (const [uid, reservation] of wanted)
      if (!this.#publications.has(uid)) await tryEach(uid, () => this.#begin(uid, reservation));
    this.#options.changed(false);
    return areReady;
  }

  async #begin(uid: string, reservation: Reservation): Promise<void> {
    const { root } = this.#options;
    const kept = parseIngestRecord(await root.disk.readFile(root.layout.ingestRecord(uid)));
    if (kept !== undefined && kept.sourceState !== reservation.sourceState) await this.#throwAway(uid);
    this.#publications.set(uid, await Publication.open(this.#host(uid), reservation, kept));
  }

  async #end(uid: string, publication: Publication): Promise<void> {
    await publication.close();
    await this.#throwAway(uid);
    this.#publications.delete(uid);
  }

  async #throwAway(uid: string): Promise<void> {
    const { root } = this.#options;
    await root.discard(root.layout.ingest(uid), `ingest-${uid}`);
    await removeIfThere(root.disk, root.layout.ingestRecord(uid));
  }

  /** What an earlier run of the agent received for reservations that are gone. */
  async #removeStrays(wanted: ReadonlyMap<string, Reservation>): Promise<void> {
    const { root } = this.#options;
    const entries = [
      ...(await root.disk.list(root.layout.ingests)).map(({ name }) => name),
      ...(await root.disk.list(root.layout.ingestRecords)).map(({ name }) => name.split('.')[0] ?? ''),
    ];
    for (const uid of new Set(entries)) {
      if (isUid(uid) && !wanted.has(uid) && !this.#publications.has(uid)) await this.#throwAway(uid);
    }
  }

  #host(uid: string): PublicationHost {
    const { root, clock, logger, bootId, promiseRoom, releaseRoom, adopt, changed } = this.#options;
    const { availableBytes, opener = fs } = this.#options;
    const key = `ingest/${uid}`;
    return {
      folder: root.layout.ingest(uid),
      opener,
      bootId,
      logger,
      now: () => clock.now(),
      save: (record) => replaceFile(root.disk, root.layout.ingestRecord(uid), `${JSON.stringify(record)}\n`),
      discard: () => root.discard(root.layout.ingest(uid), `ingest-${uid}`),
      changed,
      availableBytes,
      promiseRoom: (totalBytes, writtenBytes) => promiseRoom(key, totalBytes, writtenBytes),
      releaseRoom: () => releaseRoom(key),
      adopt,
      isHeld: (revision) => root.isHeld(uid, revision),
    };
  }
}
