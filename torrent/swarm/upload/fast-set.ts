// The allowed fast set (BEP 6): pieces that a choked newcomer may fetch all the same, so that it has something to give.
// Invariant: a function of the peer's network, the info hash and the number of pieces, so that nobody gains by
// connecting again, nor from many addresses of one network.
import { createHash } from 'node:crypto';

/** Pieces of a set, and how many a peer may have before we refuse them. */
const FAST_PIECES = 10;

/** A set is not longer than this: whoever is choked gets it for nothing. */
const MAX_FAST_BYTES = 8 * 1024 * 1024;

/** Pieces of a set, for pieces of a length. */
export function fastSetSize(pieceLength: number): number {
  return Math.min(FAST_PIECES, Math.trunc(MAX_FAST_BYTES / pieceLength));
}

/** The set of a peer, at most `size` pieces; empty for what is no IPv4 address, for which BEP 6 defines none. */
export function fastSet(infoHash: Uint8Array, host: string, pieceCount: number, size: number): number[] {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.\d{1,3}$/.exec(host);
  if (parts === null) return [];
  const pieces = new Set<number>();
  const network = Buffer.from([Number(parts[1]), Number(parts[2]), Number(parts[3]), 0]);
  let digest: Buffer = Buffer.concat([network, infoHash]);
  while (pieces.size < Math.min(size, pieceCount)) {
    digest = createHash('sha1').update(digest).digest();
    for (let at = 0; at < digest.length && pieces.size < size; at += 4) {
      pieces.add(digest.readUInt32BE(at) % pieceCount);
    }
  }
  return [...pieces];
}
