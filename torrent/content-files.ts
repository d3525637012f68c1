// The files of a folder as they go into a torrent. Invariant: the same content gives the same list in the same
// order on every machine, and a list that came from here holds regular files only, reached over symlinks or not.
import { isUtf8 } from 'node:buffer';
import { type BigIntStats, constants } from 'node:fs';
import { lstat, readdir, readlink, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { isTorrentError, TorrentError } from './errors.ts';
import { escapedBytes, nameFault } from './paths.ts';

/** Files of one torrent that are still described; beyond, its metainfo would be refused anyway. */
const MAX_FILES = 200_000;

/** Folders that are looked into, and above one another: symlinks may show the same one again and again. */
const MAX_FOLDERS = 200_000;
const MAX_DEPTH = 1000;

/** How content that is only read is opened: symlinks are followed, and a pipe in the way does not stop us. */
export const OPEN_CONTENT = constants.O_RDONLY | constants.O_NONBLOCK;

/** A file that was found. */
export interface ContentFile {
  /** Path below the root, parts joined by `/`; for content of a single file its name. */
  readonly path: string;
  /** Where it lies. */
  readonly location: string;
  readonly lengthBytes: number;
  /** True if its owner may execute it. */
  readonly executable: boolean;
  /** Changes when the file is replaced or written to. */
  readonly version: string;
}

/** What a path holds. */
export interface Content {
  /** Name of the file or the folder. */
  readonly name: string;
  readonly isSingleFile: boolean;
  /** In the order of the torrent's bytes: by path, compared byte for byte. */
  readonly files: readonly ContentFile[];
  /** Real paths of all folders that were looked into. */
  readonly folders: ReadonlySet<string>;
  readonly totalBytes: number;
}

/** How content is looked for. */
export interface FindOptions {
  readonly signal?: AbortSignal;
  /** Told now and then how many files there are so far. */
  readonly onFound?: (files: number) => void;
}

/**
 * Finds the files at a path: the file itself, or all below a folder. Symlinks are followed; empty folders have
 * no place in a torrent and are left out.
 * @throws TorrentError UnsafePath (a pipe, a socket, a loop of symlinks, a name that no torrent may have),
 *   InvalidMetainfo (no file at all), TooLarge, DiskIo, Closed (signal).
 */
export async function findContent(path: string, options: FindOptions = {}): Promise<Content> {
  const root = resolve(path);
  const name = basename(root);
  refuseName(dirname(root), name);
  const search: Search = { files: [], folders: new Set(), folderCount: 0, options };
  const { files, folders } = search;
  const { isFile } = await visit(root, name, [], search);
  if (!isFile) for (const [index, file] of files.entries()) files[index] = withoutFirstPart(file);
  files.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
  if (files.length === 0) throw new TorrentError('InvalidMetainfo', `${path} holds no file`);
  let totalBytes = 0;
  for (const file of files) totalBytes += file.lengthBytes;
  return { name, isSingleFile: isFile, files, folders, totalBytes };
}

/**
 * Looks once more at content that was read since it was found: whether it is the same.
 * @throws TorrentError FileChanged, naming a file that was changed, added or removed; and as findContent() does
 */
export async function refuseChanges(
  path: string,
  { files }: Content,
  options: FindOptions = {},
): Promise<void> {
  const found = await findContent(path, options).catch((error: unknown) => {
    if (isTorrentError(error, 'Closed')) throw error;
    throw changedContent(error instanceof Error ? error.message : String(error));
  });
  const before = new Map(files.map((file) => [file.path, file]));
  for (const { path, location, version } of found.files) {
    const file = before.get(path);
    if (file === undefined) throw changedContent(`${location} was added`);
    if (file.version !== version) throw changedContent(`${location} was changed`);
    before.delete(path);
  }
  for (const { location } of before.values()) throw changedContent(`${location} was removed`);
}

function changedContent(how: string): TorrentError {
  return new TorrentError('FileChanged', `${how} while it was read; try again when nobody writes to it`);
}

/**
 * What is wrong with content that cannot be opened or looked at, in words: a symlink that leads nowhere is told as one.
 * @param code the system's, such as ENOENT
 */
export async function contentFault(location: string, code: string): Promise<string> {
  if (code === 'ELOOP') return `${location} is a symlink that leads to itself`;
  if (code === 'ENOENT' && (await lstat(location).catch(() => undefined))?.isSymbolicLink())
    return `${location} is a symlink to ${await readlink(location)}, which does not exist`;
  if (code === 'ENOENT' && location.includes('\ufffd'))
    return `${location} does not exist; if its name has bytes that are not UTF-8, rename it`;
  return `${location} cannot be read: ${code}`;
}

interface Search {
  readonly files: ContentFile[];
  readonly folders: Set<string>;
  folderCount: number;
  readonly options: FindOptions;
}

function withoutFirstPart(file: ContentFile): ContentFile {
  return { ...file, path: file.path.slice(file.path.indexOf('/') + 1) };
}

/** @param above the real paths of the folders on the way, to see a loop */
async function visit(
  location: string,
  path: string,
  above: readonly string[],
  search: Search,
): Promise<{ isFile: boolean }> {
  const { files, folders, options } = search;
  if (options.signal?.aborted) throw new TorrentError('Closed', 'looking for files was interrupted');
  const status = await read(location, () => stat(location, { bigint: true }));
  if (status.isFile()) {
    if (files.length >= MAX_FILES)
      throw new TorrentError('TooLarge', `${location}: more than ${MAX_FILES} files in one torrent`);
    files.push(fileOf(status, path, location));
    if (files.length % 1000 === 0) options.onFound?.(files.length);
    return { isFile: true };
  }
  if (!status.isDirectory())
    throw new TorrentError(
      'UnsafePath',
      `${location} is ${kindOf(status)}, neither a file nor a folder; remove it, or leave it out`,
    );
  const real = await read(location, () => realpath(location));
  if (above.includes(real))
    throw new TorrentError('UnsafePath', `${location} is a symlink to a folder that it lies in`);
  if (++search.folderCount > MAX_FOLDERS || above.length > MAX_DEPTH)
    throw new TorrentError(
      'TooLarge',
      `${location}: more than ${MAX_FOLDERS} folders, or ${MAX_DEPTH} in one another`,
    );
  folders.add(real);
  for (const bytes of await read(location, () => readdir(location, { encoding: 'buffer' }))) {
    const name = bytes.toString();
    if (!isUtf8(bytes)) {
      throw new TorrentError(
        'UnsafePath',
        // As a shell takes it.
        `${location}: the name $'${escapedBytes(bytes, "'")}' is not UTF-8, as names in torrents are; rename it`,
      );
    }
    refuseName(location, name);
    await visit(join(location, name), `${path}/${name}`, [...above, real], search);
  }
  return { isFile: false };
}

function fileOf(status: BigIntStats, path: string, location: string): ContentFile {
  const { dev, ino, size, mtimeNs, ctimeNs, mode } = status;
  const version = [dev, ino, size, mtimeNs, ctimeNs].join(' ');
  return { path, location, lengthBytes: Number(size), executable: (mode & 0o100n) !== 0n, version };
}

function kindOf(status: BigIntStats): string {
  if (status.isFIFO()) return 'a pipe';
  if (status.isSocket()) return 'a socket';
  return 'a device';
}

function refuseName(folder: string, name: string): void {
  const fault = nameFault(name);
  if (fault !== undefined)
    throw new TorrentError('UnsafePath', `${folder}: the name ${JSON.stringify(name)} ${fault}; rename it`);
}

async function read<T>(location: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    const kind = code === 'ELOOP' ? 'UnsafePath' : 'DiskIo';
    throw new TorrentError(kind, await contentFault(location, code), { cause: error });
  }
}
