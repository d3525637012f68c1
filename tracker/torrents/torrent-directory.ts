/**
 * The list of torrents whose .torrent files lie in a folder. The folder is watched: files that come, change and go
 * change the list. A file that is no proper metainfo is told in the log and otherwise passed over.
 */
import { type FSWatcher, watch } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../base/index.ts';
import { MAX_METAINFO_BYTES, parseMetainfo } from '../../torrent/index.ts';
import { TrackerError } from '../errors.ts';
import {
  type KnownTorrent,
  MutableTorrentList,
  type TorrentList,
  type TorrentListChange,
} from './torrents.ts';

/** Changes come in bursts; the folder is read once after each. */
const SETTLE_MILLISECONDS = 100;
/** File systems that tell no changes (network mounts) are looked at this often. */
const RESCAN_MILLISECONDS = 30_000;

/** A file as it was when it was last read. */
interface SeenFile {
  /** Changes whenever the file does. */
  readonly state: string;
  /** Undefined for a file that is no proper metainfo. */
  readonly torrent: KnownTorrent | undefined;
}

export class TorrentDirectory implements TorrentList {
  readonly #folder: string;
  readonly #logger: Logger;
  readonly #torrents = new MutableTorrentList();
  readonly #files = new Map<string, SeenFile>();
  #watcher: FSWatcher | undefined;
  #settle: NodeJS.Timeout | undefined;
  #rescan: NodeJS.Timeout | undefined;
  #scanning: Promise<void> = Promise.resolve();

  private constructor(folder: string, logger: Logger) {
    this.#folder = folder;
    this.#logger = logger;
  }

  /**
   * Reads a folder and starts to watch it.
   *
   * @throws the error of the file system if the folder cannot be read
   */
  static async open(folder: string, logger: Logger): Promise<TorrentDirectory> {
    const directory = new TorrentDirectory(folder, logger);
    await directory.#scan();
    directory.#watcher = watch(folder, () => directory.#changed());
    directory.#watcher.on('error', (error) =>
      logger.warn({ err: error, folder }, 'watching the folder failed'),
    );
    directory.#rescan = setInterval(() => directory.#changed(), RESCAN_MILLISECONDS);
    directory.#changed(); // What came between reading and watching.
    return directory;
  }

  readonly isSynced = true;

  get(infoHashHex: string): KnownTorrent | undefined {
    return this.#torrents.get(infoHashHex);
  }

  list(): Iterable<KnownTorrent> {
    return this.#torrents.list();
  }

  onChange(listener: (change: TorrentListChange) => void): () => void {
    return this.#torrents.onChange(listener);
  }

  async readMetainfo(infoHashHex: string): Promise<Uint8Array | undefined> {
    for (const [file, { torrent }] of this.#files) {
      if (torrent?.infoHashHex !== infoHashHex) continue;
      try {
        const bytes = await readFile(join(this.#folder, file));
        if (parseMetainfo(bytes).infoHashHex === infoHashHex) return bytes;
      } catch (error) {
        this.#logger.warn({ err: error, file }, 'a .torrent file changed while it was read');
      }
    }
    return undefined;
  }

  /** Ends the watch. */
  async close(): Promise<void> {
    this.#watcher?.close();
    clearTimeout(this.#settle);
    clearInterval(this.#rescan);
    await this.#scanning;
  }

  #changed(): void {
    if (this.#settle !== undefined) return;
    this.#settle = setTimeout(() => {
      this.#settle = undefined;
      this.#scanning = this.#scan().catch((error: unknown) =>
        this.#logger.error({ err: error, folder: this.#folder }, 'the folder of torrents cannot be read'),
      );
    }, SETTLE_MILLISECONDS);
  }

  async #scan(): Promise<void> {
    const names = (await readdir(this.#folder)).filter((name) => name.endsWith('.torrent')).sort();
    const present = new Set(names);
    for (const file of names) await this.#look(file);
    for (const [file, { torrent }] of this.#files) {
      if (present.has(file)) continue;
      this.#files.delete(file);
      if (torrent !== undefined) this.#torrents.remove(file, torrent.infoHashHex);
    }
  }

  async #look(file: string): Promise<void> {
    const path = join(this.#folder, file);
    const before = this.#files.get(file);
    let state = 'unreadable';
    let torrent: KnownTorrent | undefined;
    try {
      const { size, mtimeNs, ino } = await stat(path, { bigint: true });
      state = `${ino}:${size}:${mtimeNs}`;
      if (before?.state === state) return;
      if (size > MAX_METAINFO_BYTES)
        throw new TrackerError('BadMetainfo', `it is ${size} bytes long, ${MAX_METAINFO_BYTES} are allowed`);
      const { infoHashHex, name, totalBytes } = parseMetainfo(await readFile(path));
      torrent = { infoHashHex, name, totalBytes };
    } catch (error) {
      if (before?.state === state) return;
      this.#logger.warn({ err: error, file: path }, 'not served: no proper .torrent file');
    }
    this.#files.set(file, { state, torrent });
    if (torrent !== undefined) this.#torrents.add(file, torrent);
    if (before?.torrent !== undefined && before.torrent.infoHashHex !== torrent?.infoHashHex)
      this.#torrents.remove(file, before.torrent.infoHashHex);
  }
}
