// Torrents, content and folders for the storage tests. Invariant: content is a function of its seed.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeBencode } from '../../../torrent/bencode.ts';
import { PieceHasher } from '../../../torrent/create.ts';
import { type Metainfo, parseInfo } from '../../../torrent/metainfo.ts';

/** Smallest piece length there is, so that tests stay small. */
export const PIECE = 16 * 1024;

/** Bytes that look random and are the same each time. */
function bytesOf(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed >>> 0 || 1;
  // jest runs modules where to look up a global takes about a microsecond.
  const { imul } = Math;
  for (let i = 0; i < length; i++) {
    state = (imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** A file of a torrent to make. */
export interface TestFile {
  path: string;
  length: number;
  executable?: boolean;
  padding?: boolean;
}

/** A torrent and its content; padding is zeros. */
export function makeTorrent(
  files: readonly TestFile[],
  options: { pieceLength?: number; seed?: number; isPrivate?: boolean } = {},
): { metainfo: Metainfo; content: Buffer; piece: (index: number) => Buffer } {
  const pieceLength = options.pieceLength ?? PIECE;
  const content = Buffer.concat(
    files.map(({ length, padding }, i) =>
      padding ? Buffer.alloc(length) : bytesOf(length, (options.seed ?? 1) * 100 + i),
    ),
  );
  const hasher = new PieceHasher(pieceLength);
  hasher.update(content);
  const info = encodeBencode({
    name: 'test',
    'piece length': pieceLength,
    pieces: hasher.finish(),
    private: options.isPrivate ? 1 : undefined,
    files: files.map(({ path, length, executable, padding }) => ({
      path: path.split('/'),
      length,
      attr: executable ? 'x' : padding ? 'p' : undefined,
    })),
  });
  const metainfo = parseInfo(info);
  // A copy: the storage may keep what it is given.
  const piece = (index: number) =>
    Buffer.from(content.subarray(index * pieceLength, index * pieceLength + metainfo.pieceLengthAt(index)));
  return { metainfo, content, piece };
}

/** A new folder, and how to remove it. */
export function makeFolder(): { folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'enxame-storage-'));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
