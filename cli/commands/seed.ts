/** `enxame seed`: serves content that is there, until it is stopped. */
import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { formatBytes } from '../../api/quantity.ts';
import {
  contentFault,
  isTorrentError,
  type Metainfo,
  openStorage,
  type PieceStorage,
} from '../../torrent/index.ts';
import type { Torrent } from '../../torrent/session/index.ts';
import { loadTorrent } from '../client/load-torrent.ts';
import {
  damageText,
  discoveryOf,
  FileChecks,
  listen,
  parsePeers,
  type SwarmOptions,
  tiersWith,
  untilStopped,
  whileTelling,
} from '../client/swarm.ts';
import { EXIT_FAILURE, UsageError } from '../errors.ts';
import type { Program } from '../run.ts';
import { ADVICE_FOR_READERS, withAdvice } from '../terminal/advice.ts';
import { type Report, reportOf } from '../terminal/report.ts';

/** Serves the content at `path` (the file or the folder that became the torrent). */
export function seed(source: string, path: string, options: SwarmOptions): Program {
  return async (context) => {
    const { signal } = context;
    const report = reportOf('seed', options.json);
    try {
      const peers = parsePeers(options.peer);
      const { metainfo } = await loadTorrent(source, report.warn, signal);
      const tiers = tiersWith(options.tracker, metainfo.announceList);
      const content = await contentAt(path, metainfo);
      const storage = await openWhole(content.root, content.metainfo, path, report, signal);
      let uploadedBytes: number;
      try {
        const session = await listen(options, context, report);
        try {
          const torrent = session.add({
            metainfo: content.metainfo,
            storage,
            policy: options.policy,
            discovery: discoveryOf(tiers, peers, report),
            losses: 'withdraw',
          });
          await serve(torrent, path, report, signal);
          ({ uploadedBytes } = torrent.progress());
        } finally {
          await session.close();
        }
        // What is lost and was not noticed, because nobody asked for it.
        await storage.look();
      } finally {
        await storage.close();
      }
      refuseLosses(storage, path);
      report.stopped(
        `stopped after ${formatBytes(uploadedBytes)} sent; ${path} was only read, and the same command seeds it again`,
      );
      return 0;
    } catch (error) {
      if (!signal.aborted || error instanceof LostContent) throw withAdvice(error, ADVICE_FOR_READERS);
      report.stopped('stopped before anything was served; the same command begins again');
      return EXIT_FAILURE;
    } finally {
      report.end();
    }
  };
}

/** Content that is not all there any more. */
class LostContent extends Error {}

/** @throws LostContent */
function refuseLosses({ have, metainfo }: PieceStorage, path: string): void {
  if (have.isFull) return;
  throw new LostContent(
    `${metainfo.pieceCount - have.count} of ${metainfo.pieceCount} pieces of ${path} were lost while it was seeded; put back what was there, or complete it with 'enxame download'`,
  );
}

/** Serves until it is told to stop, or nothing is left to serve. @throws the disk's error */
async function serve(torrent: Torrent, path: string, report: Report, signal: AbortSignal): Promise<void> {
  const nothingLeft = new AbortController();
  torrent.on('damaged', (pieces, files) => {
    report.warn(damageText(pieces, files, 'served no more; the rest is'));
    if (torrent.progress().piecesHave === 0) nothingLeft.abort();
  });
  const checks = new FileChecks(torrent);
  const tell = () => {
    report.progress(torrent.progress());
    checks.tick();
  };
  await whileTelling(tell, () => untilStopped(torrent, AbortSignal.any([signal, nothingLeft.signal])));
  if (nothingLeft.signal.aborted)
    throw new LostContent(
      `nothing is left of ${path} that could be served; put back what was there, and seed it again`,
    );
}

/** The folder that holds the torrent's files, and the metainfo with the name that a single file has there. */
async function contentAt(path: string, metainfo: Metainfo): Promise<{ root: string; metainfo: Metainfo }> {
  const status = await stat(path).catch(async (error: NodeJS.ErrnoException) => {
    const fault = await contentFault(path, error.code ?? 'unknown error');
    throw new UsageError(`${fault}; name the file or the folder that became the torrent`);
  });
  const place = resolve(path);
  if (!metainfo.isSingleFile) {
    if (status.isDirectory()) return { root: place, metainfo };
    throw new UsageError(
      `${path} is a file, and the torrent holds a folder; name the folder that became the torrent`,
    );
  }
  if (status.isDirectory())
    throw new UsageError(`${path} is a folder, and the torrent holds one file; name the file itself`);
  const files = metainfo.files.map((file) => ({ ...file, path: [basename(place)] }));
  return { root: dirname(place), metainfo: { ...metainfo, files } };
}

/** @throws UsageError if it is not wholly there */
async function openWhole(
  root: string,
  metainfo: Metainfo,
  path: string,
  report: Report,
  signal: AbortSignal,
): Promise<PieceStorage> {
  const { pieceLength, pieceCount, totalBytes } = metainfo;
  const storage = await openStorage({
    metainfo,
    root,
    readOnly: true,
    signal,
    onChecked: (pieces) => report.checking(Math.min(pieces * pieceLength, totalBytes), totalBytes),
  }).catch(async (error: unknown) => {
    if (!isTorrentError(error) || error.code === 'Closed' || error.code === 'DiskIo') throw error;
    throw new UsageError((await faultIn(root, metainfo)) ?? error.message, { cause: error });
  });
  const missing = pieceCount - storage.have.count;
  if (missing === 0) return storage;
  await storage.close();
  const fault = await faultIn(root, metainfo);
  throw new UsageError(
    `${path} is not what the torrent describes: ${missing} of ${pieceCount} pieces are missing or differ${fault === undefined ? '' : ` (${fault})`}; name the right path, or complete it with 'enxame download'`,
  );
}

/** What is wrong with the first file that cannot be opened, as create would tell it. */
async function faultIn(root: string, { files }: Metainfo): Promise<string | undefined> {
  for (const { path, padding } of files) {
    if (padding) continue;
    const location = join(root, ...path);
    const fault = await stat(location).then(
      (status) => (status.isFile() ? undefined : `${location} is no regular file`),
      (error: NodeJS.ErrnoException) => contentFault(location, error.code ?? 'unknown error'),
    );
    if (fault !== undefined) return fault;
  }
  return undefined;
}
