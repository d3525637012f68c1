import { expect, test } from '@jest/globals';
import { MemoryStorage } from '../../../torrent/storage/memory.ts';
import { rejectionOf } from '../failure.ts';
import { makeTorrent, PIECE } from './content.ts';

const { metainfo, content, piece } = makeTorrent([{ path: 'a', length: 40_000 }]);

test('memory holds what passes its hash, and nothing else', async () => {
  const storage = new MemoryStorage(metainfo);
  expect(await storage.writePiece(1, Buffer.alloc(PIECE))).toBe('corrupt');
  expect((await rejectionOf(storage.readBlock(1, 0, 5))).code).toBe('InvalidRequest');
  expect((await rejectionOf(storage.finalize())).code).toBe('InvalidRequest');
  for (const index of [1, 0, 2]) expect(await storage.writePiece(index, piece(index))).toBe('verified');
  expect(storage.content.equals(content)).toBe(true);
  expect((await storage.readBlock(2, 100, 50)).equals(piece(2).subarray(100, 150))).toBe(true);
  expect(storage.cachedBlock(2, 100, 50)?.equals(piece(2).subarray(100, 150))).toBe(true);
  expect((await rejectionOf(storage.readBlock(2, 8000, 50))).code).toBe('InvalidRequest');
  await storage.finalize();
  storage.content[0] = (storage.content[0] ?? 0) ^ 1;
  expect(await storage.verifyAll()).toBe(2);
  await storage.close();
  expect((await rejectionOf(storage.readBlock(1, 0, 5))).code).toBe('Closed');
});

test('memory begins with the whole content where it is given', async () => {
  const storage = new MemoryStorage(metainfo, content);
  expect(storage.have.isFull).toBe(true);
  expect(await storage.verifyAll()).toBe(metainfo.pieceCount);
  expect(() => new MemoryStorage(metainfo, content.subarray(1))).toThrow('bytes for a torrent of');
});
