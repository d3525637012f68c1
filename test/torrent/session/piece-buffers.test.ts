import { expect, test } from '@jest/globals';
import { PieceBuffers } from '../../../torrent/session/piece-buffers.ts';

const MIB = 1024 * 1024;

test('a piece keeps its buffer until it is taken, and no other piece gets it before it is given back', () => {
  const buffers = new PieceBuffers(MIB, Buffer.alloc);
  const first = buffers.of(1, MIB);
  expect(buffers.of(1, MIB)).toBe(first);
  expect(buffers.of(2, MIB)).not.toBe(first);
  expect(buffers.take(1)).toBe(first);
  expect(buffers.take(1)).toBeUndefined();
  expect(buffers.of(1, MIB)).not.toBe(first);
  buffers.giveBack(first);
  expect(buffers.of(3, MIB)).toBe(first);
  buffers.drop(3);
  expect(buffers.of(4, MIB)).toBe(first);
});

test('the last piece, which is shorter, has a buffer of its own length', () => {
  const buffers = new PieceBuffers(MIB, Buffer.alloc);
  buffers.giveBack(buffers.of(0, MIB));
  const last = buffers.of(9, 100);
  expect(last).toHaveLength(100);
  buffers.drop(9);
  expect(buffers.of(8, MIB)).toHaveLength(MIB);
});

test('spare buffers are bounded, and forgotten in the end', () => {
  const buffers = new PieceBuffers(MIB, Buffer.alloc);
  const all = Array.from({ length: 40 }, (_, piece) => buffers.of(piece, MIB));
  for (let piece = 0; piece < 40; piece++) buffers.drop(piece);
  const again = Array.from({ length: 40 }, (_, piece) => buffers.of(piece, MIB));
  expect(again.filter((buffer) => all.includes(buffer))).toHaveLength(16);
  for (let piece = 0; piece < 40; piece++) buffers.drop(piece);
  buffers.clear();
  expect(again).not.toContain(buffers.of(1, MIB));
});
