// Writes of NodeContent.spec.publishing. Many distributions, and for a moment two operators, write the same
// list, and the node's agent writes the same object.
//
// Invariant: each write replaces the list as a whole, on the condition that nobody wrote the object in between;
// this operator has one write of a node under way at a time, and all changes that come meanwhile are the next.
import { isDeepStrictEqual } from 'node:util';
import { MAX_PUBLISHING, type NodeContent, type Reservation } from '../../api/index.ts';
import { isConflict, isNotFound } from '../../kube/index.ts';
import type { ObjectClient } from '../ports.ts';

const MAX_TRIES = 8;

/** Where NodeContents are read and written. */
export interface ReservationStore {
  readonly client: Pick<ObjectClient<NodeContent>, 'get' | 'mergePatch'>;
  /** The object as we last saw it. */
  cached(node: string): NodeContent | undefined;
  wrote(content: NodeContent): void;
}

/** Changes a node's reservations; the list that it gets stays as it is. */
type Change = (reservations: readonly Reservation[]) => Reservation[];

/** Changes that will be written together. */
interface Group {
  readonly changes: Change[];
  readonly written: PromiseWithResolvers<void>;
}

/** The one that writes reservations. Every call fails with kube/'s KubeError, and does nothing to a node that is gone. */
export class ReservationWriter {
  readonly #store: ReservationStore;
  /** For each node what waits for the write that is under way. */
  readonly #waiting = new Map<string, Group>();
  readonly #writing = new Set<string>();

  constructor(store: ReservationStore) {
    this.#store = store;
  }

  /**
   * Puts a reservation on a node in place of the distribution's earlier one. One of a higher attempt stays: an
   * operator that leads by now wrote it. Where others took the last place meanwhile, nothing is written: the
   * next look elects another node.
   */
  reserve(node: string, reservation: Reservation): Promise<void> {
    return this.#change(node, (reservations) => {
      const known = reservations.find(({ uid }) => uid === reservation.uid);
      if (known !== undefined && known.attempt > reservation.attempt) return [...reservations];
      const others = reservations.filter(({ uid }) => uid !== reservation.uid);
      return others.length < MAX_PUBLISHING ? [...others, reservation] : [...reservations];
    });
  }

  /** Takes a distribution's reservation off a node; with `attempt`, only the one of that attempt. */
  release(node: string, uid: string, attempt?: number): Promise<void> {
    return this.#change(node, (reservations) =>
      reservations.filter(
        (reservation) =>
          reservation.uid !== uid || (attempt !== undefined && reservation.attempt !== attempt),
      ),
    );
  }

  #change(node: string, change: Change): Promise<void> {
    let group = this.#waiting.get(node);
    if (group === undefined) {
      group = { changes: [], written: Promise.withResolvers<void>() };
      this.#waiting.set(node, group);
    }
    group.changes.push(change);
    if (!this.#writing.has(node)) void this.#writeAll(node);
    return group.written.promise;
  }

  /** Writes what waits, group after group; failures go to those who asked. */
  async #writeAll(node: string): Promise<void> {
    this.#writing.add(node);
    for (let group = this.#waiting.get(node); group !== undefined; group = this.#waiting.get(node)) {
      this.#waiting.delete(node);
      const { changes, written } = group;
      await this.#write(node, changes).then(written.resolve, written.reject);
    }
    this.#writing.delete(node);
  }

  async #write(node: string, changes: readonly Change[]): Promise<void> {
    const { client, cached, wrote } = this.#store;
    let content = cached(node);
    for (let tries = 1; ; tries += 1) {
      try {
        if (content === undefined) {
          content = await client.get(node);
          wrote(content); // What comes next is decided from it.
        }
        const before = content.spec?.publishing ?? [];
        const after = changes.reduce<readonly Reservation[]>((list, change) => change(list), before);
        if (isDeepStrictEqual(before, after)) return;
        const { resourceVersion, uid } = content.metadata;
        const patch = { metadata: { resourceVersion, uid }, spec: { publishing: after } };
        wrote(await client.mergePatch({ name: node }, patch));
        return;
      } catch (error) {
        if (isNotFound(error)) return;
        if (!isConflict(error) || tries >= MAX_TRIES) throw error;
        content = undefined; // Somebody was faster: read it anew.
      }
    }
  }
}
