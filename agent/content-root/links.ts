// The symlinks that make content visible. Invariant: a link is replaced by renaming a new one over it, so that
// whoever looks sees the old target or the new one, never nothing and never a mix.
import { dirname, join } from 'node:path';
import { systemCode } from '../../base/index.ts';
import { AgentError } from '../errors.ts';
import { type RootDisk, removeIfThere } from './disk.ts';
import { NEW_LINK_PREFIX } from './layout.ts';

/** Removes a folder that holds nothing but empty folders. */
async function removeEmptyFolders(disk: RootDisk, folder: string): Promise<void> {
  for (const { name, kind } of await disk.list(folder)) {
    if (kind === 'folder') await removeEmptyFolders(disk, join(folder, name));
  }
  try {
    await disk.removeFolder(folder);
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST'].includes(systemCode(error))) throw error;
    throw new AgentError('RootDamaged', `${folder} is a folder with something in it; move it away`, {
      cause: error,
    });
  }
}

/**
 * Makes a symlink or points it elsewhere. An empty folder in the way, as a Pod makes one that mounts the path
 * before there is content, is replaced.
 * @throws AgentError RootDamaged where a file or a folder with content is in the way.
 */
export async function pointLink(disk: RootDisk, path: string, target: string): Promise<void> {
  const kind = await disk.kind(path);
  if (kind === 'link' && (await disk.readLink(path)) === target) return;
  if (kind === 'folder') await removeEmptyFolders(disk, path);
  else if (kind !== undefined && kind !== 'link') {
    throw new AgentError('RootDamaged', `${path} is a file where a symlink belongs; move it away`);
  }
  const folder = dirname(path);
  const fresh = join(folder, NEW_LINK_PREFIX + path.slice(folder.length + 1));
  await removeIfThere(disk, fresh);
  await disk.makeLink(target, fresh);
  await disk.rename(fresh, path);
  await disk.syncFolder(folder);
}

/** Removes a symlink if it is there and, where a target is given, points to it. */
export async function dropLink(disk: RootDisk, path: string, target?: string): Promise<void> {
  const found = await disk.readLink(path);
  if (found === undefined || (target !== undefined && found !== target)) return;
  await removeIfThere(disk, path);
  await disk.syncFolder(dirname(path));
}
