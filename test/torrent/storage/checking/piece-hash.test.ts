import { createHash } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { hashPiece } from '../../../../torrent/storage/checking/piece-hash.ts';

const MIB = 1024 * 1024;

test.each([
  ['up to 1 MiB at once', MIB, true],
  ['beyond that by a thread', MIB + 1, false],
])('a piece is hashed %s', async (_, length, isAtOnce) => {
  const data = Buffer.alloc(length, 'x');
  const digest = hashPiece(data);
  expect(Buffer.isBuffer(digest)).toBe(isAtOnce);
  expect((await digest).equals(createHash('sha1').update(data).digest())).toBe(true);
});
