/** `enxame create`: makes a .torrent file of a file or a folder. */
import { rename, rm, stat, writeFile } from 'node:fs/promises';
import { formatBytes } from '../api/quantity.ts';
import {
  automaticPieceLength,
  buildInfoDictionary,
  encodeMetainfo,
  findContent,
  hashContent,
  isTorrentError,
  parseMetainfo,
} from '../torrent/index.ts';
import { UsageError } from './errors.ts';
import { progressLine } from './progress-line.ts';
import type { Program } from './run.ts';
import { Screen } from './screen.ts';
import { checkUrls, TRACKER_PROTOCOLS } from './urls.ts';
import { VERSION } from './version.ts';

const MIN_PIECE_LENGTH = 16 * 1024;
const MAX_PIECE_LENGTH = 64 * 1024 * 1024;

/** The options of the command line. */
export interface CreateOptions {
  readonly output?: string;
  readonly tracker?: readonly string[];
  /** Bytes. */
  readonly pieceLength?: number;
  readonly private?: boolean;
  readonly webSeed?: readonly string[];
  readonly name?: string;
  readonly comment?: string;
  readonly source?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** Makes a torrent of the content at `path`. */
export function create(path: string, options: CreateOptions): Program {
  return async ({ signal }) => {
    const { tracker: trackers = [], webSeed: webSeeds = [] } = options;
    checkUrls('--tracker', trackers, TRACKER_PROTOCOLS);
    checkUrls('--web-seed', webSeeds, ['http:', 'https:']);
    checkPieceLength(options.pieceLength);
    const started = performance.now();
    const content = await findContent(path).catch((error: unknown) => {
      throw isTorrentError(error) ? new UsageError(error.message, { cause: error }) : error;
    });
    const name = options.name ?? content.name;
    const output = options.output ?? `${name}.torrent`;
    await refuseToOverwrite(output, options.force);
    const pieceLength = options.pieceLength ?? automaticPieceLength(content.totalBytes);

    const screen = new Screen(process.stderr);
    const pieces = await hashContent(content.files, {
      pieceLength,
      signal,
      onProgress: (doneBytes) => {
        if (options.json) return;
        const bytesPerSecond = (doneBytes / (performance.now() - started)) * 1000;
        screen.status(
          progressLine(
            { doing: 'hashing', doneBytes, totalBytes: content.totalBytes, bytesPerSecond },
            screen.columns,
          ),
        );
      },
    });
    screen.clear();

    const info = buildInfoDictionary({
      name,
      private: options.private ?? false,
      source: options.source,
      pieceLength,
      pieces,
      singleFile: content.isSingleFile,
      files: content.isSingleFile ? content.files.map((file) => ({ ...file, path: name })) : content.files,
    });
    const bytes = encodeMetainfo({
      info,
      announceList: trackers.map((url) => [url]),
      webSeeds,
      comment: options.comment,
      createdBy: `Enxame ${VERSION}`,
    });
    await replaceFile(output, bytes);

    const { infoHashHex, pieceCount, totalBytes, files } = parseMetainfo(bytes);
    if (options.json) {
      const seconds = (performance.now() - started) / 1000;
      const event = {
        event: 'created',
        file: output,
        infoHash: infoHashHex,
        bytes: totalBytes,
        pieces: pieceCount,
        pieceLength,
        files: files.length,
        seconds,
      };
      process.stdout.write(`${JSON.stringify(event)}\n`);
    } else {
      process.stdout.write(
        `${output}: ${formatBytes(totalBytes)} in ${files.length} ${files.length === 1 ? 'file' : 'files'}, ` +
          `${pieceCount} pieces of ${formatBytes(pieceLength)}, info hash ${infoHashHex}\n`,
      );
    }
    return 0;
  };
}

function checkPieceLength(pieceLength: number | undefined): void {
  if (pieceLength === undefined) return;
  const isPowerOfTwo = Number.isInteger(Math.log2(pieceLength));
  if (isPowerOfTwo && pieceLength >= MIN_PIECE_LENGTH && pieceLength <= MAX_PIECE_LENGTH) return;
  throw new UsageError(
    `--piece-length is ${pieceLength} bytes; it must be a power of two from 16Ki to 64Mi, such as 256Ki or 1Mi`,
  );
}

async function refuseToOverwrite(output: string, force: boolean | undefined): Promise<void> {
  const there = await stat(output).catch(() => undefined);
  if (there?.isDirectory()) throw new UsageError(`${output} is a folder; use --output FILE to name a file`);
  if (there !== undefined && !force)
    throw new UsageError(`${output} exists; use --force to replace it, or --output FILE for another name`);
}

/** Nobody sees half a file. */
async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const beside = `${path}.new`;
  try {
    await writeFile(beside, bytes);
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw new Error(`${path} cannot be written: ${(error as NodeJS.ErrnoException).code ?? error}`, {
      cause: error,
    });
  }
}
