// Names of files as torrents have them. Invariant: a name that comes out of here is what its creator meant, or there
// is an error that shows the bytes: no byte is replaced or dropped.
import { isUtf8 } from 'node:buffer';
import type { BencodeDictionary, BencodeValue } from '../bencode.ts';
import { escapedBytes } from '../paths.ts';
import { invalid } from './invalid.ts';
import type { LeftOut } from './left-out.ts';

/** Bytes of a name that a message shows. */
const MAX_SHOWN_BYTES = 80;

/** Bytes as a message shows them. */
function shown(bytes: Buffer): string {
  const rest = bytes.length > MAX_SHOWN_BYTES ? '…' : '';
  return `"${escapedBytes(bytes.subarray(0, MAX_SHOWN_BYTES), '"')}${rest}"`;
}

/** What stands between the bytes and the text of one torrent's names. */
export class NameReader {
  readonly #leftOut: LeftOut;
  readonly #encoding: string | undefined;
  readonly #decoder: InstanceType<typeof TextDecoder> | undefined;

  /**
   * @param encoding what the torrent says of names that are not UTF-8 (the key `encoding`, as in `GBK`): a label of
   *   the WHATWG's encoding standard
   */
  constructor(encoding: BencodeValue | undefined, leftOut: LeftOut) {
    this.#leftOut = leftOut;
    if (encoding === undefined) return;
    if (!Buffer.isBuffer(encoding)) {
      leftOut.add('encoding', 'is not a string');
      return;
    }
    const label = encoding.toString('latin1');
    try {
      this.#decoder = new TextDecoder(label, { fatal: true, ignoreBOM: true });
      this.#encoding = this.#decoder.encoding;
    } catch {
      leftOut.add('encoding', `is none that is known: ${shown(encoding)}`);
    }
  }

  /** The name of the torrent. @throws TorrentError InvalidMetainfo */
  name(info: BencodeDictionary): string {
    const utf8 = info['name.utf-8'];
    if (Buffer.isBuffer(utf8) && isUtf8(utf8)) return utf8.toString('utf8');
    if (utf8 !== undefined) this.#leftOut.add('name.utf-8', 'is not valid UTF-8');
    return this.#text(info.name, 'the name');
  }

  /** The path of a file, part by part. @throws TorrentError InvalidMetainfo */
  path(entry: BencodeDictionary, number: number): string[] {
    // The twin in UTF-8 is what creators of old wrote beside names in a local encoding.
    const utf8 = entry['path.utf-8'];
    if (isListOfUtf8(utf8)) return utf8.map((part) => part.toString('utf8'));
    if (utf8 !== undefined)
      this.#leftOut.add('path.utf-8', 'is not a list of strings in UTF-8', ` of file ${number}`);
    const value = entry.path;
    if (!Array.isArray(value) || value.length === 0) throw invalid(`file ${number} has no path`);
    return value.map((part) => this.#text(part, `a part of the path of file ${number}`));
  }

  #text(value: BencodeValue | undefined, what: string): string {
    if (!Buffer.isBuffer(value)) throw invalid(`${what} is missing or not a string`);
    if (isUtf8(value)) return value.toString('utf8');
    if (this.#decoder === undefined)
      throw invalid(`${what} is not valid UTF-8, and the torrent names no encoding of it: ${shown(value)}`);
    try {
      return this.#decoder.decode(value);
    } catch {
      throw invalid(`${what} is valid neither in UTF-8 nor in ${this.#encoding}: ${shown(value)}`);
    }
  }
}

function isListOfUtf8(value: BencodeValue | undefined): value is Buffer[] {
  return (
    Array.isArray(value) && value.length > 0 && value.every((part) => Buffer.isBuffer(part) && isUtf8(part))
  );
}
