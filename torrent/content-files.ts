// The files of a folder as they go into a torrent. Invariant: the same content gives the same list in the same
// order on every machine, and a list that came from here holds regular files only.
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { TorrentError } from './errors.ts';
import { nameFault } from './paths.ts';

/** Files of one torrent that are still described; beyond, its metainfo would be refused anyway. */
const MAX_FILES = 200_000;

/** A file that was found. */
export interface ContentFile {
  /** Path below the root, parts joined by `/`; for content of a single file its name. */
  readonly path: string;
  /** Where it lies. */
  readonly location: string;
  readonly lengthBytes: number;
  /** True if its owner may execute it. */
  readonly executable: boolean;
}

/** What a path holds. */
export interface Content {
  /** Name of the file or the folder. */
  readonly name: string;
  readonly isSingleFile: boolean;
  /** In the order of the torrent's bytes: by path, compared byte for byte. */
  readonly files: readonly ContentFile[];
  readonly totalBytes: number;
}

/**
 * Finds the files at a path: the file itself, or all below a folder. Symlinks are followed; empty folders have
 * no place in a torrent and are left out.
 * @throws TorrentError UnsafePath (a FIFO, a socket, a loop of symlinks, a name that no torrent may have),
 *   InvalidMetainfo (no file at all), TooLarge, DiskIo.
 */
export async function findContent(path: string): Promise<Content> {
  const root = resolve(path);
  const name = basename(root);
  const fault = nameFault(name);
  if (fault !== undefined)
    throw new TorrentError('UnsafePath', `${path}: the name ${JSON.stringify(name)} ${fault}`);
  const files: ContentFile[] = [];
  const { isFile } = await visit(root, name, [], files);
  if (!isFile) for (const [index, file] of files.entries()) files[index] = withoutFirstPart(file);
  files.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
  if (files.length === 0) throw new TorrentError('InvalidMetainfo', `${path} holds no file`);
  let totalBytes = 0;
  for (const file of files) totalBytes += file.lengthBytes;
  return { name, isSingleFile: isFile, files, totalBytes };
}

function withoutFirstPart(file: ContentFile): ContentFile {
  return { ...file, path: file.path.slice(file.path.indexOf('/') + 1) };
}

/** @param above the real paths of the folders on the way, to see a loop */
async function visit(
  location: string,
  path: string,
  above: readonly string[],
  files: ContentFile[],
): Promise<{ isFile: boolean }> {
  const status = await read(location, () => stat(location));
  if (status.isFile()) {
    if (files.length >= MAX_FILES)
      throw new TorrentError('TooLarge', `${location}: more than ${MAX_FILES} files in one torrent`);
    files.push({ path, location, lengthBytes: status.size, executable: (status.mode & 0o100) !== 0 });
    return { isFile: true };
  }
  if (!status.isDirectory())
    throw new TorrentError('UnsafePath', `${location} is neither a file nor a folder`);
  const real = await read(location, () => realpath(location));
  if (above.includes(real))
    throw new TorrentError('UnsafePath', `${location} is a symlink to a folder that it lies in`);
  for (const name of await read(location, () => readdir(location))) {
    const fault = nameFault(name);
    if (fault !== undefined)
      throw new TorrentError('UnsafePath', `${location}: the name ${JSON.stringify(name)} ${fault}`);
    await visit(join(location, name), `${path}/${name}`, [...above, real], files);
  }
  return { isFile: false };
}

async function read<T>(location: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TorrentError) throw error;
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    throw new TorrentError('DiskIo', `${location} cannot be read: ${code}`, { cause: error });
  }
}
