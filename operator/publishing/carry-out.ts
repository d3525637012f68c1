// Writes what publishing decided. Each write can be repeated, and can find that another operator did it before.
import type { V1Pod } from '@kubernetes/client-node';
import { type ContentDistribution, Label, type Reservation } from '../../api/index.ts';
import type { Logger } from '../../base/index.ts';
import { isAlreadyExists, isConflict, isNamespaceEnding, isNotFound, KubeError } from '../../kube/index.ts';
import type { OwnWrites } from '../own-writes.ts';
import type { ObjectClient } from '../ports.ts';
import type { PublishingAction } from './decision.ts';
import { type PublisherSettings, publisherPod } from './publisher-pod.ts';
import type { ReservationWriter } from './reservations.ts';

/** Where publishing writes. */
export interface PublishingWriter {
  readonly pods: ObjectClient<V1Pod>;
  readonly seenPods: OwnWrites<V1Pod>;
  readonly reservations: ReservationWriter;
  readonly settings: PublisherSettings;
  readonly logger: Logger;
}

/** Status codes by which the API server says that it will not have such a Pod, now or ever. */
const REFUSALS: ReadonlySet<number> = new Set([400, 403, 413, 422]);

/**
 * Does the writes in their order.
 *
 * @returns why the API server refuses the publisher Pod, as a sentence; undefined if it does not
 */
export async function carryOutPublishing(
  actions: readonly PublishingAction[],
  distribution: ContentDistribution,
  writer: PublishingWriter,
): Promise<string | undefined> {
  const uid = distribution.metadata.uid ?? '';
  const namespace = distribution.metadata.namespace ?? '';
  const { logger } = writer;
  const about = { distribution: `${namespace}/${distribution.metadata.name}`, uid };
  let refused: string | undefined;
  for (const action of actions) {
    switch (action.kind) {
      case 'reserve': {
        const { attempt, podUID } = action.reservation;
        logger.info(
          { ...about, node: action.node, attempt, podUID },
          'reserving a place for the publication',
        );
        await writer.reservations.reserve(action.node, action.reservation);
        break;
      }
      case 'release':
        logger.info({ ...about, node: action.node, attempt: action.attempt }, 'releasing a reservation');
        await writer.reservations.release(action.node, uid, action.attempt);
        break;
      case 'createPod':
        refused = await createPublisher(
          action.reservation,
          action.node,
          action.address,
          distribution,
          writer,
        );
        break;
      case 'deletePod':
        logger.info({ ...about, pod: action.name }, 'deleting a publisher Pod');
        await deletePod(writer.pods, { name: action.name, namespace }, action.uid);
        break;
    }
  }
  return refused;
}

async function createPublisher(
  reservation: Reservation,
  node: string,
  address: string,
  distribution: ContentDistribution,
  writer: PublishingWriter,
): Promise<string | undefined> {
  const wanted = publisherPod(distribution, reservation, address, writer.settings);
  let pod: V1Pod;
  try {
    pod = await writer.pods.create(wanted);
    writer.logger.info(
      {
        distribution: `${wanted.metadata?.namespace}/${distribution.metadata.name}`,
        node,
        pod: reservation.podName,
      },
      'made a publisher Pod',
    );
  } catch (error) {
    if (isAlreadyExists(error)) {
      const { namespace } = distribution.metadata;
      pod = await writer.pods.get(reservation.podName, { ...(namespace === undefined ? {} : { namespace }) });
      if (pod.metadata?.labels?.[Label.DistributionUid] !== distribution.metadata.uid)
        return `Pod ${reservation.podName} exists and is no publisher of this distribution: delete it`;
    } else if (error instanceof KubeError && !isNamespaceEnding(error) && REFUSALS.has(error.code)) {
      return `the API server refuses the publisher Pod: ${error.message}`;
    } else {
      throw error;
    }
  }
  writer.seenPods.wrote(pod);
  const podUID = pod.metadata?.uid;
  if (podUID !== undefined && pod.metadata?.deletionTimestamp === undefined)
    await writer.reservations.reserve(node, { ...reservation, podUID });
  return undefined;
}

/** Deletes a Pod, if it is still the one that was meant. */
export async function deletePod(
  pods: ObjectClient<V1Pod>,
  name: { name: string; namespace: string },
  uid: string,
): Promise<void> {
  try {
    await pods.delete(name, { uid });
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error; // Conflict: another Pod has the name by now.
  }
}
