// A web server as a peer of the swarm (BEP 19): it has everything, lets us ask, and takes nothing. Invariants: what
// it gives goes the way of every block, through the piece's hash; a request ends as a block or a refusal, unless it
// was taken back; after an error it is left alone for a time that doubles, and so is a file that it cannot give, apart
// from others; each trouble is told once; what stands in its URL besides the origin is told nobody.
import type { Dispatcher } from 'undici';
import { type BackoffBounds, backoffMilliseconds, type Logger, type Stopwatch } from '../../base/index.ts';
import type { Metainfo } from '../metainfo.ts';
import type { BlockIntake, PeerLink } from '../swarm/host.ts';
import type { Peer } from '../swarm/peers/peer.ts';
import type { Swarm } from '../swarm/swarm.ts';
import { FileFaults } from './file-faults.ts';
import { RangeReader, type WantedBlock } from './range-reader.ts';
import { WebSeedFailure } from './range-request.ts';
import { Warnings } from './warnings.ts';

/** Requests to the server at a time: while one waits for its first byte another one brings some. */
const PARALLEL_RANGES = 3;

/** Beside peers a range goes so far; twice as far after each that was read to its end, as peers leave such gaps. */
const FIRST_REACH_BYTES = 256 * 1024;
const LONGEST_REACH_BYTES = 64 * 1024 * 1024;

/** Small files go into one range until it has so many bytes: they are fewer than what is asked ahead. */
const LEAST_RANGE_BYTES = 256 * 1024;

/** A range that nobody asks for is kept open this long. */
const IDLE_MILLISECONDS = 10_000;

/** A server that failed is left alone for this long. */
const BACKOFF: BackoffBounds = { firstMilliseconds: 1000, maxMilliseconds: 10 * 60_000 };

/** After so many files that cannot be had, and none that can, it is the server that is left alone. */
const MAX_FRUITLESS = 8;

/** Whether there is something to fetch is looked at so often while there is nothing. */
const LOOK_MILLISECONDS = 1000;

/** What a web server lets wait. */
const REQUEST_QUEUE = 512;

function nothing(): void {}

/** What a web seed needs of its torrent. */
export interface WebSeedSurroundings {
  readonly metainfo: Metainfo;
  readonly swarm: Swarm;
  readonly clock: Stopwatch;
  readonly random: () => number;
  readonly logger: Pick<Logger, 'debug' | 'warn'>;
  readonly dispatcher?: Dispatcher;
  /** Nobody tells of peers: all may come from web seeds. */
  readonly isAlone: boolean;
  readonly blocks: BlockIntake;
}

/** One web seed. */
export class WebSeed implements PeerLink {
  /** What a ban names. */
  readonly identity: string;
  readonly pendingBytes = 0;
  readonly #around: WebSeedSurroundings;
  readonly #url: string;
  readonly #origin: string;
  readonly #readers = new Set<RangeReader>();
  /** Blocks that no range is read for yet. */
  #waiting: WantedBlock[] = [];
  #willOpen = false;
  /** How far a range goes. */
  #reachBytes = FIRST_REACH_BYTES;
  /** Since when all that is read is asked for no more. */
  #idleSince: number | undefined;
  readonly #faults: FileFaults;
  readonly #warnings: Warnings;
  /** Files that could not be had since some bytes came. */
  #fruitless = 0;
  /** No missing piece is one that it has the whole of, for the files' sake. */
  #hasNothing = false;
  #peer: Peer | undefined;
  #failures = 0;
  #notBefore = 0;
  #isOver = false;

  /** @param url of http or https; may name user and password */
  constructor(url: string, around: WebSeedSurroundings) {
    this.#url = url;
    this.#origin = new URL(url).origin;
    this.identity = `web seed ${this.#origin}`;
    this.#around = around;
    this.#warnings = new Warnings(this.#origin, around);
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
      if (this.#peer !== undefined) swarm.drop(this.#peer, 'files are tried again');
    }
    // All that it has whole is here: it joins again with what it has in part.
    if (this.#peer?.availability.useful === 0 && !this.#hasNothing && this.#faults.out.length > 0)
      swarm.drop(this.#peer, 'it has no other whole piece');
    const isIdle = this.#readers.size > 0 && [...this.#readers].every((reader) => reader.isIdle);
    this.#idleSince = isIdle ? (this.#idleSince ?? now) : undefined;
    if (this.#idleSince !== undefined && now - this.#idleSince > IDLE_MILLISECONDS)
      for (const reader of this.#readers) this.#abandon(reader);
    this.#openSoon();
    // It has nothing to say while it is asked for nothing.
    if (this.#peer !== undefined) swarm.heard(this.#peer, now);
    else if (!this.#isOver && !swarm.isComplete && !swarm.paused && now >= this.#notBefore) this.#join(now);
  }

  /** It gave bytes that failed their hash: nothing more is asked of it. */
  ban(reason: string): void {
    this.#warnings.say(`${reason}; it is asked no more`);
    this.end(reason);
  }

  /** Nothing more is asked of it. */
  end(reason: string): void {
    this.#isOver = true;
    if (this.#peer !== undefined) this.#around.swarm.drop(this.#peer, reason);
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
    const peer = swarm.connect(this, { identity: this.identity, fast: true });
    this.#peer = peer;
    swarm.introduced(peer, { ownAgent: false, requestQueue: REQUEST_QUEUE, uploadOnly: true });
    swarm.readInOrder(peer, this.#around.isAlone);
    if (pieces.isFull) swarm.haveAll(peer);
    else swarm.bitfield(peer, pieces.bytes);
    swarm.unchoke(peer);
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
    const peer = this.#peer;
    const offset = piece * this.#around.metainfo.pieceLength + begin;
    if (this.#hasNothing && !this.#faults.has(offset, length)) {
      // It calls nobody back before it returns.
      process.nextTick(() => peer && this.#around.swarm.reject(peer, piece, begin, length));
      return;
    }
    const block = { piece, begin, length, offset };
    for (const reader of this.#readers) if (reader.ask(block)) return;
    this.#waiting.push(block);
    this.#openSoon();
  }

  cancel(piece: number, begin: number): void {
    for (const reader of this.#readers) if (reader.cancel(piece, begin)) return;
    const at = this.#waiting.findIndex((block) => block.piece === piece && block.begin === begin);
    if (at >= 0) this.#waiting.splice(at, 1);
  }

  close(reason: string): void {
    this.#around.logger.debug({ host: this.#origin, reason }, 'web seed left');
    this.#peer = undefined;
    this.#waiting = [];
    for (const reader of this.#readers) reader.close();
    this.#readers.clear();
  }

  #openSoon(): void {
    if (this.#willOpen || this.#waiting.length === 0) return;
    this.#willOpen = true;
    process.nextTick(this.#open);
  }

  /** Begins ranges for what waits, in the place of those that nobody asks for any more if need be. */
  readonly #open = (): void => {
    this.#willOpen = false;
    // Whether a server that failed gives anything is found out with one request at a time.
    const most = this.#failures + this.#fruitless === 0 ? PARALLEL_RANGES : 1;
    for (const reader of this.#readers) {
      if (this.#waiting.length === 0 || this.#readers.size < most) break;
      if (reader.isIdle) this.#abandon(reader);
    }
    while (this.#readers.size < most && this.#waiting.length > 0) {
      const [{ offset }] = this.#waiting as [WantedBlock];
      const reader = new RangeReader(offset, this.#endOfRange(), {
        block: (block, buffer, start) => {
          this.#received(block, buffer, start);
          if (reader.isIdle) this.#openSoon();
        },
        fileRead: (file) => this.#faults.succeeded(file),
      });
      this.#waiting = this.#waiting.filter((block) => !reader.ask(block));
      this.#readers.add(reader);
      void this.#read(reader);
    }
  };

  /**
   * Where a range ends that begins with what waits first: behind what waits already and follows it; further while
   * ranges are read to their ends, and as far as all is missing if nobody else gives anything; in no case beyond
   * the block in which a file ends, once it is of some length, as the next file is another request anyhow.
   */
  #endOfRange(): number {
    const { metainfo, swarm } = this.#around;
    const { pieceLength, totalBytes, files } = metainfo;
    const { blockBytes } = swarm.geometry;
    const [{ offset: start }] = this.#waiting as [WantedBlock];
    let end = start;
    for (const block of this.#waiting) if (block.offset === end) end += block.length;
    const reach = swarm.peers.length === 1 ? totalBytes : this.#reachBytes;
    for (let piece = Math.floor(end / pieceLength); end < start + reach; piece++) {
      const isOver = piece * pieceLength >= totalBytes || swarm.held.get(piece);
      if (isOver || !this.#peer?.pieces.get(piece)) break;
      end = Math.min((piece + 1) * pieceLength, totalBytes);
    }
    const least = Math.min(start + LEAST_RANGE_BYTES, totalBytes);
    const file = files.find(({ offsetBytes, lengthBytes }) => offsetBytes + lengthBytes >= least);
    const fileEnd = file === undefined ? end : file.offsetBytes + file.lengthBytes;
    const inPiece = fileEnd % pieceLength;
    const blockEnd = Math.min(Math.ceil(inPiece / blockBytes) * blockBytes, pieceLength);
    return Math.min(end, fileEnd - inPiece + blockEnd);
  }

  async #read(reader: RangeReader): Promise<void> {
    try {
      await reader.read(this.#url, this.#around.metainfo, this.#around.dispatcher);
      if (this.#readers.delete(reader))
        this.#reachBytes = Math.min(2 * this.#reachBytes, LONGEST_REACH_BYTES);
    } catch (error) {
      if (!this.#readers.delete(reader)) return;
      // A server may end what is not read.
      if (reader.isIdle) this.#reachBytes = FIRST_REACH_BYTES;
      else this.#failed(error, reader);
    }
    this.#open();
  }

  /** Nobody asks for the rest of the range. */
  #abandon(reader: RangeReader): void {
    this.#reachBytes = FIRST_REACH_BYTES;
    this.#readers.delete(reader);
    reader.close();
  }

  #received({ piece, begin, length }: WantedBlock, buffer: Buffer, start: number): void {
    const { swarm, clock } = this.#around;
    if (this.#peer === undefined) return;
    this.#failures = 0;
    this.#fruitless = 0;
    swarm.heard(this.#peer, clock.monotonic());
    const verdict = swarm.block(this.#peer, piece, begin, length);
    if (verdict !== 'discard')
      this.#around.blocks.keep(piece, begin, buffer, start, length, verdict === 'finish');
    swarm.settle();
  }

  #failed(error: unknown, { span, owed }: RangeReader): void {
    const { swarm, clock, logger } = this.#around;
    const peer = this.#peer;
    if (peer === undefined) return;
    const failure = error instanceof WebSeedFailure ? error : undefined;
    const reason = error instanceof Error ? error.message : String(error);
    const now = clock.monotonic();
    const isOfFile = failure !== undefined && failure.scope !== 'server' && span !== undefined;
    if (isOfFile) {
      this.#faults.failed(span.file, now, failure.retryInSeconds);
      this.#fruitless++;
      this.#warnings.ofFile(failure, span.file);
    } else this.#warnings.say(`${reason}; it is asked again`);
    if (!isOfFile || this.#fruitless >= MAX_FRUITLESS)
      this.#leaveAlone(now, isOfFile ? undefined : failure?.retryInSeconds);
    logger.debug({ host: this.#origin, err: error, left: owed }, 'web seed failed');
    // What it owes is asked elsewhere.
    swarm.drop(peer, reason);
  }

  #leaveAlone(now: number, seconds: number | undefined): void {
    this.#failures++;
    const wait =
      seconds === undefined
        ? backoffMilliseconds(this.#failures, BACKOFF, this.#around.random)
        : seconds * 1000;
    this.#notBefore = now + wait;
  }
}
