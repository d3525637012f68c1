// Hybrids (BEP 52): one torrent described twice. Invariant: a hybrid that passes says the same in both parts, so that
// those who read its version 2 part get the same files as we, who read the version 1 part.
import { isUtf8 } from 'node:buffer';
import { BencodeCursor, isDictionary, MAX_BENCODE_DEPTH } from '../bencode.ts';
import type { TorrentError } from '../errors.ts';
import { shownPath as shown } from '../paths.ts';
import type { TorrentFile } from './files.ts';
import { invalid } from './invalid.ts';

/** BEP 52: a power of two, and at least this. */
const MIN_PIECE_LENGTH = 16 * 1024;

const ROOT_BYTES = 32;

function disagreement(what: string): TorrentError {
  return invalid(`the parts of versions 1 and 2 of this hybrid (BEP 52) disagree: ${what}`);
}

/** Compares a file tree with the files of version 1, in one walk. */
class Comparison {
  readonly #cursor: BencodeCursor;
  readonly #files: readonly TorrentFile[];
  readonly #path: string[] = [];
  #next = 0;

  constructor(tree: Buffer, files: readonly TorrentFile[]) {
    this.#cursor = new BencodeCursor(tree);
    this.#files = files;
  }

  run(): void {
    if (!this.#cursor.enterDictionary()) throw disagreement('the file tree is no dictionary');
    this.#folder();
    const missing = this.#files[this.#next];
    if (missing !== undefined) throw disagreement(`${shown(missing.path)} is not in the file tree`);
  }

  #folder(): void {
    if (this.#path.length > MAX_BENCODE_DEPTH) throw disagreement('the file tree is too deep');
    while (!this.#cursor.leave()) {
      const key = this.#cursor.key();
      if (key.length === 0) {
        this.#file();
        continue;
      }
      if (!isUtf8(key)) throw disagreement('the file tree has a name that is not UTF-8');
      this.#path.push(key.toString('utf8'));
      if (!this.#cursor.enterDictionary())
        throw disagreement(`${shown(this.#path)} in the file tree is no dictionary`);
      this.#folder();
      this.#path.pop();
    }
  }

  /** What stands under the empty key: the file that the path up to here names. */
  #file(): void {
    const value = this.#cursor.value();
    const path = this.#path;
    const file = this.#files[this.#next++];
    if (file === undefined) throw disagreement(`${shown(path)} is in the file tree only`);
    if (path.length !== file.path.length || path.some((part, i) => part !== file.path[i]))
      throw disagreement(`${shown(path)} is in the file tree where ${shown(file.path)} is among the files`);
    if (!isDictionary(value) || value.length !== file.lengthBytes)
      throw disagreement(`the file tree gives ${shown(path)} another length than ${file.lengthBytes}`);
    const root = value['pieces root'];
    if (file.lengthBytes > 0 && !(Buffer.isBuffer(root) && root.length === ROOT_BYTES))
      throw disagreement(`${shown(path)} has no pieces root of ${ROOT_BYTES} bytes`);
  }
}

/**
 * Refuses a hybrid whose two parts are not about the same files, of the same lengths, in the same order and places.
 * @param tree the bytes of `file tree`
 * @throws TorrentError InvalidMetainfo
 */
export function refuseDisagreement(
  tree: Buffer | undefined,
  files: readonly TorrentFile[],
  pieceLength: number,
): void {
  if (tree === undefined) throw disagreement('there is no file tree');
  if (pieceLength < MIN_PIECE_LENGTH || !Number.isInteger(Math.log2(pieceLength)))
    throw disagreement(
      `version 2 needs a piece length that is a power of two from ${MIN_PIECE_LENGTH}, not ${pieceLength}`,
    );
  const written = files.filter((file) => !file.padding);
  new Comparison(tree, written).run();
  for (const { path, lengthBytes, offsetBytes } of written)
    if (lengthBytes > 0 && offsetBytes % pieceLength !== 0)
      throw disagreement(`${shown(path)} does not begin with a piece, as in version 2`);
}
