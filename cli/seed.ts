/** `enxame seed`: serves content that is there, until it is stopped. */
import { stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { isTorrentError, type Metainfo, openStorage, type PieceStorage } from '../torrent/index.ts';
import { UsageError } from './errors.ts';
import { loadTorrent } from './load-torrent.ts';
import { type Report, reportOf } from './report.ts';
import type { Program } from './run.ts';
import { discoveryOf, listen, parsePeers, reportProgress, type SwarmOptions, tiersWith } from './swarm.ts';

/** Serves the content at `path` (the file or the folder that became the torrent). */
export function seed(source: string, path: string, options: SwarmOptions): Program {
  return async (context) => {
    const { signal } = context;
    const report = reportOf('seed', options.json);
    const peers = parsePeers(options.peer);
    const { metainfo } = await loadTorrent(source, report.warn, signal);
    const tiers = tiersWith(options.tracker, metainfo.announceList);
    const content = await contentAt(path, metainfo);
    try {
      const storage = await openWhole(content.root, content.metainfo, path, report, signal);
      try {
        const session = await listen(options, context, report);
        try {
          const torrent = session.add({
            metainfo: content.metainfo,
            storage,
            policy: options.policy,
            discovery: discoveryOf(tiers, peers, report),
          });
          report.listening(options.listen?.replace(/:\d+$/, '') || '::', session.port);
          await reportProgress(() => report.progress(torrent.progress()), signal);
          return 0;
        } finally {
          await session.close();
        }
      } finally {
        await storage.close();
      }
    } finally {
      report.end();
    }
  };
}

/** The folder that holds the torrent's files, and the metainfo with the name that a single file has there. */
async function contentAt(path: string, metainfo: Metainfo): Promise<{ root: string; metainfo: Metainfo }> {
  const status = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(
      `${path} cannot be read: ${error.code}; name the file or the folder that became the torrent`,
    );
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
    signal,
    onChecked: (pieces) => report.checking(Math.min(pieces * pieceLength, totalBytes), totalBytes),
  }).catch((error: unknown) => {
    throw isTorrentError(error, 'Closed') ? new Error('stopped while the content was checked') : error;
  });
  const missing = pieceCount - storage.have.count;
  if (missing === 0) return storage;
  await storage.close();
  throw new UsageError(
    `${path} is not what the torrent describes: ${missing} of ${pieceCount} pieces are missing or differ; name the right path, or complete it with 'enxame download'`,
  );
}
