/**
 * The list of torrents of a tracker in a cluster: those of all ContentRevisions. It is closed: nothing else is
 * served. While the API server is away the list stays as it was last seen.
 */
import { CONTENT_REVISION, type ContentRevision } from '../../api/index.ts';
import { createClient, Informer, loadKubeConfig } from '../../kube/index.ts';
import { type KnownTorrent, MutableTorrentList, type TorrentList } from '../../tracker/torrents.ts';
import type { ProgramContext } from '../run.ts';
import { VERSION } from '../version.ts';

const INFO_HASH = /^[0-9a-f]{40}$/;

/** What a tracker needs of a revision; undefined for one without a proper info hash. */
export function torrentOfRevision(revision: ContentRevision): KnownTorrent | undefined {
  const { infoHash, distribution, sizeBytes } = revision.spec;
  if (!INFO_HASH.test(infoHash)) return undefined;
  const namespace = revision.metadata?.namespace ?? '';
  return { infoHashHex: infoHash, name: `${namespace}/${distribution}`, totalBytes: sizeBytes };
}

const ownerOf = (revision: ContentRevision) =>
  `${revision.metadata?.namespace ?? ''}/${revision.metadata?.name ?? ''}`;

/** Follows the ContentRevisions of all namespaces. */
export async function openRevisions({
  logger,
  signal,
}: ProgramContext): Promise<{ torrents: TorrentList; close(): Promise<void> }> {
  const client = createClient(loadKubeConfig({}), { userAgent: `enxame-tracker/${VERSION}`, logger });
  const informer = new Informer<ContentRevision>({
    resource: client.resource<ContentRevision>(CONTENT_REVISION),
    logger,
  });
  const torrents = new MutableTorrentList();
  const take = (revision: ContentRevision) => {
    const torrent = torrentOfRevision(revision);
    if (torrent !== undefined) torrents.add(ownerOf(revision), torrent);
  };
  informer.addHandler({
    onAdd: take,
    onUpdate: take, // The info hash of a revision never changes.
    onDelete: (revision) => torrents.remove(ownerOf(revision), revision.spec.infoHash),
  });
  informer.start();
  informer.synced(signal).then(
    () => {
      torrents.isSynced = true;
      logger.info({ torrents: [...torrents.list()].length }, 'the list of torrents is read');
    },
    (error: unknown) => {
      if (!signal.aborted) logger.error({ err: error }, 'the list of torrents cannot be read');
    },
  );
  return { torrents, close: async () => informer.stop() };
}
