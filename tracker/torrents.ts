/**
 * Which torrents a tracker serves. Where the list comes from is handed in: a folder, everything (`--open`), or,
 * in a cluster, its ContentRevisions (cli/commands/tracker.ts).
 */

/** What a list knows of a torrent. */
export interface KnownTorrent {
  readonly infoHashHex: string;
  readonly name?: string;
  readonly totalBytes?: number;
}

/** Info hashes, in hex, that came to a list or left it. */
export interface TorrentListChange {
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

/** A list of torrents that may change at any time. */
export interface TorrentList {
  /** False until the list was read once: until then an unknown torrent may be one that is served. */
  readonly isSynced: boolean;
  /** The torrent of an info hash (40 lower-case hex digits) if it is served. */
  get(infoHashHex: string): KnownTorrent | undefined;
  list(): Iterable<KnownTorrent>;
  /** The metainfo itself, from a list that has it. */
  readMetainfo?(infoHashHex: string): Promise<Uint8Array | undefined>;
  /**
   * Calls `listener` after each change.
   *
   * @returns a function that ends it
   */
  onChange(listener: (change: TorrentListChange) => void): () => void;
}

/** The list that holds every info hash. */
export const OPEN_LIST: TorrentList = {
  isSynced: true,
  get: (infoHashHex) => ({ infoHashHex }),
  list: () => [],
  onChange: () => () => {},
};

/** One list of several: a torrent is served if one of them has it; the first that does tells about it. */
export function unionOf(lists: readonly TorrentList[]): TorrentList {
  const get = (infoHashHex: string) => {
    for (const list of lists) {
      const torrent = list.get(infoHashHex);
      if (torrent !== undefined) return torrent;
    }
    return undefined;
  };
  return {
    get isSynced() {
      return lists.every((list) => list.isSynced);
    },
    get,
    list() {
      const all = new Map<string, KnownTorrent>();
      for (const list of lists)
        for (const torrent of list.list())
          if (!all.has(torrent.infoHashHex)) all.set(torrent.infoHashHex, torrent);
      return all.values();
    },
    async readMetainfo(infoHashHex) {
      for (const list of lists) {
        const bytes = await list.readMetainfo?.(infoHashHex);
        if (bytes !== undefined) return bytes;
      }
      return undefined;
    },
    onChange(listener) {
      const ends = lists.map((list) =>
        list.onChange(({ added, removed }) =>
          listener({ added, removed: removed.filter((infoHash) => get(infoHash) === undefined) }),
        ),
      );
      return () => {
        for (const end of ends) end();
      };
    },
  };
}

/** Torrents that other code adds and removes one by one; the same info hash may be added by several owners. */
export class MutableTorrentList implements TorrentList {
  readonly #owners = new Map<string, Map<string, KnownTorrent>>();
  readonly #listeners = new Set<(change: TorrentListChange) => void>();
  isSynced = false;

  get(infoHashHex: string): KnownTorrent | undefined {
    return this.#owners.get(infoHashHex)?.values().next().value;
  }

  *list(): Iterable<KnownTorrent> {
    for (const owners of this.#owners.values()) {
      const torrent = owners.values().next().value;
      if (torrent !== undefined) yield torrent;
    }
  }

  onChange(listener: (change: TorrentListChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Adds a torrent, or what its owner now says of it. */
  add(owner: string, torrent: KnownTorrent): void {
    const owners = this.#owners.get(torrent.infoHashHex);
    if (owners !== undefined) {
      owners.set(owner, torrent);
      return;
    }
    this.#owners.set(torrent.infoHashHex, new Map([[owner, torrent]]));
    this.#tell({ added: [torrent.infoHashHex], removed: [] });
  }

  /** Takes a torrent back; it leaves the list with its last owner. */
  remove(owner: string, infoHashHex: string): void {
    const owners = this.#owners.get(infoHashHex);
    if (owners === undefined || !owners.delete(owner) || owners.size > 0) return;
    this.#owners.delete(infoHashHex);
    this.#tell({ added: [], removed: [infoHashHex] });
  }

  #tell(change: TorrentListChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}
