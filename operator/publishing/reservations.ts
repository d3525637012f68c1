// Writes of NodeContent.spec.publishing. Several distributions, and for a moment two operators, write the same
// list: each write replaces the list as a whole, on the condition that nobody wrote the object in between.
import { isDeepStrictEqual } from 'node:util';
import { MAX_PUBLISHING, type NodeContent, type Reservation } from '../../api/index.ts';
import { isConflict, isNotFound } from '../../kube/index.ts';
import type { ObjectClient } from '../ports.ts';

const MAX_TRIES = 8;

/** Where NodeContents are read and written. */
export interface ReservationStore {
  readonly client: ObjectClient<NodeContent>;
  /** The object as we last saw it. */
  cached(node: string): NodeContent | undefined;
  wrote(content: NodeContent): void;
}

/**
 * Changes the reservations of one node.
 *
 * @returns the object as it is now; undefined if the node has no NodeContent
 */
async function change(
  store: ReservationStore,
  node: string,
  changed: (reservations: readonly Reservation[]) => Reservation[],
): Promise<NodeContent | undefined> {
  let content = store.cached(node);
  for (let tries = 1; ; tries += 1) {
    try {
      if (content === undefined) {
        content = await store.client.get(node);
        store.wrote(content); // What comes next is decided from it.
      }
      const before = content.spec?.publishing ?? [];
      const after = changed(before);
      if (isDeepStrictEqual(before, after)) return content;
      const written = await store.client.mergePatch(
        { name: node },
        {
          metadata: { resourceVersion: content.metadata.resourceVersion, uid: content.metadata.uid },
          spec: { publishing: after },
        },
      );
      store.wrote(written);
      return written;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      if (!isConflict(error) || tries >= MAX_TRIES) throw error;
      content = undefined; // Somebody was faster: read it anew.
    }
  }
}

/**
 * Puts a reservation on a node in place of the distribution's earlier one. One of a higher attempt stays: an
 * operator that leads by now wrote it. Where others took the last place meanwhile, nothing is written: the next
 * look elects another node.
 */
export async function reserve(
  store: ReservationStore,
  node: string,
  reservation: Reservation,
): Promise<NodeContent | undefined> {
  return change(store, node, (reservations) => {
    const known = reservations.find(({ uid }) => uid === reservation.uid);
    if (known !== undefined && known.attempt > reservation.attempt) return [...reservations];
    const others = reservations.filter(({ uid }) => uid !== reservation.uid);
    return others.length < MAX_PUBLISHING ? [...others, reservation] : [...reservations];
  });
}

/** Takes a distribution's reservation off a node; with `attempt`, only the one of that attempt. */
export async function release(
  store: ReservationStore,
  node: string,
  uid: string,
  attempt?: number,
): Promise<NodeContent | undefined> {
  return change(store, node, (reservations) =>
    reservations.filter(
      (reservation) => reservation.uid !== uid || (attempt !== undefined && reservation.attempt !== attempt),
    ),
  );
}
