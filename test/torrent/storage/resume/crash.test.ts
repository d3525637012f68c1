// Random histories of writes, saves, crashes and damage, against what really lies on disk.
import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { openStorage } from '../../../../torrent/storage/open-storage.ts';
import type { PieceStorage } from '../../../../torrent/storage/piece-storage.ts';
import { ReadCache } from '../../../../torrent/storage/reading/read-cache.ts';
import { fuzzParameters } from '../../fuzz.ts';
import { makeFolder, makeTorrent, PIECE } from '../content.ts';

const { metainfo, content, piece } = makeTorrent([
  { path: 'a', length: 10_000 },
  { path: 'b/c', length: 50_000 },
  { path: 'b/empty', length: 0 },
  { path: 'b/pad', length: 3_000, padding: true },
  { path: 'd', length: 40_000 },
]);

/** The pieces whose bytes lie on disk now. */
function piecesOnDisk(root: string): number[] {
  const disk = Buffer.alloc(content.length, 1);
  const isThere = new Uint8Array(content.length);
  for (const { path, offsetBytes, lengthBytes, padding } of metainfo.files) {
    const full = join(root, ...path);
    const bytes = padding
      ? Buffer.alloc(lengthBytes)
      : existsSync(full)
        ? readFileSync(full)
        : Buffer.alloc(0);
    bytes.copy(disk, offsetBytes, 0, lengthBytes);
    isThere.fill(1, offsetBytes, offsetBytes + Math.min(bytes.length, lengthBytes));
  }
  return [...Array(metainfo.pieceCount).keys()].filter((index) => {
    const start = index * PIECE;
    const end = start + metainfo.pieceLengthAt(index);
    return (
      !isThere.subarray(start, end).includes(0) &&
      disk.subarray(start, end).equals(content.subarray(start, end))
    );
  });
}

const held = (storage: PieceStorage) =>
  [...Array(metainfo.pieceCount).keys()].filter((i) => storage.have.get(i));

const index = fc.nat(metainfo.pieceCount - 1);
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('write' as const), index }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('corrupt' as const), index }) },
  { weight: 4, arbitrary: fc.constant({ kind: 'save' as const, index: 0 }) },
  { weight: 3, arbitrary: fc.constant({ kind: 'crash' as const, index: 0 }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('crash in mid-save' as const), index: fc.nat(200) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('flip a bit' as const), index: fc.nat(content.length - 1) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('truncate' as const), index: fc.nat(content.length - 1) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('remove' as const), index: fc.nat(content.length - 1) }),
  },
);

/** The file in which a byte of the torrent lies, and where. */
function locate(root: string, offset: number): { path: string; at: number } | undefined {
  const file = metainfo.files.find((entry) => offset < entry.offsetBytes + entry.lengthBytes);
  if (file === undefined || file.padding) return undefined;
  const path = join(root, ...file.path);
  return existsSync(path) ? { path, at: offset - file.offsetBytes } : undefined;
}

test('after any history, a restart holds exactly the pieces that lie on disk', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const { folder, remove } = makeFolder();
      const root = join(folder, 'root');
      const resumeFile = join(folder, 'resume');
      const open = () => openStorage({ metainfo, root, resumeFile, readCache: new ReadCache() });
      let storage = await open();
      try {
        for (const { kind, index } of steps) {
          if (kind === 'write') {
            const wasHeld = storage.have.get(index);
            expect(await storage.writePiece(index, piece(index))).toBe('verified');
            if (!wasHeld) expect(piecesOnDisk(root)).toContain(index);
          } else if (kind === 'corrupt') {
            const bytes = piece(index);
            bytes[7] = (bytes[7] ?? 0) ^ 1;
            const wasHeld = storage.have.get(index);
            expect(await storage.writePiece(index, bytes)).toBe(wasHeld ? 'verified' : 'corrupt');
          } else if (kind === 'save') {
            await storage.saveResume();
          } else if (kind === 'crash' || kind === 'crash in mid-save') {
            // close() saves nothing: for the disk it is a crash.
            await storage.close();
            if (kind === 'crash in mid-save') {
              writeFileSync(`${resumeFile}.new`, 'half of the da');
              if (existsSync(resumeFile)) truncateSync(resumeFile, index);
            }
            storage = await open();
            expect(held(storage)).toEqual(piecesOnDisk(root));
          } else {
            // Damage is done while nobody looks: a running storage learns of it when it reads.
            await storage.close();
            const place = locate(root, index);
            if (place !== undefined && kind === 'remove') rmSync(place.path);
            else if (place !== undefined && kind === 'truncate') truncateSync(place.path, place.at);
            else if (place !== undefined) {
              const bytes = readFileSync(place.path);
              if (place.at < bytes.length) {
                bytes[place.at] = (bytes[place.at] ?? 0) ^ 1;
                writeFileSync(place.path, bytes);
              }
            }
            storage = await open();
            expect(held(storage)).toEqual(piecesOnDisk(root));
          }
          for (const have of held(storage)) {
            const block = await storage.readBlock(have, 0, metainfo.pieceLengthAt(have));
            expect(block.equals(piece(have))).toBe(true);
          }
        }
      } finally {
        await storage.close();
        remove();
      }
    }),
    fuzzParameters(60),
  );
});
