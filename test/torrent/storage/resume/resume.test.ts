import { createHash } from 'node:crypto';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeBencode, type Encodable, encodeBencode } from '../../../../torrent/bencode.ts';
import { Bitfield } from '../../../../torrent/bitfield.ts';
import {
  decodeResume,
  encodeResume,
  type ResumeData,
  readResume,
} from '../../../../torrent/storage/resume/resume.ts';
import { fuzzParameters, mutated } from '../../fuzz.ts';
import { makeFolder, makeTorrent } from '../content.ts';
import { FaultyDisk } from '../disk/faulty-disk.ts';

const { metainfo } = makeTorrent([
  { path: 'a', length: 100_000 },
  { path: 'b', length: 100_000 },
]);

function someData(): ResumeData {
  const have = new Bitfield(metainfo.pieceCount);
  have.set(3);
  return {
    have,
    stamps: [{ sizeBytes: 100_000, modifiedNanoseconds: 1_700_000_000_123_456_789n }, undefined],
  };
}

test('resume data is read as it was written, times to the nanosecond', () => {
  const read = decodeResume(metainfo, encodeResume(metainfo, someData()));
  expect(read?.stamps).toEqual(someData().stamps);
  expect(read?.have.toBytes()).toEqual(someData().have.toBytes());
});

test('resume data of another torrent is none', () => {
  const other = makeTorrent([{ path: 'a', length: 200_000 }]).metainfo;
  expect(decodeResume(other, encodeResume(metainfo, someData()))).toBeUndefined();
});

/** A body under a right checksum: what a later version, or a mischief, may have written. */
function sealed(body: Uint8Array): Buffer {
  return Buffer.concat([createHash('sha256').update(body).digest(), body]);
}

function bodyWith(changes: { [key: string]: Encodable }): Buffer {
  const body = decodeBencode(encodeResume(metainfo, someData()).subarray(32));
  return encodeBencode({ ...(body as { [key: string]: Encodable }), ...changes });
}

test.each<[string, { [key: string]: Encodable }]>([
  ['another format', { format: 'enxame-resume/2' }],
  ['another info hash', { 'info hash': Buffer.alloc(20) }],
  ['too short a bitfield', { have: Buffer.alloc(1) }],
  ['spare bits', { have: Buffer.from([0, 0xff]) }],
  ['too few files', { files: [[]] }],
  ['no list of files', { files: 'x' }],
  ['a bitfield that is a number', { have: 3 }],
])('resume data with %s is none', (_, changes) => {
  expect(decodeResume(metainfo, sealed(bodyWith({})))).toBeDefined();
  expect(decodeResume(metainfo, sealed(bodyWith(changes)))).toBeUndefined();
});

test('a file whose stamp makes no sense counts as unknown', () => {
  const read = decodeResume(metainfo, sealed(bodyWith({ files: ['x', [1, 'y', 3]] })));
  expect(read?.stamps).toEqual([undefined, undefined]);
});

test('any body under a right checksum is read or ignored, never an error', () => {
  const near = mutated(fc.constant(encodeResume(metainfo, someData()).subarray(32)));
  fc.assert(
    fc.property(fc.oneof(near, fc.uint8Array({ maxLength: 60 })), (body) => {
      const read = decodeResume(metainfo, sealed(body));
      if (read !== undefined) expect(read.have.length).toBe(metainfo.pieceCount);
    }),
    fuzzParameters(2000),
  );
});

test('any damage without a new checksum is ignored', () => {
  const whole = encodeResume(metainfo, someData());
  fc.assert(
    fc.property(mutated(fc.constant(whole)), (bytes) => {
      if (!bytes.equals(whole)) expect(decodeResume(metainfo, bytes)).toBeUndefined();
    }),
    fuzzParameters(1000),
  );
});

test('it is written as later versions will read it', () => {
  const body = encodeResume(metainfo, someData()).subarray(32);
  const have = someData().have.toBytes();
  const expected = encodeBencode({
    files: [[100_000, 1_700_000_000, 123_456_789], []],
    format: 'enxame-resume/1',
    have,
    'info hash': metainfo.infoHash,
  });
  expect(body.equals(expected)).toBe(true);
});

test.each([
  ['of a tebibyte', 2 ** 40],
  ['of a byte more than 64 MiB', 64 * 1024 * 1024 + 1],
])('a resume file %s is none, and is not read', async (_, bytes) => {
  const { folder, remove } = makeFolder();
  try {
    const path = join(folder, 'resume');
    writeFileSync(path, encodeResume(metainfo, someData()));
    const disk = new FaultyDisk();
    expect(await readResume(disk, path, metainfo)).toBeDefined();
    const reads = disk.count('read');
    truncateSync(path, bytes);
    expect(await readResume(disk, path, metainfo)).toBeUndefined();
    expect(disk.count('read')).toBe(reads);
  } finally {
    remove();
  }
});
