// The content root on a real disk: layout, modes, symlinks, and what is left by a crash at every single step.
import { chmod, lstat, mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { ContentRoot } from '../../../agent/content-root/content-root.ts';
import { nodeRootDisk, type RootDisk } from '../../../agent/content-root/disk.ts';
import { systemClock } from '../../../base/index.ts';
import { OTHER_UID, UID } from '../fake-cluster.ts';
import { removeTemporaryFolders, TestLogger, temporaryFolder } from '../harness.ts';

const OLD = '000000000001';
const NEW = '000000000002';
const CONTENT = { uid: UID, namespace: 'ml', name: 'model', onDelete: 'Delete' } as const;
const FACTS = { infoHash: 'a'.repeat(40), digest: `sha256:${'b'.repeat(64)}`, sizeBytes: 3 };

afterEach(removeTemporaryFolders);

const open = (path: string, disk?: RootDisk) =>
  ContentRoot.open({
    path,
    clock: systemClock,
    logger: new TestLogger(),
    lockPatienceMilliseconds: 0,
    ...(disk === undefined ? {} : { disk }),
  });

async function fill(folder: string, text: string): Promise<void> {
  await mkdir(join(folder, 'sub'), { recursive: true });
  await writeFile(join(folder, 'sub', 'file'), text);
  await writeFile(join(folder, 'run'), text);
  await chmod(join(folder, 'run'), 0o755);
}

/** From nothing to held. */
async function hold(root: ContentRoot, revision: string): Promise<void> {
  await root.know(CONTENT);
  await root.expect(UID, revision, FACTS, Buffer.from('metainfo'));
  const folder = await root.prepareDownload(UID, revision);
  await fill(folder, revision);
  await root.hold(UID, revision, folder);
}

const mode = async (path: string) => ((await lstat(path)).mode & 0o7777).toString(8);

/** What Pods may see is whole, read-only and of one revision, whatever happened. */
async function expectSound(path: string): Promise<void> {
  const content = join(path, 'content', UID);
  const entries = await readdir(content).catch((): string[] => []);
  const revisions = entries.filter((name) => /^[0-9a-f]{12}$/.test(name));
  for (const revision of revisions) {
    const folder = join(content, revision);
    expect(await readFile(join(folder, 'sub', 'file'), 'utf8')).toBe(revision);
    expect(await readFile(join(folder, 'run'), 'utf8')).toBe(revision);
    expect(await mode(join(folder, 'sub', 'file'))).toBe('444');
    expect(await mode(join(folder, 'run'))).toBe('555');
    expect(await mode(join(folder, 'sub'))).toBe('555');
    expect(await mode(folder)).toBe('555');
  }
  if (entries.includes('current')) expect(revisions).toContain(await readlink(join(content, 'current')));
  expect(entries.filter((name) => name !== 'current' && !revisions.includes(name))).toEqual([]);
  expect(await readdir(join(path, 'staging', 'trash'))).toEqual([]);
}

test('a held revision is read-only, named by UID, and shown by two symlinks', async () => {
  const path = await temporaryFolder();
  const root = await open(path);
  await hold(root, NEW);
  await expectSound(path);
  expect(await readdir(join(path, 'by-name'))).toEqual([]);
  await root.activate(UID, NEW, 1);
  expect(await readlink(join(path, 'content', UID, 'current'))).toBe(NEW);
  expect(await readlink(join(path, 'by-name', 'ml', 'model'))).toBe(`../../content/${UID}`);
  expect(await readFile(join(path, 'by-name/ml/model/current/sub/file'), 'utf8')).toBe(NEW);
  await root.close();
});

test('what is held, active and known is the same after a restart', async () => {
  const path = await temporaryFolder();
  const first = await open(path);
  await hold(first, OLD);
  await hold(first, NEW);
  await first.activate(UID, OLD, 1);
  await first.activate(UID, NEW, 2);
  const record = first.record(UID);
  await first.close();
  const second = await open(path);
  expect(second.held()).toEqual(first.held());
  expect(second.current(UID)).toBe(NEW);
  expect(second.activeEpoch(UID)).toBe(2);
  expect(second.record(UID)).toEqual(record);
  expect(second.record(UID)?.activations.map(({ revision }) => revision)).toEqual([OLD, NEW]);
  expect((await second.metainfo(UID, NEW))?.toString()).toBe('metainfo');
  await second.close();
});

test('whoever looks at `current` while it is flipped sees one revision or the other, never none', async () => {
  const path = await temporaryFolder();
  const root = await open(path);
  await hold(root, OLD);
  await hold(root, NEW);
  await root.activate(UID, OLD, 1);
  const seen = new Set<string>();
  let isOver = false;
  const look = async () => {
    while (!isOver) {
      const file = await readFile(join(path, 'by-name/ml/model/current/sub/file'), 'utf8');
      expect([OLD, NEW]).toContain(file);
      seen.add(file);
    }
  };
  const flip = async () => {
    for (let epoch = 2; epoch < 400 && (seen.size < 2 || epoch < 100); epoch++)
      await root.activate(UID, epoch % 2 === 0 ? NEW : OLD, epoch);
    isOver = true;
  };
  await Promise.all([look(), flip()]);
  expect(seen).toEqual(new Set([OLD, NEW]));
  await root.close();
});

describe('a crash at any step', () => {
  class Crash extends Error {}

  const unflushed = (): RootDisk => ({
    ...nodeRootDisk,
    syncFolder: async () => {},
    writeFile: (path, data) => writeFile(path, data),
  });

  /** Fails for good from one of the operations on that change something. Nothing is flushed: no power is lost here. */
  function failingDisk(at: number): { disk: RootDisk; steps: () => number } {
    let step = 0;
    const changing = [
      'makeFolder',
      'setFolderMode',
      'setFileMode',
      'rename',
      'makeLink',
      'removeFile',
      'removeFolder',
      'writeFile',
      'syncFolder',
    ] as const;
    const disk = unflushed();
    for (const name of changing) {
      const real = disk[name] as (...values: unknown[]) => Promise<void>;
      disk[name] = async (...values: unknown[]) => {
        if (step++ >= at) throw new Crash(name);
        await real(...values);
      };
    }
    return { disk, steps: () => step };
  }

  async function story(root: ContentRoot): Promise<void> {
    await hold(root, OLD);
    await root.activate(UID, OLD, 1);
    await hold(root, NEW);
    await root.activate(UID, NEW, 2);
    await root.remove(UID, OLD);
    await root.reopen(UID, NEW);
    await root.hold(UID, NEW, root.layout.download(UID, NEW));
    await root.activate(UID, NEW, 3);
    await root.markDeleted(UID);
    await root.deactivate(UID);
    await root.remove(UID, NEW);
  }

  test('leaves the old state or the new one', async () => {
    const path = await temporaryFolder();
    let crashes = 0;
    for (let isComplete = false; !isComplete; ) {
      const root = join(path, String(crashes));
      await mkdir(root);
      const { disk, steps } = failingDisk(crashes);
      try {
        const opened = await open(root, disk);
        try {
          await story(opened);
        } finally {
          await opened.close();
        }
      } catch (error) {
        if (!(error instanceof Crash)) throw error;
      }
      isComplete = steps() <= crashes;
      if (!isComplete) crashes += 1;
      const again = await open(root, unflushed());
      await expectSound(root);
      await again.close();
    }
    // As many as there are steps: if the story became shorter than this, it is not told any more.
    expect(crashes).toBeGreaterThan(80);
  });

  test('removal goes on after it', async () => {
    const path = await temporaryFolder();
    const first = await open(path);
    await hold(first, NEW);
    await first.activate(UID, NEW, 1);
    await first.markDeleted(UID);
    await first.close();
    const second = await open(path);
    expect(second.record(UID)?.deletedAt).toBeGreaterThan(0);
    await second.deactivate(UID);
    await second.remove(UID, NEW);
    expect(await readdir(join(path, 'content'))).toEqual([]);
    expect(await readdir(join(path, 'by-name', 'ml'))).toEqual([]);
    expect(await readdir(join(path, 'state', 'content'))).toEqual([]);
    await second.close();
  });
});

test('a start removes what nobody could ever name', async () => {
  const path = await temporaryFolder();
  const first = await open(path);
  await hold(first, NEW);
  await first.close();
  await fill(join(path, 'staging', 'download', OTHER_UID, OLD), 'stray');
  await fill(join(path, 'staging', 'trash', 'gone-0'), 'trash');
  await symlink('../../content/nothing', join(path, 'by-name', 'stray'));
  await mkdir(join(path, 'by-name', 'ml'));
  await symlink(`../../content/${OTHER_UID}`, join(path, 'by-name', 'ml', 'stray'));
  await symlink(OLD, join(path, 'content', UID, 'current'));
  const second = await open(path);
  await expectSound(path);
  expect(second.held()).toEqual([{ uid: UID, revision: NEW }]);
  expect(await readdir(join(path, 'staging', 'download', OTHER_UID)).catch(() => [])).toEqual([]);
  expect(await readdir(join(path, 'by-name', 'ml'))).toEqual([]);
  expect(second.current(UID)).toBeUndefined();
  await second.close();
});

test('held files whose record was lost are kept, and kept from deletion, until their object says whose they are', async () => {
  const path = await temporaryFolder();
  const first = await open(path);
  await hold(first, NEW);
  await first.close();
  await writeFile(join(path, 'state', 'content', UID, 'content.json'), '{"torn');
  const second = await open(path);
  expect(second.isHeld(UID, NEW)).toBe(true);
  expect(second.record(UID)).toMatchObject({ namespace: '', name: '', onDelete: 'Retain' });
  await second.know(CONTENT);
  expect(second.record(UID)).toMatchObject({ namespace: 'ml', name: 'model', onDelete: 'Delete' });
  await second.close();
});

test('a symlink in the place of a file or folder is neither followed nor kept', async () => {
  const path = await temporaryFolder();
  const outside = await temporaryFolder();
  await writeFile(join(outside, 'precious'), 'precious');
  const root = await open(path);
  await root.know(CONTENT);
  await root.expect(UID, NEW, FACTS, Buffer.from('metainfo'));
  const folder = await root.prepareDownload(UID, NEW);
  await symlink(outside, join(folder, 'folder'));
  await symlink(join(outside, 'precious'), join(folder, 'file'));
  await root.hold(UID, NEW, folder);
  expect(await mode(join(outside, 'precious'))).toBe('644');
  await root.remove(UID, NEW);
  expect(await readFile(join(outside, 'precious'), 'utf8')).toBe('precious');
  await root.close();
});

test('an empty folder that a Pod made in the way is replaced, one with content is told of', async () => {
  const path = await temporaryFolder();
  const root = await open(path);
  await hold(root, NEW);
  await mkdir(join(path, 'by-name', 'ml', 'model', 'current'), { recursive: true });
  await root.activate(UID, NEW, 1);
  expect(await readlink(join(path, 'by-name', 'ml', 'model'))).toBe(`../../content/${UID}`);
  await root.deactivate(UID);
  await mkdir(join(path, 'by-name', 'ml', 'model'));
  await writeFile(join(path, 'by-name', 'ml', 'model', 'precious'), 'precious');
  await expect(root.activate(UID, NEW, 2)).rejects.toMatchObject({
    code: 'RootDamaged',
    message: `${path}/by-name/ml/model is a folder with something in it; move it away`,
  });
  expect(await readFile(join(path, 'by-name', 'ml', 'model', 'precious'), 'utf8')).toBe('precious');
  // Those who come by a claim get it all the same.
  expect(await readlink(join(path, 'content', UID, 'current'))).toBe(NEW);
  await root.close();
});

describe('opening', () => {
  test('is for one agent at a time, and the socket of one that is gone is no lock', async () => {
    const path = await temporaryFolder();
    const first = await open(path);
    await expect(open(path)).rejects.toMatchObject({
      code: 'RootInUse',
      message: expect.stringMatching(/another agent uses this content root .*lock\.sock/),
    });
    await first.close();
    await (await open(path)).close();
  });

  test('refuses a format of another version, and says which', async () => {
    const path = await temporaryFolder();
    await (await open(path)).close();
    await writeFile(join(path, 'state', 'format'), 'enxame-content-root/9\n');
    await expect(open(path)).rejects.toMatchObject({
      code: 'UnknownFormat',
      message: expect.stringContaining('"enxame-content-root/9"'),
    });
  });

  test('says what to do where no content root can be', async () => {
    const path = await temporaryFolder();
    await writeFile(join(path, 'file'), '');
    const refusal = (code: string): RootDisk => ({
      ...nodeRootDisk,
      makeFolder: () => Promise.reject(Object.assign(new Error(code), { code })),
    });
    for (const [place, disk, message] of [
      [join(path, 'nowhere'), undefined, 'it is not there: mount a folder of the node at it'],
      [join(path, 'file'), undefined, 'it is not a folder'],
      [path, refusal('EROFS'), 'it is mounted read-only'],
      [path, refusal('EACCES'), 'this user may not write to it'],
      [path, refusal('ENOSPC'), 'the disk is full'],
    ] as const) {
      await expect(open(place, disk)).rejects.toMatchObject({
        code: 'InvalidSetting',
        message: expect.stringContaining(`the content root ${place} cannot be used: ${message}`),
      });
    }
  });

  test('refuses a root in which something else lies', async () => {
    const path = await temporaryFolder();
    await writeFile(join(path, 'content'), 'a file');
    await expect(open(path)).rejects.toMatchObject({
      code: 'RootDamaged',
      message: `${path}/content must be a folder; move away what is there`,
    });
  });
});
