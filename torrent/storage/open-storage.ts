// Opening the files of a torrent. Invariant: storage that was opened holds the pieces that resume data vouches for or
// that passed their hash, and no others.
import { Bitfield } from '../bitfield.ts';
import { TorrentError } from '../errors.ts';
import type { Metainfo } from '../metainfo.ts';
import { believeResume, type HashingOptions, hashPieces, readStamps } from './checking/check.ts';
import { hashPiece, type PieceHash } from './checking/piece-hash.ts';
import { type Disk, diskFor } from './disk/disk.ts';
import { TorrentFiles } from './disk/files.ts';
import { Folder } from './disk/folder.ts';
import { OpenFiles } from './disk/open-files.ts';
import { FileStorage } from './file-storage.ts';
import { Layout } from './layout.ts';
import type { PieceStorage } from './piece-storage.ts';
import { ReadCache } from './reading/read-cache.ts';
import { type FileStamp, readResume } from './resume/resume.ts';
import { PieceThread } from './writing/piece-thread.ts';

/** Pieces of content of this size on may go to a thread: less is done before one has started. */
const THREAD_BYTES = 32 * 1024 * 1024;

// Descriptors, memory and threads are the process's, not a torrent's.
const processOpenFiles = new OpenFiles();
const processReadCache = new ReadCache();
const processPieceThread = new PieceThread();

/** What storage is opened with. */
export interface StorageOptions {
  metainfo: Metainfo;
  /** The folder that directly holds the torrent's files (without one of the torrent's name); made if need be. */
  root: string;
  /** Where resume data is kept; without it everything is hashed at the next start. */
  resumeFile?: string;
  /** False: of content that was whole already nothing is recorded, so that nothing at all is written. True by default. */
  recordWhole?: boolean;
  /** Somebody's own content, which is only served: nothing is made or written, and symlinks are followed. */
  readOnly?: boolean;
  /** The caller has just hashed these files itself: their lengths are checked and nothing else. */
  alreadyVerified?: boolean;
  /** Ends the check of files at the start, with Closed. */
  signal?: AbortSignal;
  /** Told how far the check of files at the start is. */
  onChecked?: (checkedPieces: number, piecesToCheck: number) => void;
  disk?: Disk;
  openFiles?: OpenFiles;
  readCache?: ReadCache;
  hash?: PieceHash;
  /** By default the process's, for content of 32 MiB and more on the real disk, when it comes fast. */
  pieceThread?: PieceThread;
}

/**
 * Opens a torrent's files and finds out which pieces are there: those that resume data vouches for, and those
 * that pass their hash now. Files are made only when something is written.
 * @throws TorrentError UnsafePath, ReadOnly, DiskIo, Closed (signal); FileChanged if `alreadyVerified` is not so.
 */
export async function openStorage(options: StorageOptions): Promise<PieceStorage> {
  const { metainfo } = options;
  const disk = options.disk ?? (await diskFor(options.root));
  const { readOnly = false } = options;
  const folder = await Folder.open(disk, options.root, { create: !readOnly, follow: readOnly });
  const layout = new Layout(metainfo);
  const files = new TorrentFiles(metainfo, disk, folder, options.openFiles ?? processOpenFiles);
  try {
    const have = new Bitfield(metainfo.pieceCount);
    const stamps = await readStamps(metainfo, files);
    const hashing: HashingOptions = { hash: options.hash ?? hashPiece, onChecked: options.onChecked };
    let isChanged = true;
    let wasBegun = false;
    let recorded: readonly (FileStamp | undefined)[] = [];
    if (options.alreadyVerified) {
      for (const [index, file] of metainfo.files.entries()) {
        if (file.padding || file.lengthBytes === 0 || stamps[index]?.sizeBytes === file.lengthBytes) continue;
        throw new TorrentError('FileChanged', `${file.path.join('/')} is not ${file.lengthBytes} bytes long`);
      }
      have.setAll();
    } else {
      const { resumeFile } = options;
      const resume = resumeFile === undefined ? undefined : await readResume(disk, resumeFile, metainfo);
      const toHash = believeResume(metainfo, layout, stamps, resume, have);
      wasBegun = resume !== undefined;
      isChanged = resume === undefined || toHash.length > 0;
      recorded = resume?.stamps ?? [];
      await hashPieces(
        metainfo,
        layout,
        files,
        toHash,
        { ...hashing, signal: options.signal },
        (piece, isGood) => {
          if (isGood) have.set(piece);
        },
      );
    }
    if (have.isFull && !wasBegun && options.recordWhole === false) isChanged = false;
    const cache = options.readCache ?? processReadCache;
    const isWorthThread =
      options.disk === undefined && options.hash === undefined && metainfo.totalBytes >= THREAD_BYTES;
    const thread = options.pieceThread ?? (isWorthThread ? processPieceThread : undefined);
    const { resumeFile } = options;
    return new FileStorage(
      { metainfo, disk, folder, files, layout, have, hashing, cache, thread, resumeFile, readOnly },
      { stamps, recorded, isChanged, wasBegun },
    );
  } catch (error) {
    await files.closeAll();
    await folder.close();
    throw error;
  }
}
