// A disk that becomes full, or fails, while a publisher streams.
import { promises as fs } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { ContentRoot } from '../../../agent/content-root/content-root.ts';
import { nodeRootDisk } from '../../../agent/content-root/disk.ts';
import type { FileOpener } from '../../../agent/ingest/folder.ts';
import { Ingest } from '../../../agent/ingest/ingest.ts';
import type { PlanFile } from '../../../api/index.ts';
import { FakeClock } from '../../base/fake-clock.ts';
import { until } from '../../base/until.ts';
import { reservationOf, SOURCE_STATE, UID } from '../fake-cluster.ts';
import { removeTemporaryFolders, TestLogger, temporaryFolder } from '../harness.ts';

let path: string;
let root: ContentRoot;
let logger: TestLogger;
let code: string | undefined;
/** The files' disk takes so many bytes more. */
let room: number;
let released: string[];

const failure = (what: string | undefined) => Object.assign(new Error(`${what}: no`), { code: what });

const opener: FileOpener = {
  async open(...values: Parameters<typeof fs.open>) {
    const handle = await fs.open(...values);
    const write = handle.write.bind(handle) as (...parts: unknown[]) => Promise<{ bytesWritten: number }>;
    const limited = async (buffer: Uint8Array, offset: number, length: number, position: number) => {
      if (code !== undefined && room <= 0) throw failure(code);
      const taken = code === undefined ? length : Math.min(length, room);
      room -= taken;
      return write(buffer, offset, taken, position);
    };
    return Object.assign(handle, { write: limited }) as unknown as fs.FileHandle;
  },
};

async function open(): Promise<Ingest> {
  const ingest = new Ingest({
    root,
    clock: new FakeClock(),
    logger,
    bootId: 'boot',
    opener,
    promiseRoom: async () => {},
    releaseRoom: (key) => released.push(key),
    availableBytes: async () => 4096,
    adopt: async () => {},
    changed: () => {},
  });
  expect(await ingest.setReservations([reservationOf()])).toBe(true);
  return ingest;
}

beforeEach(async () => {
  path = await temporaryFolder();
  logger = new TestLogger();
  root = await ContentRoot.open({ path, clock: new FakeClock(), logger });
  code = undefined;
  room = 0;
  released = [];
});
afterEach(async () => {
  await root.close();
  await removeTemporaryFolders();
});

const FILE: PlanFile = { path: 'file', executable: false, sizeBytes: 10_000, sha256: null, validator: 'v' };
const plan = { sourceState: SOURCE_STATE, files: [FILE] };

test('a full disk ends the publication with the numbers, and gives back what came', async () => {
  const ingest = await open();
  const publication = ingest.publication(UID);
  await publication.plan(plan);
  code = 'ENOSPC';
  room = 3000;
  const body = Readable.from([Buffer.alloc(2000), Buffer.alloc(2000)]);
  await expect(publication.receive(0, 0, body)).rejects.toMatchObject({
    code: 'InsufficientStorage',
    message: 'the disk became full: 2.0 KiB were received, needs 7.8 KiB more, 4.0 KiB free',
  });
  expect(ingest.status()).toEqual([
    expect.objectContaining({ phase: 'Failed', reason: 'InsufficientStorage' }),
  ]);
  expect(released).toEqual([`ingest/${UID}`]);
  expect(publication.writtenBytes).toBe(0);
  expect(await fs.readdir(join(path, 'staging', 'ingest'))).toEqual([]);

  // Another attempt here, when there is room, begins from the start.
  code = undefined;
  await ingest.setReservations([reservationOf({ attempt: 2 })]);
  expect((await publication.plan(plan)).files).toEqual([{ offset: 0, complete: false }]);
  expect(await publication.receive(0, 0, Readable.from([Buffer.alloc(10_000)]))).toEqual({ offset: 10_000 });
  await ingest.close();
});

test('a disk that fails otherwise keeps what is there, and the publisher may go on', async () => {
  const ingest = await open();
  const publication = ingest.publication(UID);
  await publication.plan(plan);
  code = 'EIO';
  room = 3000;
  const body = Readable.from([Buffer.alloc(2000, 1), Buffer.alloc(2000, 2)]);
  await expect(publication.receive(0, 0, body)).rejects.toMatchObject({ code: 'EIO' });
  expect(publication.phase).toBe('Receiving');
  code = undefined;
  await publication.receive(0, 2000, Readable.from([Buffer.alloc(8000, 2)]));
  const { sha256 } = await publication.finishFile(0, 10_000);
  const whole = Buffer.concat([Buffer.alloc(2000, 1), Buffer.alloc(8000, 2)]);
  const { createHash } = await import('node:crypto');
  expect(sha256).toBe(createHash('sha256').update(whole).digest('hex'));
  await ingest.close();
});

test('a failure that cannot be written down is told all the same', async () => {
  await root.close();
  let isFull = false;
  root = await ContentRoot.open({
    path,
    clock: new FakeClock(),
    logger,
    disk: {
      ...nodeRootDisk,
      writeFile: async (...values) => {
        if (isFull) throw failure('ENOSPC');
        return nodeRootDisk.writeFile(...values);
      },
    },
  });
  const ingest = await open();
  const publication = ingest.publication(UID);
  isFull = true;
  await expect(publication.plan(plan)).rejects.toMatchObject({ code: 'InsufficientStorage' });
  expect(publication.status()).toMatchObject({ phase: 'Failed', reason: 'InsufficientStorage' });
  await ingest.close();
});

test('what cannot be prepared is not forgotten', async () => {
  await fs.mkdir(join(path, 'state', 'ingest', `${UID}.json`));
  const ingest = new Ingest({
    root,
    clock: new FakeClock(),
    logger,
    bootId: 'boot',
    promiseRoom: async () => {},
    releaseRoom: () => {},
    availableBytes: async () => 0,
    adopt: async () => {},
    changed: () => {},
  });
  expect(await ingest.setReservations([reservationOf()])).toBe(false);
  expect(() => ingest.publication(UID)).toThrow('the reservation is being prepared; try again');
  expect(ingest.status()).toEqual([expect.objectContaining({ phase: 'Reserved' })]);
  await fs.rmdir(join(path, 'state', 'ingest', `${UID}.json`));
  expect(await ingest.setReservations([reservationOf()])).toBe(true);
  await ingest.close();
});

test('a file that was changed on the disk is not published as it was received', async () => {
  let ingest = await open();
  await ingest.publication(UID).plan(plan);
  await ingest.publication(UID).receive(0, 0, Readable.from([Buffer.alloc(10_000, 1)]));
  await ingest.publication(UID).finishFile(0, 10_000);
  await ingest.close();
  await fs.writeFile(join(path, 'staging', 'ingest', UID, 'file'), Buffer.alloc(10_000, 2));
  ingest = await open();
  await ingest.publication(UID).finish();
  await until('the publication failed', () => ingest.publication(UID).phase === 'Failed');
  expect(ingest.publication(UID).status()).toMatchObject({
    reason: 'DiskError',
    message: expect.stringContaining('file is not on the disk as it was received'),
  });
  await ingest.close();
});
