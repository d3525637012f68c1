// A web server as a peer of the swarm (BEP 19): it has everything, lets us ask, and takes nothing. Invariants: what
// it gives goes the way of every block, through the piece's hash; a request ends as a block or a refusal, unless it
// was taken back; after an error it is left alone for a time that doubles.
import type { Dispatcher } from 'undici';
import type { Metainfo } from '../metainfo.ts';
import type { PeerLink } from '../swarm/host.ts';
import type { Neighbour } from '../swarm/neighbour.ts';
import { RequestQueue } from '../swarm/request-queues.ts';
import type { Swarm } from '../swarm/swarm.ts';
import { readSpan, WebSeedFailure } from './range-request.ts';
import { spansOf } from './urls.ts';

/** Requests to the server at a time: while one waits for its first byte another one brings some. */
const PARALLEL_RANGES = 3;

/** Bytes of one request; blocks that follow each other go together. */
const MAX_RANGE_BYTES = 4 * 1024 * 1024;

/** A server that failed is left alone for this long, doubled each time, with jitter. */
const FIRST_BACK_OFF_MILLISECONDS = 1000;
const LONGEST_BACK_OFF_MILLISECONDS = 10 * 60_000;

/** Web seeds of one torrent that are used. */
const MAX_WEB_SEEDS = 16;

/** What a web server lets wait. */
const REQUEST_QUEUE = 512;

function nothing(): void {}

/** What a web seed needs of its torrent. */
export interface WebSeedSurroundings {
  readonly metainfo: Metainfo;
  readonly swarm: Swarm;
  readonly clock: { now(): number };
  readonly random: () => number;
  readonly logger: { debug(fields: object, message: string): void };
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
  readonly url: string;
  /** What a ban names. */
  readonly identity: string;
  readonly pendingBytes = 0;
  readonly #around: WebSeedSurroundings;
  readonly #queue = new RequestQueue();
  #neighbour: Neighbour | undefined;
  #aborting = new AbortController();
  #running = 0;
  #willPump = false;
  #failures = 0;
  #notBefore = 0;
  #isOver = false;

  private constructor(url: string, around: WebSeedSurroundings) {
    this.url = url;
    this.identity = `web seed ${new URL(url).origin}`;
    this.#around = around;
  }

  /** The web seeds of a torrent: of its URLs the first ones that are of web servers. */
  static all(urls: readonly string[], around: WebSeedSurroundings): WebSeed[] {
    return [...new Set(urls)]
      .filter((url) => URL.canParse(url) && /^https?:$/.test(new URL(url).protocol))
      .slice(0, MAX_WEB_SEEDS)
      .map((url) => new WebSeed(url, around));
  }

  /** Every 100 ms: joins the swarm when there is something to fetch. */
  tick(now: number): void {
    const { swarm } = this.#around;
    // It has nothing to say while it is asked for nothing.
    if (this.#neighbour !== undefined) swarm.heard(this.#neighbour, now);
    else if (!this.#isOver && !swarm.isComplete && !swarm.paused && now >= this.#notBefore) this.#join();
  }

  /** It gave bytes that failed their hash, or the torrent ends: nothing more is asked of it. */
  end(reason: string): void {
    this.#isOver = true;
    if (this.#neighbour !== undefined) this.#around.swarm.drop(this.#neighbour, reason);
  }

  #join(): void {
    const { swarm } = this.#around;
    const neighbour = swarm.connect(this, { identity: this.identity, fast: true });
    this.#neighbour = neighbour;
    swarm.introduced(neighbour, { ownAgent: false, requestQueue: REQUEST_QUEUE, uploadOnly: true });
    swarm.haveAll(neighbour);
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
    this.#around.logger.debug({ url: this.url, reason }, 'web seed left');
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
    const block = Buffer.allocUnsafe(Math.max(...run.blocks.map(({ length }) => length)));
    let filled = 0;
    const take = (chunk: Uint8Array) => {
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
      for (const span of spansOf(this.url, metainfo, run.offset, run.length)) {
        if (span.url === undefined) take(Buffer.alloc(span.length));
        else for await (const chunk of readSpan(span, signal, dispatcher)) take(chunk);
        if (signal.aborted) return;
      }
    } catch (error) {
      if (!signal.aborted) this.#failed(error, run);
    }
  }

  #received(block: Buffer, run: Run): void {
    const { swarm, clock } = this.#around;
    const { piece, begin, length } = run.blocks.shift() as Run['blocks'][number];
    if (this.#neighbour === undefined) return;
    this.#failures = 0;
    this.#around.receiving(block, 0);
    swarm.heard(this.#neighbour, clock.now());
    swarm.block(this.#neighbour, piece, begin, length);
    swarm.settle();
  }

  #failed(error: unknown, run: Run): void {
    const { swarm, clock, logger, random } = this.#around;
    const neighbour = this.#neighbour;
    if (neighbour === undefined) return;
    const seconds = error instanceof WebSeedFailure ? error.retryInSeconds : undefined;
    const backOff = Math.min(
      FIRST_BACK_OFF_MILLISECONDS * 2 ** Math.min(this.#failures++, 20),
      LONGEST_BACK_OFF_MILLISECONDS,
    );
    const wait = seconds === undefined ? backOff * (0.5 + random()) : seconds * 1000;
    this.#notBefore = clock.now() + wait;
    logger.debug({ url: this.url, err: error, left: run.blocks.length, wait }, 'web seed failed');
    // What it owes is asked elsewhere.
    swarm.drop(neighbour, error instanceof Error ? error.message : String(error));
  }
}
