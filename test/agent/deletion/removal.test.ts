// What is removed, and on whose word. A real content root, and an API server of one answer.
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ContentRoot } from '../../../agent/content-root/content-root.ts';
import { type Confirmation, Removal } from '../../../agent/deletion/removal.ts';
import type { SeenRevisions } from '../../../agent/revisions/objects.ts';
import type { ContentRevision } from '../../../api/index.ts';
import { FakeClock } from '../../base/fake-clock.ts';
import { OTHER_UID, revisionOf, UID } from '../fake-cluster.ts';
import { removeTemporaryFolders, TestLogger, temporaryFolder } from '../harness.ts';

const OLD = '000000000001';
const NEW = '000000000002';
const HOUR = 3_600_000;

let path: string;
let root: ContentRoot;
let clock: FakeClock;
let removal: Removal;
let objects: ContentRevision[];
let answer: Confirmation;
let asked: (string | undefined)[][];
let pins: string[];
let reserved: string[];
let podsKnown: boolean;
let annotation: string | undefined;

function newRemoval(): Removal {
  return new Removal({
    root,
    clock,
    logger: new TestLogger(),
    leave: async () => {},
    confirmGone: async (...question) => {
      asked.push(question);
      return answer;
    },
    pinnedBy: (_, revision) => (pins.includes(revision) ? ['ml/reader'] : []),
    podsKnown: () => podsKnown,
    isReserved: (_, revision) => reserved.includes(revision),
    annotation: () => annotation,
  });
}

beforeEach(async () => {
  path = await temporaryFolder();
  clock = new FakeClock();
  root = await ContentRoot.open({ path, clock, logger: new TestLogger() });
  objects = [];
  answer = 'gone';
  asked = [];
  pins = [];
  reserved = [];
  podsKnown = true;
  annotation = undefined;
  removal = newRemoval();
});
afterEach(async () => {
  await root.close();
  await removeTemporaryFolders();
});

/** Holds a revision and sees its object. */
async function add(revision: string, epoch: number, uid = UID, name = 'model'): Promise<ContentRevision> {
  const digest = `sha256:${revision.padEnd(64, '0')}`;
  const infoHash = 'a'.repeat(40);
  await root.know({ uid, namespace: 'ml', name, onDelete: 'Delete' });
  await root.expect(uid, revision, { infoHash, digest, sizeBytes: 1 }, Buffer.from('m'));
  const folder = await root.prepareDownload(uid, revision);
  await writeFile(join(folder, 'file'), revision);
  await root.hold(uid, revision, folder);
  await root.activate(uid, revision, epoch);
  const object = revisionOf({ uid, digest, infoHash }, { activation: { epoch }, distribution: name });
  objects.push(object);
  return object;
}

const look = (): Promise<number> => removal.look({ valid: objects, invalid: [] } satisfies SeenRevisions);

function deleted(object: ContentRevision): void {
  objects = objects.filter((other) => other !== object);
  removal.gone(object, false);
}

const files = () => readdir(join(path, 'content', UID)).catch((): string[] => []);
const namesOf = () => readdir(join(path, 'by-name', 'ml')).catch((): string[] => []);

describe('a distribution that was seen to be deleted', () => {
  test('loses its name as soon as the API server confirms it, and its files after 10 s', async () => {
    deleted(await add(NEW, 1));
    expect(await look()).toBe(clock.now() + 10_000);
    expect(await namesOf()).toEqual([]);
    expect(await files()).toEqual([NEW, 'current'].sort());
    await clock.advance(10_000);
    await look();
    expect(await files()).toEqual([]);
    expect(asked).toEqual([
      ['ml', UID, undefined],
      ['ml', UID, undefined],
    ]);
    expect(root.uids()).toEqual([]);
  });

  test('while the reservation that it was published by is still there goes 10 s after the event all the same', async () => {
    reserved = [NEW];
    deleted(await add(NEW, 1));
    await look();
    expect(await files()).toEqual([NEW, 'current'].sort());
    reserved = [];
    expect(await look()).toBe(clock.now() + 10_000);
    await clock.advance(10_000);
    await look();
    expect(await files()).toEqual([]);
  });

  test.each(['there', 'kindGone', 'unavailable'] as const)(
    'keeps its name and files while the API server says %s',
    async (doubt) => {
      answer = doubt;
      deleted(await add(NEW, 1));
      for (const wait of [0, 10_000, 30_000]) {
        await clock.advance(wait);
        await look();
      }
      expect(await namesOf()).toEqual(['model']);
      expect(await files()).toEqual([NEW, 'current'].sort());
      if (doubt === 'unavailable') {
        answer = 'gone';
        await look();
        expect(await files()).toEqual([]);
      } else {
        // It counts as an absence found by a list, from the moment of the doubt on.
        answer = 'gone';
        await clock.advance(HOUR - 60_000);
        await look();
        expect(await files()).not.toEqual([]);
        annotation = 'yes';
        await clock.advance(24 * HOUR);
        await look();
        expect(await files()).toEqual([]);
      }
    },
  );

  test('keeps its files while a Pod may see them, but for an hour at most', async () => {
    deleted(await add(NEW, 1));
    pins = [NEW];
    await clock.advance(10_000);
    await look();
    expect(await files()).toEqual([NEW]);
    await clock.advance(HOUR - 1);
    await look();
    expect(await files()).toEqual([NEW]);
    await clock.advance(1);
    await look();
    expect(await files()).toEqual([]);
  });

  test('keeps its files while it is not known which Pods there are', async () => {
    deleted(await add(NEW, 1));
    podsKnown = false;
    await clock.advance(10_000);
    await look();
    expect(await files()).toEqual([NEW]);
    podsKnown = true;
    await look();
    expect(await files()).toEqual([]);
  });

  test('is removed by the next run, where this one ends in between', async () => {
    deleted(await add(NEW, 1));
    pins = [NEW];
    await clock.advance(10_000);
    await look();
    pins = [];
    removal = newRemoval();
    await removal.restore();
    await look();
    expect(await files()).toEqual([]);
  });

  test('that is to be retained stays', async () => {
    const object = await add(NEW, 1);
    await root.know({ uid: UID, namespace: 'ml', name: 'model', onDelete: 'Retain' });
    deleted(object);
    await clock.advance(48 * HOUR);
    await look();
    expect(await files()).toEqual([NEW, 'current'].sort());
    expect(await namesOf()).toEqual(['model']);
    expect(asked).toEqual([]);
  });
});

test('an event that comes while a look is under way is not undone by what that look saw', async () => {
  const object = await add(NEW, 1);
  const seen = { valid: [...objects], invalid: [] };
  const { newsCount } = removal;
  deleted(object);
  await removal.look(seen, newsCount);
  expect(await look()).toBe(clock.now() + 10_000);
  await clock.advance(10_000);
  await look();
  expect(await files()).toEqual([]);
});

describe('content that a list lacks', () => {
  test('stays for an hour, and is asked about before it goes', async () => {
    await add(NEW, 1, OTHER_UID, 'other');
    await add(NEW, 1, '0b1c5a52-6f4e-4f0c-9a53-0f2f8f4d9c33', 'third');
    const object = await add(NEW, 1);
    objects = objects.filter((other) => other !== object);
    answer = 'there';
    await look();
    await clock.advance(HOUR);
    await look();
    expect(await files()).toEqual([NEW, 'current'].sort());
    answer = 'gone';
    await clock.advance(HOUR - 1);
    await look();
    expect(await files()).toEqual([NEW, 'current'].sort());
    await clock.advance(1);
    await look();
    expect(await files()).toEqual([]);
    expect(root.held().map(({ uid }) => uid)).not.toContain(UID);
    expect(root.held()).toHaveLength(2);
  });

  test('stays whole, name and all, where the list is empty, until a person confirms it', async () => {
    await add(NEW, 1);
    await add(NEW, 1, OTHER_UID, 'other');
    objects = [];
    await look();
    await clock.advance(2 * HOUR);
    await look();
    expect(removal.hold?.message).toBe('2 of 2 contents of this node are missing from the API');
    expect(root.held()).toHaveLength(2);
    expect(await namesOf()).toEqual(['model', 'other']);
    annotation = '2026-01-01';
    await look();
    expect(root.held()).toEqual([]);
    expect(removal.hold).toBeUndefined();
  });
});

describe('an old revision whose object was deleted', () => {
  test('goes, and the active one stays', async () => {
    const old = await add(OLD, 1);
    await add(NEW, 2);
    deleted(old);
    await look();
    expect(await files()).toEqual([OLD, NEW, 'current'].sort());
    await clock.advance(10_000);
    await look();
    expect(await files()).toEqual([NEW, 'current'].sort());
    expect(asked).toEqual([['ml', UID, OLD]]);
    expect(await namesOf()).toEqual(['model']);
  });

  test('stays for as long as a Pod sees it', async () => {
    const old = await add(OLD, 1);
    await add(NEW, 2);
    deleted(old);
    pins = [OLD];
    await clock.advance(5 * HOUR);
    await look();
    expect(await files()).toContain(OLD);
    pins = [];
    await look();
    expect(await files()).not.toContain(OLD);
  });

  test('that is the active one is never taken from Pods while nothing has taken its place', async () => {
    await add(OLD, 1);
    const active = await add(NEW, 2);
    deleted(active);
    expect(removal.isConfirmed(UID, NEW)).toBe(false);
    await clock.advance(10_000);
    await look();
    expect(await files()).toEqual([OLD, NEW, 'current'].sort());
    expect(removal.isConfirmed(UID, NEW)).toBe(true);
    await root.activate(UID, OLD, 1);
    await look();
    expect(await files()).toEqual([OLD, 'current'].sort());
  });
});
