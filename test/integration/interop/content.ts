// Content that clients exchange: every shape that has broken one of them, the same bytes each time. Invariant: what
// was made and what arrived are compared by hash, file by file, names included.
import { createHash } from 'node:crypto';
import { closeSync, createReadStream, mkdirSync, openSync, writeSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Content of one torrent. */
export interface Shape {
  readonly what: string;
  /** The file's or folder's name. */
  readonly name: string;
  readonly pieceLength: number;
  /** Lengths in bytes by path below the folder; a file of the name itself where the path is empty. */
  readonly files: ReadonlyMap<string, number>;
}

/** Parts of names that are legal everywhere and seldom expected. */
const ODD_NAMES = [
  'with spaces in it',
  'ünïcödé',
  '日本語 ファイル',
  'emoji 🐝',
  "quote's",
  '100% #1 & more',
  '-dash',
  '.hidden',
  'brackets [x] (y) {z}',
  'a'.repeat(180),
];

/** 300 files in nested folders: empty ones, single bytes, ends inside pieces, and pieces with many files in them. */
function manyFiles(): Map<string, number> {
  const files = new Map<string, number>();
  for (let index = 0; index < 300; index++) {
    const name = `${ODD_NAMES[index % ODD_NAMES.length]} ${index}`;
    const folders = ['', 'über/', 'über/deep er/', 'x/y/z/ü/'][index % 4];
    const lengthBytes = index % 15 === 0 ? 0 : index % 15 === 1 ? 1 : (index * 7919) % (100 * KIB);
    files.set(`${folders}${name}`, lengthBytes);
  }
  return files;
}

export const ONE_BYTE: Shape = {
  what: 'a file of 1 byte',
  name: 'one byte',
  pieceLength: 16 * KIB,
  files: new Map([['', 1]]),
};

export const MANY_FILES: Shape = {
  what: '300 files',
  name: 'viele Dateien – ñ',
  pieceLength: 32 * KIB,
  files: manyFiles(),
};

export const SMALL_PIECES: Shape = {
  what: 'a file of 20 MiB and a bit in pieces of 16 KiB',
  name: 'small pieces.bin',
  pieceLength: 16 * KIB,
  files: new Map([['', 20 * MIB + 1]]),
};

export const LARGE_PIECES: Shape = {
  what: 'a file of 70 MiB in pieces of 16 MiB',
  name: 'large-pieces.bin',
  pieceLength: 16 * MIB,
  files: new Map([['', 70 * MIB]]),
};

/** @param mebibytes of the larger of its two files */
export function largeContent(mebibytes: number): Shape {
  return {
    what: `${mebibytes} MiB`,
    name: 'large',
    pieceLength: MIB,
    files: new Map([
      ['beside', 3],
      ['weights', mebibytes * MIB],
    ]),
  };
}

/** Bytes that no client can guess, the same each time: a counter under a hash, in runs that are repeated. */
function fill(chunk: Buffer, seed: string, at: number): void {
  const block = createHash('sha512').update(`${seed} ${at}`).digest();
  for (let offset = 0; offset < chunk.length; offset += block.length) {
    block.writeUInt32LE(offset >>> 0, 0);
    block.copy(chunk, offset);
  }
}

/** Writes the content into a folder, where it becomes FOLDER/NAME. */
export function writeContent({ name, files }: Shape, folder: string): void {
  const chunk = Buffer.alloc(MIB);
  for (const [path, lengthBytes] of files) {
    const location = join(folder, name, path);
    mkdirSync(dirname(location), { recursive: true });
    const file = openSync(location, 'w');
    for (let at = 0; at < lengthBytes; at += chunk.length) {
      fill(chunk, `${name}/${path}`, at);
      writeSync(file, chunk, 0, Math.min(chunk.length, lengthBytes - at));
    }
    closeSync(file);
  }
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: MIB }), hash);
  return hash.digest('hex');
}

/** SHA-256 of each file below FOLDER/NAME, by path. */
export async function digestsOf({ name, files }: Shape, folder: string): Promise<Record<string, string>> {
  const root = join(folder, name);
  if (files.has('')) return { '': await hashOf(root) };
  const digests: Record<string, string> = {};
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const location = join(entry.parentPath, entry.name);
    digests[relative(root, location)] = await hashOf(location);
  }
  return digests;
}
