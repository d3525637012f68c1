// One range of a torrent's bytes, read from a web server as far as blocks of it are asked for. Invariants: blocks are
// handed out in order, each once; the server is read no faster than blocks are asked for; after close() nothing is
// called any more.
import type { Dispatcher } from 'undici';
import type { Metainfo } from '../metainfo.ts';
import { readSpan } from './range-request.ts';
import { type FileSpan, spansOf } from './urls.ts';

/** So much between two blocks is read for nothing: less than another request would cost. */
const MAX_SKIPPED_BYTES = 256 * 1024;

/** A block that is asked for. */
export interface WantedBlock {
  readonly piece: number;
  readonly begin: number;
  readonly length: number;
  /** Where it begins in the torrent. */
  readonly offset: number;
}

/** Who hears of a reader. */
interface RangeReaderEvents {
  /** `buffer` has the block from `start` on, during the call only. */
  block(block: WantedBlock, buffer: Buffer, start: number): void;
  /** Bytes of the file came, all that were asked for. */
  fileRead(file: number): void;
}

/** See above. */
export class RangeReader {
  readonly #end: number;
  readonly #events: RangeReaderEvents;
  readonly #requests: WantedBlock[] = [];
  readonly #closing = new AbortController();
  /** What was read, and what was asked for. */
  #position: number;
  #askedTo: number;
  #wake: (() => void) | undefined;
  #span: FileSpan | undefined;
  #partial = Buffer.alloc(0);
  #filled = 0;

  /** Of the bytes from `offset` to before `end`. Nothing is asked of the server before read(). */
  constructor(offset: number, end: number, events: RangeReaderEvents) {
    this.#position = offset;
    this.#askedTo = offset;
    this.#end = end;
    this.#events = events;
  }

  /** True while nothing more is asked of it. */
  get isIdle(): boolean {
    return this.#requests.length === 0;
  }

  /** The file that is being read. */
  get span(): FileSpan | undefined {
    return this.#span;
  }

  /** Blocks that were asked for and have not come. */
  get owed(): number {
    return this.#requests.length;
  }

  /** Takes a request that comes next, or soon, in the range; false if it does not. */
  ask(block: WantedBlock): boolean {
    const skipped = block.offset - this.#askedTo;
    if (skipped < 0 || skipped > MAX_SKIPPED_BYTES || block.offset + block.length > this.#end) return false;
    this.#requests.push(block);
    this.#askedTo = block.offset + block.length;
    this.#wake?.();
    return true;
  }

  /** Takes a request back; false if there is none. */
  cancel(piece: number, begin: number): boolean {
    const at = this.#requests.findIndex((block) => block.piece === piece && block.begin === begin);
    if (at < 0) return false;
    this.#requests.splice(at, 1);
    if (at === 0) this.#filled = 0;
    return true;
  }

  /**
   * Reads until all of the range was handed out, or it is closed.
   *
   * @throws WebSeedFailure
   */
  async read(seed: string, metainfo: Metainfo, dispatcher?: Dispatcher): Promise<void> {
    const { signal } = this.#closing;
    for (const span of spansOf(seed, metainfo, this.#position, this.#end - this.#position)) {
      this.#span = span;
      try {
        const chunks =
          span.url === undefined ? [Buffer.alloc(span.length)] : readSpan(span, signal, dispatcher);
        for await (const chunk of chunks) if (!(await this.#take(chunk))) return;
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      this.#events.fileRead(span.file);
    }
  }

  /** Ends at once. */
  close(): void {
    this.#requests.length = 0;
    this.#closing.abort();
    this.#wake?.();
  }

  /** Hands out what is asked for; false once it is closed. */
  async #take(chunk: Buffer): Promise<boolean> {
    for (let at = 0; at < chunk.length; ) {
      while (this.#requests.length === 0 && !this.#closing.signal.aborted) await this.#nextRequest();
      if (this.#closing.signal.aborted) return false;
      const block = this.#requests[0] as WantedBlock;
      const start = block.offset + this.#filled;
      const count = Math.min(chunk.length - at, start - this.#position);
      if (count > 0) {
        at += count;
        this.#position += count;
      } else at += this.#fill(block, chunk, at);
    }
    return true;
  }

  /** Takes bytes of a block; says how many. */
  #fill(block: WantedBlock, chunk: Buffer, at: number): number {
    const count = Math.min(chunk.length - at, block.length - this.#filled);
    this.#position += count;
    if (count === block.length) {
      this.#requests.shift();
      this.#events.block(block, chunk, at);
      return count;
    }
    if (this.#partial.length < block.length) this.#partial = Buffer.allocUnsafe(block.length);
    chunk.copy(this.#partial, this.#filled, at, at + count);
    this.#filled += count;
    if (this.#filled === block.length) {
      this.#filled = 0;
      this.#requests.shift();
      this.#events.block(block, this.#partial, 0);
    }
    return count;
  }

  async #nextRequest(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }
}
