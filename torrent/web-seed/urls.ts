// Where the bytes of a torrent are on a web seed (BEP 19). Invariant: the spans of a range cover it once, in order.
import type { Metainfo } from '../metainfo.ts';

/** A part of one file. */
export interface FileSpan {
  /** Number of the file in the metainfo. */
  readonly file: number;
  /** Undefined for padding, which is zeros and on no server. */
  readonly url: string | undefined;
  readonly start: number;
  readonly length: number;
  /** Bytes of the whole file. */
  readonly fileBytes: number;
}

function encodePath(parts: readonly string[]): string {
  return parts.map(encodeURIComponent).join('/');
}

/** The URL of a file: the seed itself for a single file, unless it ends in a slash; else seed, name and path. */
function urlOf(seed: string, metainfo: Metainfo, path: readonly string[]): string {
  const folder = seed.endsWith('/') ? seed : `${seed}/`;
  if (!metainfo.isSingleFile) return folder + encodePath([metainfo.name, ...path]);
  return seed.endsWith('/') ? folder + encodePath([metainfo.name]) : seed;
}

/** The parts of files that hold a range of the torrent's bytes. */
export function spansOf(seed: string, metainfo: Metainfo, offset: number, length: number): FileSpan[] {
  const spans: FileSpan[] = [];
  const end = offset + length;
  for (const [file, { path, lengthBytes, offsetBytes, padding }] of metainfo.files.entries()) {
    const from = Math.max(offset, offsetBytes);
    const to = Math.min(end, offsetBytes + lengthBytes);
    if (from >= to) continue;
    const url = padding ? undefined : urlOf(seed, metainfo, path);
    spans.push({ file, url, start: from - offsetBytes, length: to - from, fileBytes: lengthBytes });
  }
  return spans;
}
