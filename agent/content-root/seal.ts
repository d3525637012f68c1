// Closing and opening the folders of a revision: held files are 0444 or 0555, held folders 0555. Invariant: the
// top folder is closed last and opened first, so that a closed top folder means that everything below is closed.
// Without capabilities, root can neither add to nor remove from a folder that is 0555, nor move it elsewhere.
import { join } from 'node:path';
import type { RootDisk } from './disk.ts';

const CLOSED_FOLDER = 0o555;
const OPEN_FOLDER = 0o755;
const EXECUTABLE = 0o111;

/** Closes everything below a folder, and not the folder itself, so that it can still be moved. */
export async function sealInside(disk: RootDisk, folder: string): Promise<void> {
  for (const { name, kind } of await disk.list(folder)) {
    const path = join(folder, name);
    if (kind === 'folder') {
      await sealInside(disk, path);
      await disk.setFolderMode(path, CLOSED_FOLDER);
    } else if (kind === 'file') {
      const mode = await disk.mode(path);
      await disk.setFileMode(path, (mode & EXECUTABLE) === 0 ? 0o444 : 0o555);
    }
  }
}

/** Closes a folder whose inside is closed. */
export const sealTop = (disk: RootDisk, folder: string): Promise<void> =>
  disk.setFolderMode(folder, CLOSED_FOLDER);

/** Whether a folder is closed. */
export async function isSealed(disk: RootDisk, folder: string): Promise<boolean> {
  return (await disk.mode(folder)) === CLOSED_FOLDER;
}

/** Opens a folder and everything below it for writing. */
export async function unseal(disk: RootDisk, folder: string): Promise<void> {
  await disk.setFolderMode(folder, OPEN_FOLDER);
  for (const { name, kind } of await disk.list(folder)) {
    const path = join(folder, name);
    if (kind === 'folder') await unseal(disk, path);
    else if (kind === 'file') {
      const mode = await disk.mode(path);
      await disk.setFileMode(path, (mode & EXECUTABLE) === 0 ? 0o644 : 0o755);
    }
  }
}

/** Opens the top folder only, so that it can be moved. */
export const unsealTop = (disk: RootDisk, folder: string): Promise<void> =>
  disk.setFolderMode(folder, OPEN_FOLDER);

/** Removes a folder and everything below it; symlinks are removed and not followed. */
export async function removeTree(disk: RootDisk, folder: string): Promise<void> {
  await disk.setFolderMode(folder, OPEN_FOLDER);
  for (const { name, kind } of await disk.list(folder)) {
    const path = join(folder, name);
    if (kind === 'folder') await removeTree(disk, path);
    else await disk.removeFile(path);
  }
  await disk.removeFolder(folder);
}
