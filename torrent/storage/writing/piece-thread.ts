// The process's thread for hashing and writing pieces. Invariants: every piece that is handed in is answered, in
// order, or fails when the thread does; the thread is there only while there is work, and for a while afterwards.
// Measured (a leecher of 1 GiB on 2 cores): hashing and writing took 2.0 of 3.1 s of the main loop's CPU time. A thread
// takes some 60 ms of CPU time to start, when there is least of it to spare: only pieces that come fast are worth one.
import { Worker } from 'node:worker_threads';
import { TorrentError } from '../../errors.ts';
import { workerUrl } from '../../worker-url.ts';
import type { PiecePart, PieceWrite, PieceWritten, WrittenPart } from './piece-write.ts';

/** A thread without work ends after this long: it holds some 10 MB. */
const IDLE_MILLISECONDS = 10_000;

/** Pieces that come slower than this, in bytes a second, hold up the main loop for less than a tenth of its time. */
const WORTH_BYTES_PER_SECOND = 32 * 1024 * 1024;

/** A piece of more bytes would hold it up for more than a millisecond. */
const LONG_PIECE_BYTES = 1024 * 1024;

/** Old and young generation of its heap, in MB: pieces lie in shared memory, outside of it. */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 };

/** A piece on its way to the thread. */
interface SentPiece {
  /** Of its memory. */
  readonly number: number;
  /** The memory, the first time. */
  readonly shown: SharedArrayBuffer | undefined;
  readonly lengthBytes: number;
  readonly expected: Uint8Array;
  readonly parts: readonly PiecePart[];
}

/** What is sent to the thread. */
export interface PieceMessage {
  /** Numbers of memory that is no more. */
  readonly forgotten: readonly number[];
  readonly pieces: readonly SentPiece[];
}

interface Waiting {
  written: ((parts: readonly WrittenPart[]) => void) | undefined;
  resolve(outcome: 'verified' | 'corrupt'): void;
  reject(error: Error): void;
}

/** How a PieceThread behaves; for tests. */
export interface PieceThreadOptions {
  idleMilliseconds?: number;
  worthBytesPerSecond?: number;
}

/** A thread that is started when it is needed. */
export class PieceThread {
  readonly #idleMilliseconds: number;
  readonly #worthBytesPerSecond: number;
  #worker: Worker | undefined;
  /** True once `#worker` runs. */
  #isReady = false;
  /** Bytes that came in the second that began then. */
  #bytes = 0;
  #since = 0;
  /** Handed in and not yet sent: what comes in one go leaves in one message. */
  #unsent: PieceWrite[] = [];
  /**
   * Memory that the thread knows, by number: pieces use the same buffers again and again, and to show one anew each
   * time was measured to set off a garbage collection there for every 50 MB.
   */
  #numbers = new WeakMap<ArrayBufferLike, number>();
  #lastNumber = 0;
  #forgotten: number[] = [];
  readonly #gone = new FinalizationRegistry<number>((number) => this.#forgotten.push(number));
  /** In the order of the answers. */
  #waiting: Waiting[] = [];
  #idling: NodeJS.Timeout | undefined;

  constructor({ idleMilliseconds, worthBytesPerSecond }: PieceThreadOptions = {}) {
    this.#idleMilliseconds = idleMilliseconds ?? IDLE_MILLISECONDS;
    this.#worthBytesPerSecond = worthBytesPerSecond ?? WORTH_BYTES_PER_SECOND;
  }

  /**
   * True if a piece that has come should be handed in; else it is better hashed and written where it is. Once pieces
   * come fast, the thread starts, and takes them as soon as it runs.
   */
  wants(lengthBytes: number): boolean {
    if (this.#isReady || lengthBytes > LONG_PIECE_BYTES || this.#worthBytesPerSecond === 0) return true;
    const now = performance.now();
    if (now - this.#since > 1000) {
      this.#since = now;
      this.#bytes = 0;
    }
    this.#bytes += lengthBytes;
    if (this.#bytes >= this.#worthBytesPerSecond && this.#worker === undefined) this.#idle(this.#start());
    return false;
  }

  /**
   * Hashes a piece, which begins its shared memory, and, if it is good, writes it. `written` is then told of its
   * parts, in the order in which pieces were written.
   * @throws the system's error (`code`, `message`), TorrentError DiskIo if the thread fails.
   */
  write(
    piece: PieceWrite,
    written?: (parts: readonly WrittenPart[]) => void,
  ): Promise<'verified' | 'corrupt'> {
    if (this.#unsent.length === 0) queueMicrotask(this.#send);
    this.#unsent.push(piece);
    return new Promise((resolve, reject) => this.#waiting.push({ written, resolve, reject }));
  }

  /** Ends the thread; for tests. What waits fails. */
  async close(): Promise<void> {
    clearTimeout(this.#idling);
    await this.#worker?.terminate();
  }

  readonly #send = (): void => {
    clearTimeout(this.#idling);
    const worker = this.#worker ?? this.#start();
    worker.ref();
    const message: PieceMessage = {
      forgotten: this.#forgotten,
      pieces: this.#unsent.map((piece) => this.#sent(piece)),
    };
    this.#forgotten = [];
    this.#unsent = [];
    worker.postMessage(message);
  };

  #sent({ data, expected, parts }: PieceWrite): SentPiece {
    const memory = data.buffer as SharedArrayBuffer;
    const known = this.#numbers.get(memory);
    const number = known ?? ++this.#lastNumber;
    if (known === undefined) {
      this.#numbers.set(memory, number);
      this.#gone.register(memory, number);
    }
    const shown = known === undefined ? memory : undefined;
    // Of a view, all that it is a view of would be sent along.
    return { number, shown, lengthBytes: data.length, expected: Uint8Array.from(expected), parts };
  }

  #start(): Worker {
    const worker = new Worker(workerUrl('storage/writing/piece-worker'), { resourceLimits: RESOURCE_LIMITS });
    worker.on('online', () => {
      this.#isReady = this.#worker === worker;
    });
    worker.on('message', (outcomes: PieceWritten[]) => this.#answered(worker, outcomes));
    worker.on('error', (error) => this.#failed(worker, error));
    worker.on('exit', () => this.#failed(worker, undefined));
    this.#worker = worker;
    this.#numbers = new WeakMap();
    return worker;
  }

  #answered(worker: Worker, outcomes: readonly PieceWritten[]): void {
    const answered = this.#waiting.splice(0, outcomes.length);
    for (const [index, { written, resolve, reject }] of answered.entries()) {
      const outcome = outcomes[index] as PieceWritten;
      if (outcome === 'corrupt') resolve(outcome);
      else if ('code' in outcome) reject(Object.assign(new Error(outcome.message), { code: outcome.code }));
      else {
        written?.(outcome);
        resolve('verified');
      }
    }
    if (this.#waiting.length === 0) this.#idle(worker);
  }

  #idle(worker: Worker): void {
    // It keeps the process alive while it works, and no longer.
    worker.unref();
    this.#idling = setTimeout(() => this.#retire(worker), this.#idleMilliseconds).unref();
  }

  /** Ends a thread without work. From here on pieces go to the next one: this one would lose them while it ends. */
  #retire(worker: Worker): void {
    if (this.#worker === worker) this.#forget();
    void worker.terminate();
  }

  #forget(): void {
    this.#worker = undefined;
    this.#isReady = false;
  }

  /** The next piece starts another thread. */
  #failed(worker: Worker, cause: unknown): void {
    if (this.#worker !== worker) return;
    this.#forget();
    clearTimeout(this.#idling);
    const error = new TorrentError('DiskIo', 'the thread that hashes and writes pieces ended', { cause });
    // What was not sent yet goes to the next thread.
    const lost = this.#waiting.splice(0, this.#waiting.length - this.#unsent.length);
    for (const { reject } of lost) reject(error);
  }
}
