// Content on disk for the tests that need files. Invariant: the files are those of the metainfo, byte for byte.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Metainfo } from '../../../torrent/metainfo.ts';

/** Writes the torrent's files below `root`. */
export function writeContent(root: string, metainfo: Metainfo, content: Uint8Array): void {
  mkdirSync(root, { recursive: true });
  for (const { path, offsetBytes, lengthBytes, padding } of metainfo.files) {
    if (padding) continue;
    const place = join(root, ...path);
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, content.subarray(offsetBytes, offsetBytes + lengthBytes));
  }
}
