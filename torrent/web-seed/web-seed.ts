// A web server as a peer of the swarm (BEP 19): it has everything, lets us ask, and takes nothing. Invariants: what
// it gives goes the way of every block, through the piece's hash; a request ends as a block or a refusal, unless it
// was taken back; after an error it is left alone for a time that doubles, and so is a file that it cannot give, apart
// from others; each trouble is told once; what stands in its URL besides the origin is told nobody.
import type { Dispatcher } from 'undici';
import type { Metainfo } from '../metainfo.ts';
import type { EngineLogger } from '../session/types.ts';
import type { PeerLink } from '../swarm/host.ts';
import type { Neighbour } from '../swarm/neighbour.ts';
import { RequestQueue } from '../swarm/request-queues.ts';
import type { Swarm } from '../swarm/swarm.ts';
import { FileFaults } from './file-faults.ts';
import { readSpan, WebSeedFailure } from './range-request.ts';
import { type FileSpan, spansOf } from './urls.ts';

/** Requests to the server at a time: while one waits for its first byte another one brings some. */
const PARALLEL_RANGES = 3;

/** Bytes of one request; blocks that follow each other go together. */
const MAX_RANGE_BYTES = 4 * 1024 * 1024;

/** A server that failed is left alone for this long, doubled each time, with jitter. */
const FIRST_BACK_OFF_MILLISECONDS = 1000;
const LONGEST_BACK_OFF_MILLISECONDS = 10 * 60_000;

/** After so many files that cannot be had, and none that can, it is the server that is left alone. */
const MAX_FRUITLESS = 8;

/** Whether there is something to fetch is looked at so often while there is nothing. */
const LOOK_MILLISECONDS = 1000;

/** Warnings of one web seed. */
const MAX_WARNINGS = 12;
/** Files that are named in warnings. */
const MAX_NAMED_FILES = 4;

/** What a web server lets wait. */
const REQUEST_QUEUE = 512;

function nothing(): void {}

/** What a web seed needs of its torrent. */
export interface WebSeedSurroundings {
  readonly metainfo: Metainfo;
  readonly swarm: Swarm;
  readonly clock: { now(): number };
  readonly random: () => number;
  readonly logger: Pick<EngineLogger, 'debug' | 'warn'>;
  readonly dispatcher?: Dispatcher;
  /** The block that the next SwarmHost.storeBlock is about. */
  receiving(buffer: Buffer, start: number): void;
}

/** Blocks that are fetched by one request. */
interface Run {
  readonly offset: number;
  readonly blocks: { piece: number; begin: number; length: number }[];
  length: number;
}

/** One web seed. */
export class WebSeed implements PeerLink {
  /** What a ban names. */
  readonly identity: string;
  readonly pendingBytes = 0;
  readonly #around: WebSeedSurroundings;
  readonly #url: string;
  readonly #origin: string;
  readonly #queue = new RequestQueue();
  readonly #faults: FileFaults;
  /** Warnings that were given. */
  readonly #said = new Set<string>();
  /** Files that could not be had since some bytes came. */
  #fruitless = 0;
  #namedFiles = 0;
  /** No missing piece is one that it has the whole of, for the files' sake. */
  #hasNothing = false;
  #neighbour: Neighbour | undefined;
  #aborting = new AbortController();
  #running = 0;
  #willPump = false;
  #failures = 0;
  #notBefore = 0;
  #isOver = false;

  /** @param url of http or https; may name user and password */
  constructor(url: string, around: WebSeedSurroundings) {
    this.#url = url;
    this.#origin = new URL(url).origin;
    this.identity = `web seed ${this.#origin}`;
    this.#around = around;
    this.#faults = new FileFaults(around.metainfo, around.random);
  }

  /** Files that it cannot give, where all that is missing has a part in them; undefined while it may give something. */
  get missingFiles(): readonly number[] | undefined {
    if (this.#isOver) return [];
    return this.#hasNothing ? this.#faults.out : undefined;
  }

  /** Every 100 ms: joins the swarm when there is something to fetch. */
  tick(now: number): void {
    const { swarm } = this.#around;
    if (this.#faults.release(now)) {
      this.#hasNothing = false;
      if (this.#neighbour !== undefined) swarm.drop(this.#neighbour, 'files are tried again');
    }
    // All that it has whole is here: it joins again with what it has in part.
    if (this.#neighbour?.useful === 0 && !this.#hasNothing && this.#faults.out.length > 0)
      swarm.drop(this.#neighbour, 'it has no other whole piece');
    // It has nothing to say while it is asked for nothing.
    if (this.#neighbour !== undefined) swarm.heard(this.#neighbour, now);
    else if (!this.#isOver && !swarm.isComplete && !swarm.paused && now >= this.#notBefore) this.#join(now);
  }

  /** It gave bytes that failed their hash: nothing more is asked of it. */
  ban(reason: string): void {
    this.#warn(`${reason}; it is asked no more`);
    this.end(reason);
  }

  /** Nothing more is asked of it. */
  end(reason: string): void {
    this.#isOver = true;
    if (this.#neighbour !== undefined) this.#around.swarm.drop(this.#neighbour, reason);
  }

  #join(now: number): void {
    const { swarm } = this.#around;
    let pieces = this.#faults.available(false);
    this.#hasNothing = !swarm.held.lacksSomeOf(pieces);
    // Where nothing else is missing, what it has of a piece helps if somebody else has the rest.
    if (this.#hasNothing) pieces = this.#faults.available(true);
    if (this.#hasNothing && !swarm.held.lacksSomeOf(pieces)) {
      this.#notBefore = now + LOOK_MILLISECONDS;
      return;
    }
    const neighbour = swarm.connect(this, { identity: this.identity, fast: true });
    this.#neighbour = neighbour;
    swarm.introduced(neighbour, { ownAgent: false, requestQueue: REQUEST_QUEUE, uploadOnly: true });
    if (pieces.isFull) swarm.haveAll(neighbour);
    else swarm.bitfield(neighbour, pieces.bytes);
    swarm.unchoke(neighbour);
  }

  // PeerLink: what the swarm says. A web server hears requests and nothing else.

  choke = nothing;
  unchoke = nothing;
  interested = nothing;
  notInterested = nothing;
  haves = nothing;
  bitfield = nothing;
  haveAll = nothing;
  haveNone = nothing;
  reject = nothing;
  suggest = nothing;
  allowedFast = nothing;
  keepAlive = nothing;
  /** It asks us for nothing. */
  dontHave = () => true;
  sendBlock = nothing;

  request(piece: number, begin: number, length: number): void {
    const neighbour = this.#neighbour;
    if (this.#hasNothing && !this.#faults.has(piece * this.#around.metainfo.pieceLength + begin, length)) {
      // It calls nobody back before it returns.
      process.nextTick(() => neighbour && this.#around.swarm.reject(neighbour, piece, begin, length));
      return;
    }
    this.#queue.push(piece, begin, length);
    if (this.#willPump) return;
    this.#willPump = true;
    process.nextTick(this.#pump);
  }

  /** What is on its way already comes all the same. */
  cancel(piece: number, begin: number, length: number): void {
    this.#queue.remove(piece, begin, length);
  }

  close(reason: string): void {
    this.#around.logger.debug({ host: this.#origin, reason }, 'web seed left');
    this.#neighbour = undefined;
    this.#queue.clear();
    this.#aborting.abort();
    this.#aborting = new AbortController();
  }

  readonly #pump = (): void => {
    this.#willPump = false;
    while (this.#running < PARALLEL_RANGES && this.#queue.size > 0) {
      this.#running++;
      this.#fetch(this.#nextRun(), this.#aborting.signal).finally(() => {
        this.#running--;
        this.#pump();
      });
    }
  };

  /** Takes requests off the queue as long as each begins where the last one ends. */
  #nextRun(): Run {
    const queue = this.#queue;
    const { pieceLength } = this.#around.metainfo;
    const run: Run = { offset: queue.firstPiece * pieceLength + queue.firstBegin, blocks: [], length: 0 };
    while (queue.size > 0 && run.length < MAX_RANGE_BYTES) {
      const { firstPiece: piece, firstBegin: begin, firstLength: length } = queue;
      if (piece * pieceLength + begin !== run.offset + run.length) break;
      run.blocks.push({ piece, begin, length });
      run.length += length;
      queue.shift();
    }
    return run;
  }

  async #fetch(run: Run, signal: AbortSignal): Promise<void> {
    const { metainfo, dispatcher } = this.#around;
    let span: FileSpan | undefined;
    const block = Buffer.allocUnsafe(Math.max(...run.blocks.map(({ length }) => length)));
    let filled = 0;
    const take = (chunk: Uint8Array) => {
      if (signal.aborted) return;
      for (let at = 0; at < chunk.length && run.blocks[0] !== undefined; ) {
        const count = Math.min(chunk.length - at, run.blocks[0].length - filled);
        block.set(chunk.subarray(at, at + count), filled);
        at += count;
        filled += count;
        if (filled < run.blocks[0].length) continue;
        filled = 0;
        this.#received(block, run);
        if (signal.aborted) return;
      }
    };
    try {
      for (span of spansOf(this.#url, metainfo, run.offset, run.length)) {
        if (span.url === undefined) take(Buffer.alloc(span.length));
        else for await (const chunk of readSpan(span, signal, dispatcher)) take(chunk);
        if (signal.aborted) return;
        this.#faults.succeeded(span.file);
      }
    } catch (error) {
      if (!signal.aborted) this.#failed(error, run, span);
    }
  }

  #received(block: Buffer, run: Run): void {
    const { swarm, clock } = this.#around;
    const { piece, begin, length } = run.blocks.shift() as Run['blocks'][number];
    if (this.#neighbour === undefined) return;
    this.#failures = 0;
    this.#fruitless = 0;
    this.#around.receiving(block, 0);
    swarm.heard(this.#neighbour, clock.now());
    swarm.block(this.#neighbour, piece, begin, length);
    swarm.settle();
  }

  #failed(error: unknown, run: Run, span: FileSpan | undefined): void {
    const { swarm, clock, logger } = this.#around;
    const neighbour = this.#neighbour;
    if (neighbour === undefined) return;
    const failure = error instanceof WebSeedFailure ? error : undefined;
    const reason = error instanceof Error ? error.message : String(error);
    const now = clock.now();
    const isOfFile = failure !== undefined && failure.scope !== 'server' && span !== undefined;
    if (isOfFile) {
      this.#faults.failed(span.file, now, failure.retryInSeconds);
      this.#fruitless++;
      this.#warnOfFile(failure, span.file);
    } else this.#warn(`${reason}; it is asked again`);
    if (!isOfFile || this.#fruitless >= MAX_FRUITLESS)
      this.#leaveAlone(now, isOfFile ? undefined : failure?.retryInSeconds);
    logger.debug({ host: this.#origin, err: error, left: run.blocks.length }, 'web seed failed');
    // What it owes is asked elsewhere.
    swarm.drop(neighbour, reason);
  }

  #leaveAlone(now: number, seconds: number | undefined): void {
    const backOff = Math.min(
      FIRST_BACK_OFF_MILLISECONDS * 2 ** Math.min(this.#failures++, 20),
      LONGEST_BACK_OFF_MILLISECONDS,
    );
    this.#notBefore =
      now + (seconds === undefined ? backOff * (0.5 + this.#around.random()) : seconds * 1000);
  }

  #warnOfFile({ message, scope }: WebSeedFailure, file: number): void {
    const { metainfo } = this.#around;
    if (metainfo.files.length === 1) {
      this.#warn(`${message}; it is asked again later`);
      return;
    }
    const text = `${message} for ${fileName(metainfo, file)}`;
    const key = scope === 'file' ? text : message;
    if (this.#said.has(key)) return;
    if (scope === 'file' && ++this.#namedFiles > MAX_NAMED_FILES)
      this.#warn('there are more files that it cannot give; they are not named');
    else this.#warn(`${text}; it is asked for other files, and for this one again later`, key);
  }

  /** Once in the life of the torrent. */
  #warn(text: string, key = text): void {
    if (this.#said.has(key) || this.#said.size >= MAX_WARNINGS) return;
    this.#said.add(key);
    const { logger, metainfo } = this.#around;
    logger.warn(
      { infoHash: metainfo.infoHashHex, host: this.#origin, err: new WebSeedFailure(text) },
      'web seed',
    );
  }
}

/** The path of a file, for people: what a terminal would obey is taken out. */
export function fileName({ name, files, isSingleFile }: Metainfo, file: number): string {
  const path = isSingleFile ? [name] : [name, ...(files[file]?.path ?? [])];
  return JSON.stringify(path.join('/').replace(/[\p{C}\u2028\u2029]/gu, '\ufffd'));
}
