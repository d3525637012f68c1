// Writes what was decided about revisions.
import type { ContentRevision } from '../../api/index.ts';
import type { Logger } from '../../base/index.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../../kube/index.ts';
import type { OwnWrites } from '../own-writes.ts';
import type { ObjectClient } from '../ports.ts';
import type { RevisionAction } from './decide.ts';

/** Where revisions are written. */
export interface RevisionWriter {
  readonly client: ObjectClient<ContentRevision>;
  readonly seen: OwnWrites<ContentRevision>;
  readonly logger: Logger;
  /** Told of what was made and what was deleted. */
  readonly happened: (what: 'created' | 'deleted', revision: ContentRevision) => void;
}

const nameOf = ({ metadata: { name, namespace } }: ContentRevision) => ({
  name,
  ...(namespace === undefined ? {} : { namespace }),
});

/** Does the writes in their order. */
export async function carryOutRevisions(
  actions: readonly RevisionAction[],
  writer: RevisionWriter,
): Promise<void> {
  const { client, seen, logger } = writer;
  for (const action of actions) {
    const { revision } = action;
    const about = { revision: `${revision.metadata.namespace}/${revision.metadata.name}` };
    switch (action.kind) {
      case 'create':
        await create(revision, writer);
        break;
      case 'update':
        logger.info({ ...about, changes: action.why }, 'bringing a revision up to date');
        seen.wrote(await client.update(action.reactivated ? await forgetReady(revision, client) : revision));
        break;
      case 'delete':
        logger.info(about, 'deleting a revision beyond those that are kept');
        await remove(revision, writer);
        writer.happened('deleted', revision);
        break;
    }
  }
}

/**
 * Takes away when the revision was Ready first. Before it is activated anew and not after: an operator that ends
 * in between is followed by one that does both.
 *
 * @returns the revision as it is to be written, upon the version that this made
 */
async function forgetReady(
  revision: ContentRevision,
  client: ObjectClient<ContentRevision>,
): Promise<ContentRevision> {
  if (revision.status?.readyAt === undefined) return revision;
  const { uid, resourceVersion } = revision.metadata;
  const { metadata, status } = await client.mergePatchStatus(nameOf(revision), {
    metadata: { uid, resourceVersion },
    status: { readyAt: null },
  });
  return { ...revision, metadata, ...(status === undefined ? {} : { status }) };
}

async function create(revision: ContentRevision, writer: RevisionWriter): Promise<void> {
  const { client, seen, logger, happened } = writer;
  const { infoHash, sizeBytes, distributionUID } = revision.spec;
  try {
    const created = await client.create(revision);
    logger.info(
      { revision: `${revision.metadata.namespace}/${revision.metadata.name}`, infoHash, sizeBytes },
      'made a revision',
    );
    seen.wrote(created);
    happened('created', created);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    const { name, namespace } = nameOf(revision);
    const present = await client.get(name, { ...(namespace === undefined ? {} : { namespace }) });
    if (present.spec.distributionUID === distributionUID) {
      seen.wrote(present); // Another operator was faster.
      return;
    }
    // Of an earlier distribution of this name, which the garbage collector has yet to clear away.
    await remove(present, writer);
    throw error; // Again, once it is gone.
  }
}

async function remove(revision: ContentRevision, { client, seen }: RevisionWriter): Promise<void> {
  const { uid } = revision.metadata;
  try {
    await client.delete(nameOf(revision), { ...(uid === undefined ? {} : { uid }) });
    seen.deleted(revision);
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error;
  }
}
