// What people are told of one web seed. Invariant: each trouble is told once in the life of the torrent, and no more
// than a bounded number of them, whatever the server does.
import type { Logger } from '../../base/index.ts';
import type { Metainfo } from '../metainfo.ts';
import { WebSeedFailure } from './range-request.ts';

/** Warnings of one web seed. */
const MAX_WARNINGS = 12;
/** Files that are named in warnings. */
const MAX_NAMED_FILES = 4;

/** The warnings of one web seed. */
export class Warnings {
  readonly #origin: string;
  readonly #metainfo: Metainfo;
  readonly #logger: Pick<Logger, 'warn'>;
  /** Warnings that were given. */
  readonly #said = new Set<string>();
  #namedFiles = 0;

  /** @param origin what is told of the server's URL */
  constructor(origin: string, around: { metainfo: Metainfo; logger: Pick<Logger, 'warn'> }) {
    this.#origin = origin;
    this.#metainfo = around.metainfo;
    this.#logger = around.logger;
  }

  /** Tells that a file cannot be had. */
  ofFile({ message, scope }: WebSeedFailure, file: number): void {
    const metainfo = this.#metainfo;
    if (metainfo.files.length === 1) {
      this.say(`${message}; it is asked again later`);
      return;
    }
    const text = `${message} for ${fileName(metainfo, file)}`;
    const key = scope === 'file' ? text : message;
    if (this.#said.has(key)) return;
    if (scope === 'file' && ++this.#namedFiles > MAX_NAMED_FILES)
      this.say('there are more files that it cannot give; they are not named');
    else this.say(`${text}; it is asked for other files, and for this one again later`, key);
  }

  /** Once in the life of the torrent. */
  say(text: string, key = text): void {
    if (this.#said.has(key) || this.#said.size >= MAX_WARNINGS) return;
    this.#said.add(key);
    this.#logger.warn(
      { infoHash: this.#metainfo.infoHashHex, host: this.#origin, err: new WebSeedFailure(text) },
      'web seed',
    );
  }
}

/** The path of a file, for people: what a terminal would obey is taken out. */
export function fileName({ name, files, isSingleFile }: Metainfo, file: number): string {
  const path = isSingleFile ? [name] : [name, ...(files[file]?.path ?? [])];
  return JSON.stringify(path.join('/').replace(/[\p{C}\u2028\u2029]/gu, '\ufffd'));
}
