/** `enxame create`: makes a .torrent file of a file or a folder. */
import { realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { formatBytes } from '../../api/quantity.ts';
import {
  automaticPieceLength,
  buildInfoDictionary,
  type Content,
  encodeMetainfo,
  type FindOptions,
  findContent,
  HASH_BYTES,
  hashContent,
  isTorrentError,
  MAX_METAINFO_BYTES,
  MAX_PIECE_LENGTH,
  nameFault,
  parseMetainfo,
  refuseChanges,
} from '../../torrent/index.ts';
import { EXIT_FAILURE, UsageError } from '../errors.ts';
import { checkUrls, TRACKER_PROTOCOLS } from '../options/urls.ts';
import type { Program } from '../run.ts';
import { progressLine } from '../terminal/progress-line.ts';
import { Screen } from '../terminal/screen.ts';
import { VERSION } from '../version.ts';

const MIN_PIECE_LENGTH = 16 * 1024;

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
    const screen = new Screen(process.stderr);
    try {
      return await new Creation(path, options, screen, signal).run();
    } catch (error) {
      screen.clear();
      if (!signal.aborted) throw error;
      screen.line('enxame create: stopped; nothing was written, and the same command begins again');
      return EXIT_FAILURE;
    }
  };
}

/** One run of the command. */
class Creation {
  readonly #path: string;
  readonly #options: CreateOptions;
  readonly #screen: Screen;
  readonly #signal: AbortSignal;
  readonly #started = performance.now();

  constructor(path: string, options: CreateOptions, screen: Screen, signal: AbortSignal) {
    this.#path = path;
    this.#options = options;
    this.#screen = screen;
    this.#signal = signal;
  }

  async run(): Promise<number> {
    const { tracker: trackers = [], webSeed: webSeeds = [], pieceLength: wanted } = this.#options;
    checkUrls('--tracker', trackers, TRACKER_PROTOCOLS);
    checkUrls('--web-seed', webSeeds, ['http:', 'https:']);
    checkPieceLength(wanted);
    const find: FindOptions = {
      signal: this.#signal,
      onFound: (files) => this.#status(`looking for files, ${files} so far`),
    };
    const content = await findContent(this.#path, find).catch(asUsage);
    const name = this.#options.name ?? content.name;
    const output = this.#options.output ?? `${name}.torrent`;
    // Hashing takes long: all that can be known to fail is known before.
    const fault = nameFault(name);
    if (fault !== undefined)
      throw new UsageError(`the torrent's name ${JSON.stringify(name)} ${fault}; use --name for another one`);
    await checkOutput(output, content, this.#options.force);
    const pieceLength = wanted ?? pieceLengthFor(content.totalBytes);
    this.#checkSize(content, name, pieceLength);

    const pieces = await hashContent(content.files, {
      pieceLength,
      signal: this.#signal,
      onProgress: (doneBytes) => this.#hashed(doneBytes, content.totalBytes),
    });
    await refuseChanges(this.#path, content, find);
    this.#screen.clear();
    const bytes = this.#encode(content, name, pieceLength, pieces);
    await replaceFile(output, bytes);
    this.#tell(output, bytes);
    return 0;
  }

  #status(text: string): void {
    if (!this.#options.json) this.#screen.status(text);
  }

  #hashed(doneBytes: number, totalBytes: number): void {
    const bytesPerSecond = (doneBytes / (performance.now() - this.#started)) * 1000;
    this.#status(
      progressLine({ doing: 'hashing', doneBytes, totalBytes, bytesPerSecond }, this.#screen.columns),
    );
  }

  /** @throws UsageError if the torrent would be too large, or break a rule */
  #checkSize(content: Content, name: string, pieceLength: number): void {
    const fitting = this.#fittingPieceLength(content, name, pieceLength);
    if (fitting === pieceLength) return;
    const pieces = Math.ceil(content.totalBytes / pieceLength);
    const files = `${content.files.length} ${content.files.length === 1 ? 'file' : 'files'}`;
    const advice =
      fitting === undefined ? 'make several torrents of it' : `use --piece-length ${fitting / 1024}Ki`;
    throw new UsageError(
      `${pieces} pieces of ${formatBytes(pieceLength)} and ${files} make a torrent of more than ${formatBytes(MAX_METAINFO_BYTES)}, which nobody takes; ${advice}`,
    );
  }

  /** The piece length, or the first longer one, with which the torrent is not too large. */
  #fittingPieceLength(content: Content, name: string, pieceLength: number): number | undefined {
    for (let length = pieceLength; length <= MAX_PIECE_LENGTH; length *= 2) {
      const hashBytes = HASH_BYTES * Math.ceil(content.totalBytes / length);
      if (hashBytes > MAX_METAINFO_BYTES) continue;
      try {
        // With hashes of zeros: names, paths, URLs and the size are as they will be.
        this.#encode(content, name, length, Buffer.alloc(hashBytes));
        return length;
      } catch (error) {
        if (!isTorrentError(error, 'TooLarge')) asUsage(error);
      }
    }
    return undefined;
  }

  #encode(content: Content, name: string, pieceLength: number, pieces: Buffer): Buffer {
    const { tracker: trackers = [], webSeed: webSeeds, comment, source } = this.#options;
    const info = buildInfoDictionary({
      name,
      private: this.#options.private ?? false,
      source,
      pieceLength,
      pieces,
      singleFile: content.isSingleFile,
      files: content.isSingleFile ? content.files.map((file) => ({ ...file, path: name })) : content.files,
    });
    return encodeMetainfo({
      info,
      announceList: trackers.map((url) => [url]),
      webSeeds,
      comment,
      createdBy: `Enxame ${VERSION}`,
    });
  }

  #tell(output: string, bytes: Buffer): void {
    const { infoHashHex, pieceCount, pieceLength, totalBytes, files } = parseMetainfo(bytes);
    if (this.#options.json) {
      const event = {
        event: 'created',
        file: output,
        infoHash: infoHashHex,
        bytes: totalBytes,
        pieces: pieceCount,
        pieceLength,
        files: files.length,
        seconds: (performance.now() - this.#started) / 1000,
      };
      process.stdout.write(`${JSON.stringify(event)}\n`);
    } else {
      process.stdout.write(
        `${output}: ${formatBytes(totalBytes)} in ${files.length} ${files.length === 1 ? 'file' : 'files'}, ` +
          `${pieceCount} ${pieceCount === 1 ? 'piece' : 'pieces'} of ${formatBytes(pieceLength)}, info hash ${infoHashHex}\n`,
      );
    }
  }
}

/** Bad content is bad input. */
function asUsage(error: unknown): never {
  throw isTorrentError(error) && error.code !== 'Closed'
    ? new UsageError(error.message, { cause: error })
    : error;
}

function pieceLengthFor(totalBytes: number): number {
  try {
    return automaticPieceLength(totalBytes);
  } catch (error) {
    if (!isTorrentError(error, 'TooLarge')) throw error;
    throw new UsageError(`${error.message}; make several torrents of it, or use --piece-length 64Mi`);
  }
}

function checkPieceLength(pieceLength: number | undefined): void {
  if (pieceLength === undefined) return;
  const isPowerOfTwo = Number.isInteger(Math.log2(pieceLength));
  if (isPowerOfTwo && pieceLength >= MIN_PIECE_LENGTH && pieceLength <= MAX_PIECE_LENGTH) return;
  throw new UsageError(
    `--piece-length is ${pieceLength} bytes; it must be a power of two from 16Ki to 64Mi, such as 256Ki or 1Mi`,
  );
}

/** @throws UsageError, or Error, if the torrent could not be written there, or would be a part of itself */
async function checkOutput(output: string, content: Content, force: boolean | undefined): Promise<void> {
  const there = await stat(output).catch(() => undefined);
  if (there?.isDirectory()) throw new UsageError(`${output} is a folder; use --output FILE to name a file`);
  if (there !== undefined && !there.isFile())
    throw new UsageError(`${output} is no file; use --output FILE for another name`);
  const folder = await realpath(dirname(resolve(output))).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(
      `${output} cannot be written: the folder ${dirname(output)} cannot be entered (${error.code}); make it, or use --output FILE for another place`,
    );
  });
  if (content.folders.has(folder))
    throw new UsageError(
      `${output} would lie in the content that it describes; use --output FILE for a place outside of it`,
    );
  const place = await realpath(output).catch(() => undefined);
  for (const { location } of place === undefined ? [] : content.files)
    if (content.isSingleFile && (await realpath(location)) === place)
      throw new UsageError(`${output} is the content itself; use --output FILE for another name`);
  if (there !== undefined && !force)
    throw new UsageError(`${output} exists; use --force to replace it, or --output FILE for another name`);
  // Nothing but writing tells whether one may.
  await rm(await writeBeside(output, Buffer.alloc(0)), { force: true });
}

/** Nobody sees half a file. */
async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  await rename(await writeBeside(path, bytes), path);
}

/** Returns where it is. */
async function writeBeside(path: string, bytes: Uint8Array): Promise<string> {
  const beside = `${path}.new`;
  try {
    await writeFile(beside, bytes);
    return beside;
  } catch (error) {
    await rm(beside, { force: true });
    throw new Error(
      `${path} cannot be written: ${(error as NodeJS.ErrnoException).code ?? error}; use --output FILE for another place`,
      { cause: error },
    );
  }
}
