// `enxame wait`, on a content root made by hand.
import { mkdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { activeRevision, waitForContent } from '../../agent/wait.ts';
import { FakeClock } from '../base/fake-clock.ts';
import { UID } from './fake-cluster.ts';
import { removeTemporaryFolders, TestLogger, temporaryFolder } from './harness.ts';

const REVISION = '000000000001';
const OTHER = '000000000002';
let root: string;
let clock: FakeClock;
let logger: TestLogger;
let stop: AbortController;

beforeEach(async () => {
  root = await temporaryFolder();
  clock = new FakeClock();
  logger = new TestLogger();
  stop = new AbortController();
});
afterEach(removeTemporaryFolders);

async function show(revision: string): Promise<void> {
  await mkdir(join(root, 'by-name', 'ml'), { recursive: true });
  await mkdir(join(root, 'content', UID, revision), { recursive: true });
  await rm(join(root, 'content', UID, 'current'), { force: true });
  await symlink(revision, join(root, 'content', UID, 'current'));
  await rm(join(root, 'by-name', 'ml', 'model'), { force: true, recursive: true });
  await symlink(`../../content/${UID}`, join(root, 'by-name', 'ml', 'model'));
}

/** Lets the clock run while it waits. */
async function wait(
  options: Partial<Parameters<typeof waitForContent>[1]> = {},
  at: { [second: number]: () => Promise<void> } = {},
): Promise<{ code: number; seconds: number }> {
  const begin = clock.now();
  let code: number | undefined;
  let failure: unknown;
  const waiting = waitForContent(
    { ENXAME_CONTENT_ROOT: root },
    { namespace: 'ml', name: 'model', signal: stop.signal, logger, clock, ...options },
  ).then(
    (result) => {
      code = result;
    },
    (error: unknown) => {
      code = -1;
      failure = error;
    },
  );
  for (let half = 0; code === undefined; half++) {
    await at[half / 2]?.();
    // Looking at the disk takes turns of the event loop; the clock must not run ahead of it.
    while (code === undefined && clock.nextIn === undefined)
      await new Promise((resolve) => setImmediate(resolve));
    if (code === undefined) await clock.advance(500);
  }
  await waiting;
  if (failure !== undefined) throw failure;
  return { code, seconds: (clock.now() - begin) / 1000 };
}

test('returns at once where the content is there', async () => {
  await show(REVISION);
  expect(await wait()).toEqual({ code: 0, seconds: 0 });
});

test('waits until it is there, also where a Pod made an empty folder in the way', async () => {
  await mkdir(join(root, 'by-name', 'ml', 'model', 'current'), { recursive: true });
  const { code, seconds } = await wait({}, { 3: () => show(REVISION) });
  expect(code).toBe(0);
  expect(seconds).toBeGreaterThanOrEqual(3);
});

test('waits for a certain revision', async () => {
  await show(REVISION);
  const { code, seconds } = await wait({ revision: OTHER }, { 5: () => show(OTHER) });
  expect(code).toBe(0);
  expect(seconds).toBeGreaterThanOrEqual(5);
});

test('ends with 1 when the time is over, and says where to look', async () => {
  const { code, seconds } = await wait({ timeoutSeconds: 4 });
  expect({ code, seconds }).toEqual({ code: 1, seconds: 4 });
  expect(logger.lines.at(-1)).toContain('kubectl get contentdistribution');
});

test('ends with 1 when it is told to', async () => {
  const { code } = await wait({}, { 2: async () => stop.abort() });
  expect(code).toBe(1);
});

describe('a name that leads nowhere', () => {
  test.each([
    ['a link out of the root', () => symlink('/etc', join(root, 'by-name', 'ml', 'model'))],
    ['a file', () => mkdir(join(root, 'by-name', 'ml', 'model'))],
  ])('%s', async (_, make) => {
    await mkdir(join(root, 'by-name', 'ml'), { recursive: true });
    await make();
    expect(await activeRevision(root, 'ml', 'model')).toBeUndefined();
  });

  test('a revision that is not there', async () => {
    await show(REVISION);
    await rm(join(root, 'content', UID, REVISION), { recursive: true });
    expect(await activeRevision(root, 'ml', 'model')).toBeUndefined();
  });
});

test.each([
  ['../etc', 'model'],
  ['ml', '../../x'],
  ['', ''],
])('refuses %p/%p', async (namespace, name) => {
  await expect(wait({ namespace, name })).rejects.toThrow(
    `${namespace}/${name} must be NAMESPACE/NAME of a ContentDistribution`,
  );
});
