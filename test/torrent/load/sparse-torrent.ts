// Torrents of zeros, as long as one likes: their files are sparse and cost nothing.
import { createHash } from 'node:crypto';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeBencode } from '../../../torrent/bencode.ts';
import { type Metainfo, parseInfo } from '../../../torrent/metainfo.ts';

/** A torrent of one file of zeros; `name` makes its info hash another one. */
export function zeros(name: string, totalBytes: number, pieceLength: number): Metainfo {
  const sha1 = (bytes: number) => createHash('sha1').update(Buffer.alloc(bytes)).digest();
  const whole = sha1(pieceLength);
  const pieces: Buffer[] = Array(Math.floor(totalBytes / pieceLength)).fill(whole);
  if (totalBytes % pieceLength > 0) pieces.push(sha1(totalBytes % pieceLength));
  return parseInfo(
    encodeBencode({
      length: totalBytes,
      name,
      'piece length': pieceLength,
      pieces: Buffer.concat(pieces),
    }),
  );
}

/** Its file, sparse, where an engine looks for the content of `folder`. */
export function writeZeros(folder: string, metainfo: Metainfo): void {
  const root = join(folder, 'content');
  mkdirSync(root, { recursive: true });
  for (const { path, lengthBytes } of metainfo.files) {
    const file = join(root, ...path);
    writeFileSync(file, '');
    truncateSync(file, lengthBytes);
  }
}
