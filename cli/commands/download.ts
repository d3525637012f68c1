/** `enxame download`: gets a torrent's content into a folder, and goes on seeding it if asked to. */
import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import {
  isTorrentError,
  type Magnet,
  type Metainfo,
  type PeerAddress,
  type PieceStorage,
} from '../../torrent/index.ts';
import type { Session, Torrent } from '../../torrent/session/index.ts';
import { Destination } from '../client/destination.ts';
import {
  isMagnet,
  loadTorrent,
  readMagnet,
  type WarnOfTorrent,
  warnOfIgnored,
} from '../client/load-torrent.ts';
import {
  completion,
  damageText,
  discoveryOf,
  FileChecks,
  listen,
  parsePeers,
  type SwarmOptions,
  tiersWith,
  untilStopped,
  whileTelling,
} from '../client/swarm.ts';
import { EXIT_FAILURE, UsageError } from '../errors.ts';
import type { Program, ProgramContext } from '../run.ts';
import { withAdvice } from '../terminal/advice.ts';
import { type Report, reportOf } from '../terminal/report.ts';

/** Files that are spoilt again and again while they are finished end as an error. */
const MAX_FINISHES = 5;

/** The options of the command line. */
export interface DownloadOptions extends SwarmOptions {
  readonly seed?: boolean;
  readonly force?: boolean;
}

/** Puts the content of a torrent (a path, a URL, or a magnet link) into `folder`. */
export function download(source: string, folder: string, options: DownloadOptions): Program {
  return async (context) => {
    const report = reportOf('download', options.json);
    const peers = parsePeers(options.peer);
    tiersWith(options.tracker, []); // Bad usage is told before anything is done.
    let run: Download | undefined;
    try {
      const wanted = await whatIsWanted(source, report.warn, context.signal);
      await makeFolder(folder);
      run = new Download(wanted, resolve(folder), peers, { options, context, report });
      return await run.run();
    } catch (error) {
      if (!context.signal.aborted || run?.isComplete) throw withAdvice(error);
      report.stopped(run?.whatIsKept ?? 'stopped before anything was written; the same command begins again');
      return EXIT_FAILURE;
    } finally {
      report.end();
    }
  };
}

type Wanted = { readonly metainfo: Metainfo } | { readonly magnet: Magnet };

async function whatIsWanted(source: string, warn: WarnOfTorrent, signal: AbortSignal): Promise<Wanted> {
  if (isMagnet(source)) return { magnet: readMagnet(source, warn) };
  return { metainfo: (await loadTorrent(source, warn, signal)).metainfo };
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' || code === 'ENOTDIR')
      throw new UsageError(`${folder} is no folder; name the folder that the content is to be put in`);
    throw new Error(`the folder ${folder} cannot be made: ${code}; name a folder that may be written to`, {
      cause: error,
    });
  }
}

/** One run of the command. */
class Download {
  readonly #wanted: Wanted;
  readonly #folder: string;
  readonly #peers: readonly PeerAddress[];
  readonly #options: DownloadOptions;
  readonly #context: ProgramContext;
  readonly #report: Report;
  #destination: Destination | undefined;
  #storage: PieceStorage | undefined;
  #torrent: Torrent | undefined;
  #checks: FileChecks | undefined;
  #isComplete = false;

  constructor(
    wanted: Wanted,
    folder: string,
    peers: readonly PeerAddress[],
    parts: { options: DownloadOptions; context: ProgramContext; report: Report },
  ) {
    this.#wanted = wanted;
    this.#folder = folder;
    this.#peers = peers;
    this.#options = parts.options;
    this.#context = parts.context;
    this.#report = parts.report;
  }

  /** True once every piece was there, whatever came of it later. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** For whoever stops it. */
  get whatIsKept(): string {
    const storage = this.#storage;
    if (storage === undefined) return 'stopped before anything was written; the same command begins again';
    const { have, metainfo } = storage;
    const percent = Math.floor((100 * have.count) / Math.max(1, metainfo.pieceCount));
    return `stopped at ${percent} %; what is verified stays in ${this.#folder}, and the same command goes on`;
  }

  async run(): Promise<number> {
    // What is on the disk is looked at before anybody is told of us.
    const storage = 'metainfo' in this.#wanted ? await this.#open(this.#wanted.metainfo) : undefined;
    try {
      await this.#swarm(storage);
      await this.#confirm();
    } finally {
      await this.#storage?.close();
    }
    await this.#destination?.forgetResume();
    return 0;
  }

  /** Is in the swarm until all is here, or until it is stopped. */
  async #swarm(storage: PieceStorage | undefined): Promise<void> {
    const session = await listen(this.#options, this.#context, this.#report);
    try {
      await whileTelling(
        () => this.#tell(),
        () => this.#fetch(session, storage),
      );
    } finally {
      await session.close();
    }
  }

  async #fetch(session: Session, storage: PieceStorage | undefined): Promise<void> {
    const { signal } = this.#context;
    const started = performance.now();
    const torrent = await this.#join(session, storage);
    this.#torrent = torrent;
    this.#checks = new FileChecks(torrent);
    // Told by whoever waits for the torrent, now or next.
    torrent.on('error', () => {});
    torrent.on('damaged', (pieces, files) =>
      this.#report.warn(damageText(pieces, files, 'fetched again; keep others from writing there')),
    );
    await this.#complete(torrent);
    this.#isComplete = true;
    const seconds = (performance.now() - started) / 1000;
    this.#report.complete(seconds, torrent.metainfo.totalBytes, this.#destination?.content ?? this.#folder);
    if (this.#options.seed && !signal.aborted) {
      this.#report.note('seeding until it is stopped');
      await untilStopped(torrent, signal);
    }
  }

  /** Resolves when every piece is here and the files are finished: what somebody else spoils meanwhile is fetched again. */
  async #complete(torrent: Torrent): Promise<void> {
    for (let tries = 1; ; tries++) {
      await completion(torrent, this.#context.signal);
      try {
        await this.#storage?.finalize();
        return;
      } catch (error) {
        if (!isTorrentError(error, 'FileChanged') || tries === MAX_FINISHES) throw error;
      }
      await torrent.checkFiles();
    }
  }

  /** What was complete may have been spoilt since: nobody is told that all is here unless it is. */
  async #confirm(): Promise<void> {
    const storage = this.#storage;
    if (storage === undefined) return;
    if (storage.have.isFull) return storage.finalize();
    const { pieceCount } = storage.metainfo;
    const missing = pieceCount - storage.have.count;
    throw new Error(
      `${missing} of ${pieceCount} pieces were lost on the disk after it was complete; keep others from writing there, then run the same command again: what is good is kept`,
    );
  }

  async #join(session: Session, storage: PieceStorage | undefined): Promise<Torrent> {
    const wanted = this.#wanted;
    const { policy } = this.#options;
    if ('metainfo' in wanted) {
      const { metainfo } = wanted;
      if (storage === undefined) throw new Error('a torrent without a storage');
      const discovery = discoveryOf(this.#tiers(metainfo.announceList), this.#peers, this.#report);
      if (discovery.length === 0 && metainfo.webSeeds.length === 0 && !storage.have.isFull)
        this.#report.warn(
          'the torrent names no tracker; use --tracker URL or --peer HOST:PORT, or wait for peers to come',
        );
      return session.add({
        metainfo,
        storage,
        policy,
        discovery,
        webSeeds: metainfo.webSeeds,
        losses: 'fetch',
      });
    }
    const { infoHash, trackers, webSeeds, peers } = wanted.magnet;
    const announceList = this.#tiers(trackers.map((url) => [url]));
    const discovery = discoveryOf(announceList, [...peers, ...this.#peers], this.#report);
    if (discovery.length === 0)
      this.#report.warn(
        'the link names neither tracker nor peer; use --tracker URL or --peer HOST:PORT, or wait for peers to come',
      );
    const join = session.addMagnet({
      infoHash,
      policy,
      discovery,
      around: { announceList, webSeeds },
      webSeeds,
      losses: 'fetch',
      openStorage: (metainfo) => {
        warnOfIgnored(metainfo, this.#report.warn);
        return this.#open(metainfo);
      },
    });
    this.#tellSearch = () => this.#report.searching(join.progress().peers);
    const stop = () => void session.remove(join.infoHashHex);
    this.#context.signal.addEventListener('abort', stop, { once: true });
    return join.torrent;
  }

  /** Trackers that were named are asked before the torrent's own. */
  #tiers(announceList: readonly (readonly string[])[]): (readonly string[])[] {
    return tiersWith(this.#options.tracker, announceList);
  }

  #tellSearch: () => void = () => {};

  #tell(): void {
    if (this.#torrent === undefined) this.#tellSearch();
    else this.#report.progress(this.#torrent.progress());
    this.#checks?.tick();
  }

  /** Opens the content's place and looks which pieces are there. */
  async #open(metainfo: Metainfo): Promise<PieceStorage> {
    const { pieceLength, totalBytes } = metainfo;
    this.#destination = new Destination(this.#folder, metainfo);
    this.#storage = await this.#destination.open({
      replace: this.#options.force ?? false,
      signal: this.#context.signal,
      onChecked: (pieces) => this.#report.checking(Math.min(pieces * pieceLength, totalBytes), totalBytes),
    });
    return this.#storage;
  }
}
