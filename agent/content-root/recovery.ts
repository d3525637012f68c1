// What a start of the agent does with what the last one left behind. Invariant: afterwards every revision in
// content/ is whole and closed, every `current` names one of them, and nothing half-made is left.
import { join } from 'node:path';
import { systemCode } from '../../base/index.ts';
import { AgentError } from '../errors.ts';
import { ensureFolder, type RootDisk, removeIfThere, replaceFile } from './disk.ts';
import { CURRENT, isNamespace, isRevision, isUid, type Layout, NEW_LINK_PREFIX } from './layout.ts';
import { dropLink } from './links.ts';
import { type ContentRecord, parseRecord } from './record.ts';
import { isSealed, removeTree, sealInside, sealTop } from './seal.ts';

/** What state/format says. */
const FORMAT = 'enxame-content-root/1\n';

/** What is on the disk of one distribution. */
export interface FoundContent {
  record: ContentRecord;
  held: Set<string>;
  current: string | undefined;
}

/** Errors of a place that is no place for content, with what to do about it. */
const UNUSABLE: { [code: string]: string | undefined } = {
  ENOENT: 'it is not there: mount a folder of the node at it, or set ENXAME_CONTENT_ROOT',
  ENOTDIR: 'it is not a folder: mount a folder of the node at it, or set ENXAME_CONTENT_ROOT',
  EACCES: 'this user may not write to it: the agent must run as the owner of the folder (root)',
  EPERM: 'this user may not write to it: the agent must run as the owner of the folder (root)',
  EROFS: 'it is mounted read-only: mount it for writing',
  ENOSPC: 'the disk is full: make room for a few kilobytes',
};

/**
 * Makes the folders that are always there and checks the format.
 * @throws AgentError UnknownFormat, RootDamaged, InvalidSetting where no content root can be
 */
export async function prepareRoot(disk: RootDisk, layout: Layout): Promise<void> {
  try {
    await makeRoot(disk, layout);
  } catch (error) {
    const advice = UNUSABLE[systemCode(error)];
    if (advice === undefined) throw error;
    throw new AgentError('InvalidSetting', `the content root ${layout.root} cannot be used: ${advice}`, {
      cause: error,
    });
  }
}

async function makeRoot(disk: RootDisk, layout: Layout): Promise<void> {
  let made = false;
  for (const folder of layout.folders) {
    const kind = await disk.kind(folder);
    if (kind !== undefined && kind !== 'folder')
      throw new AgentError('RootDamaged', `${folder} must be a folder; move away what is there`);
    if (kind === undefined) made = (await ensureFolder(disk, folder)) || made;
  }
  if (made) for (const folder of [layout.root, layout.staging, layout.state]) await disk.syncFolder(folder);
  const format = await disk.readFile(layout.format);
  if (format === undefined) await replaceFile(disk, layout.format, FORMAT);
  else if (format.toString() !== FORMAT) {
    throw new AgentError(
      'UnknownFormat',
      `the content root has the format ${JSON.stringify(format.toString('utf8', 0, 80).trim())}, and this agent knows ${JSON.stringify(FORMAT.trim())}: run the version that wrote it`,
    );
  }
}

/** Removes what removals and ingests that were given up left in the trash. */
export async function emptyTrash(disk: RootDisk, layout: Layout): Promise<void> {
  for (const { name, kind } of await disk.list(layout.trash)) {
    const path = join(layout.trash, name);
    if (kind === 'folder') await removeTree(disk, path);
    else await disk.removeFile(path);
  }
}

async function names(disk: RootDisk, folder: string, isGood: (name: string) => boolean): Promise<string[]> {
  const entries = await disk.list(folder);
  return entries.filter(({ name, kind }) => kind === 'folder' && isGood(name)).map(({ name }) => name);
}

async function recoverContent(disk: RootDisk, layout: Layout, uid: string): Promise<Set<string>> {
  const held = new Set<string>();
  await removeIfThere(disk, join(layout.content(uid), NEW_LINK_PREFIX + CURRENT));
  for (const revision of await names(disk, layout.content(uid), isRevision)) {
    const folder = layout.revision(uid, revision);
    if (!(await isSealed(disk, folder))) {
      await sealInside(disk, folder);
      await sealTop(disk, folder);
    }
    held.add(revision);
  }
  return held;
}

async function recoverNames(disk: RootDisk, layout: Layout): Promise<void> {
  for (const namespace of await names(disk, layout.names, isNamespace)) {
    const folder = layout.namespace(namespace);
    for (const { name, kind } of await disk.list(folder)) {
      if (kind !== 'link') continue;
      const target = await disk.readLink(join(folder, name));
      const uid = target?.slice(target.lastIndexOf('/') + 1) ?? '';
      const isWhole = isUid(uid) && (await disk.kind(layout.content(uid))) === 'folder';
      if (!isWhole || name.startsWith(NEW_LINK_PREFIX)) await dropLink(disk, join(folder, name));
    }
  }
}

/** Removes metainfo and resume data of revisions that are neither held nor being downloaded. */
async function tidyRecords(disk: RootDisk, layout: Layout, uid: string, known: Set<string>): Promise<void> {
  const folder = layout.recordsOf(uid);
  for (const { name, kind } of await disk.list(folder)) {
    const [revision = '', ending = ''] = name.split('.', 2);
    const isOurs = name === 'content.json' || (known.has(revision) && ['torrent', 'resume'].includes(ending));
    if (kind === 'file' && (!isOurs || name.endsWith('.tmp'))) await disk.removeFile(join(folder, name));
  }
  if (known.size > 0) return;
  if ((await disk.list(folder)).some(({ name }) => name !== 'content.json')) return;
  await removeIfThere(disk, layout.record(uid));
  for (const empty of [folder, layout.content(uid), layout.downloadsOf(uid)]) {
    if ((await disk.kind(empty)) === 'folder' && (await disk.list(empty)).length === 0)
      await disk.removeFolder(empty);
  }
}

/** Finishes what was half done and reads what is there, by UID. */
export async function recoverRoot(disk: RootDisk, layout: Layout): Promise<Map<string, FoundContent>> {
  await emptyTrash(disk, layout);
  const found = new Map<string, FoundContent>();
  const uids = new Set([
    ...(await names(disk, layout.contents, isUid)),
    ...(await names(disk, layout.records, isUid)),
    ...(await names(disk, layout.downloads, isUid)),
  ]);
  for (const uid of uids) {
    const held = await recoverContent(disk, layout, uid);
    const stored = parseRecord(await disk.readFile(layout.record(uid)));
    const downloading: string[] = [];
    for (const revision of await names(disk, layout.downloadsOf(uid), isRevision)) {
      // Nobody could say whose it is, so nobody would ever remove it.
      if (stored?.uid === uid && stored.revisions[revision] !== undefined) downloading.push(revision);
      else await removeTree(disk, layout.download(uid, revision));
    }
    const target = await disk.readLink(layout.current(uid));
    const current = target !== undefined && held.has(target) ? target : undefined;
    if (target !== undefined && current === undefined) await dropLink(disk, layout.current(uid));
    await tidyRecords(disk, layout, uid, new Set([...held, ...downloading]));
    if (held.size === 0 && downloading.length === 0) continue;
    // Without a record the name is unknown; it is learnt again from the object, and the files are not lost.
    const record =
      stored?.uid === uid
        ? stored
        : { uid, namespace: '', name: '', onDelete: 'Retain' as const, activations: [], revisions: {} };
    found.set(uid, { record, held, current });
  }
  await recoverNames(disk, layout);
  return found;
}
