// Resume data: which pieces were verified, and how the files looked then. Invariant: what is read here was
// written whole, for this torrent; anything else (torn, of another torrent, of another format) counts as absent,
// so that it costs hashing and never trust.
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { decodeBencode, encodeBencode, isDictionary } from '../../bencode.ts';
import { Bitfield } from '../../bitfield.ts';
import { isTorrentError } from '../../errors.ts';
import type { Metainfo } from '../../metainfo.ts';
import { type Disk, diskError, readFully, writeFully } from '../disk/disk.ts';

/** How a file looked when its pieces were last known to be good. */
export interface FileStamp {
  sizeBytes: number;
  /** Nanoseconds since 1970. */
  modifiedNanoseconds: bigint;
}

/** What is remembered of a torrent between two runs. */
export interface ResumeData {
  have: Bitfield;
  /** By index of the file; undefined for files that were not there. */
  stamps: (FileStamp | undefined)[];
}

const FORMAT = 'enxame-resume/1';
const CHECKSUM_BYTES = 32;
/** A file that is longer is no resume data of ours: less than 64 bytes for each file that 8 MiB of metainfo can name. */
const MAX_RESUME_BYTES = 64 * 1024 * 1024;
const NANOSECONDS = 1_000_000_000n;

/** True if two stamps say that a file is unchanged. */
export function isSameStamp(a: FileStamp | undefined, b: FileStamp | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  return a.sizeBytes === b.sizeBytes && a.modifiedNanoseconds === b.modifiedNanoseconds;
}

/** Resume data as bytes: SHA-256 of the rest, then a bencoded dictionary bound to the info hash. */
export function encodeResume(metainfo: Metainfo, data: ResumeData): Buffer {
  const body = encodeBencode({
    files: data.stamps.map((stamp) =>
      stamp === undefined
        ? []
        : [
            stamp.sizeBytes,
            Number(stamp.modifiedNanoseconds / NANOSECONDS),
            Number(stamp.modifiedNanoseconds % NANOSECONDS),
          ],
    ),
    format: FORMAT,
    have: data.have.bytes,
    'info hash': metainfo.infoHash,
  });
  return Buffer.concat([createHash('sha256').update(body).digest(), body]);
}

/** Reads resume data; undefined for anything that is not whole and of this torrent. */
export function decodeResume(metainfo: Metainfo, bytes: Uint8Array): ResumeData | undefined {
  const body = bytes.subarray(CHECKSUM_BYTES);
  const checksum = createHash('sha256').update(body).digest();
  if (bytes.length < CHECKSUM_BYTES || checksum.compare(bytes.subarray(0, CHECKSUM_BYTES)) !== 0)
    return undefined;
  try {
    const value = decodeBencode(body);
    if (!isDictionary(value)) return undefined;
    const { format, have, files, 'info hash': infoHash } = value;
    if (!Buffer.isBuffer(format) || format.toString('latin1') !== FORMAT) return undefined;
    if (!Buffer.isBuffer(infoHash) || !infoHash.equals(metainfo.infoHash)) return undefined;
    if (!Buffer.isBuffer(have) || !Array.isArray(files) || files.length !== metainfo.files.length)
      return undefined;
    const stamps = files.map((entry): FileStamp | undefined => {
      if (!Array.isArray(entry)) return undefined;
      const [sizeBytes, seconds, nanoseconds] = entry;
      if (typeof sizeBytes !== 'number' || typeof seconds !== 'number' || typeof nanoseconds !== 'number') {
        return undefined;
      }
      return { sizeBytes, modifiedNanoseconds: BigInt(seconds) * NANOSECONDS + BigInt(nanoseconds) };
    });
    return { have: Bitfield.fromBytes(have, metainfo.pieceCount), stamps };
  } catch (error) {
    if (isTorrentError(error)) return undefined;
    throw error;
  }
}

/**
 * Reads a resume file. Absent, unreadable or foreign data is undefined: the files are then hashed.
 */
export async function readResume(
  disk: Disk,
  path: string,
  metainfo: Metainfo,
): Promise<ResumeData | undefined> {
  let fd: number;
  try {
    fd = await disk.open(path, constants.O_RDONLY);
  } catch {
    return undefined;
  }
  try {
    const { sizeBytes } = await disk.status(fd);
    if (sizeBytes > MAX_RESUME_BYTES) return undefined;
    const bytes = Buffer.alloc(sizeBytes);
    const count = await readFully(disk, fd, bytes, 0);
    return decodeResume(metainfo, bytes.subarray(0, count));
  } catch {
    // An unreadable resume file is as good as none; the files are hashed.
    return undefined;
  } finally {
    await disk.close(fd);
  }
}

/**
 * Replaces a resume file: written beside it, flushed, renamed over it, the folder flushed. A crash leaves the old
 * one or the new one.
 * @throws TorrentError NoSpace, ReadOnly, DiskIo
 */
export async function writeResume(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const beside = `${path}.new`;
  try {
    const { O_CREAT, O_DIRECTORY, O_RDONLY, O_TRUNC, O_WRONLY } = constants;
    await disk.makeFolders(dirname(path));
    const fd = await disk.open(beside, O_WRONLY | O_CREAT | O_TRUNC, 0o666);
    try {
      await writeFully(disk, fd, bytes, 0);
      await disk.sync(fd);
    } finally {
      await disk.close(fd);
    }
    await disk.rename(beside, path);
    const folder = await disk.open(dirname(path), O_RDONLY | O_DIRECTORY);
    try {
      await disk.sync(folder);
    } finally {
      await disk.close(folder);
    }
  } catch (error) {
    // What was never made needs no removal, and the first error is the one to tell.
    await disk.remove(beside).catch(() => undefined);
    throw diskError(error, `saving the resume data ${path}`);
  }
}
