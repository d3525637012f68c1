import { beforeEach, expect, test } from '@jest/globals';
import { type MemoryAccount, MemoryShare } from '../../../../torrent/memory-ledger.ts';
import { PieceBuffers } from '../../../../torrent/session/pieces/piece-buffers.ts';

const MIB = 1024 * 1024;

let account: MemoryAccount;
let buffers: PieceBuffers;

beforeEach(() => {
  account = new MemoryShare(64 * MIB).open();
  buffers = new PieceBuffers(MIB, account, Buffer.alloc);
});

/** The buffer of a piece that begins now. */
function begun(piece: number, length = MIB): Buffer {
  expect(buffers.reserve(piece, length)).toBe(true);
  return buffers.of(piece, length);
}

test('a piece keeps its buffer until it is taken, and no other piece gets it before it is given back', () => {
  const first = begun(1);
  expect(buffers.of(1, MIB)).toBe(first);
  expect(begun(2)).not.toBe(first);
  expect(buffers.take(1)).toBe(first);
  expect([buffers.has(1), buffers.take(1)]).toEqual([false, undefined]);
  expect(begun(1)).not.toBe(first);
  buffers.giveBack(first);
  expect(begun(3)).toBe(first);
  buffers.drop(3, MIB);
  expect(begun(4)).toBe(first);
});

test('the last piece, which is shorter, has a buffer of its own length', () => {
  buffers.giveBack(begun(0));
  const last = begun(9, 100);
  expect(last).toHaveLength(100);
  buffers.drop(9, 100);
  expect(begun(8)).toHaveLength(MIB);
});

test('spare buffers are bounded, and forgotten in the end', () => {
  const all = Array.from({ length: 40 }, (_, piece) => begun(piece));
  for (let piece = 0; piece < 40; piece++) buffers.drop(piece, MIB);
  expect([buffers.spareBytes, account.usedBytes]).toEqual([16 * MIB, 16 * MIB]);
  const again = Array.from({ length: 40 }, (_, piece) => begun(piece));
  expect(again.filter((buffer) => all.includes(buffer))).toHaveLength(16);
  for (let piece = 0; piece < 40; piece++) buffers.drop(piece, MIB);
  buffers.clearSpare();
  expect(again).not.toContain(begun(1));
});

test('memory is kept from the start of a piece, before it has a buffer, and no more than there is', () => {
  for (let piece = 0; piece < 64; piece++) expect(buffers.reserve(piece, MIB)).toBe(true);
  expect([buffers.hasRoomFor(MIB), buffers.reserve(64, MIB)]).toEqual([false, false]);
  buffers.drop(5, MIB);
  buffers.drop(5, MIB);
  expect(account.usedBytes).toBe(63 * MIB);
  expect(buffers.reserve(64, MIB)).toBe(true);
  buffers.giveBack(buffers.take(7) ?? buffers.of(7, MIB));
  buffers.clear();
  expect(account.usedBytes).toBe(0);
});

test('a spare buffer is room for a piece, though it is charged', () => {
  for (let piece = 0; piece < 64; piece++) begun(piece);
  buffers.drop(3, MIB);
  expect([account.hasRoomFor(MIB), buffers.hasRoomFor(MIB)]).toEqual([false, true]);
  expect(buffers.reserve(64, MIB)).toBe(true);
});
