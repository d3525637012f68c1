// Writes this node's status: what others wait for at once, other transitions within about a second, storage
// figures seldom, and in the long run no more than a write a second.
//
// Invariant: what was written last is what is compared with, so that a status that did not change costs nothing;
// and a write that failed is tried again until one succeeds.
import type { NodeContentStatus } from '../../api/index.ts';
import { type BackoffBounds, backoffMilliseconds, type Clock, type Logger } from '../../base/index.ts';

/** What a writer needs. */
export interface StatusWriterOptions {
  clock: Clock;
  random(): number;
  logger: Logger;
  /** The status as it is now. */
  compose(written: NodeContentStatus | undefined): Promise<NodeContentStatus>;
  /** Writes it; rejects when the API server did not take it. */
  write(status: NodeContentStatus): Promise<void>;
}

const BATCH_MILLISECONDS = 1000;
/** Urgent writes that may follow one another before the pace of one a BATCH_MILLISECONDS holds. */
const MAX_BURST = 3;
/** Many nodes come to hold a revision in the same moment. */
const JITTER_MILLISECONDS = 250;
const STORAGE_EVERY_MILLISECONDS = 60_000;
const BACKOFF: BackoffBounds = { firstMilliseconds: 1000, maxMilliseconds: 30_000 };

/** Storage figures change with every piece: alone they are no reason to write. */
function transitions({ storage: _, summary: __, ...rest }: NodeContentStatus): string {
  return JSON.stringify(rest);
}

/** Writes the status of one node. */
export class StatusWriter {
  readonly #options: StatusWriterOptions;
  #written: NodeContentStatus | undefined;
  #writtenAt = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #cancelTimer: (() => void) | undefined;
  /** When the last of the writes so far would have been made at the even pace. */
  #paceAt = Number.NEGATIVE_INFINITY;
  #scheduledAt = Number.POSITIVE_INFINITY;
  #writing: Promise<void> | undefined;
  #isWantedAgain: 'no' | 'soon' | 'urgently' = 'no';
  #isClosed = false;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
  }

  /** Something changed that the status may tell of; `isUrgent` if somebody waits for it. */
  changed(isUrgent = false): void {
    if (this.#isClosed) return;
    // After a failure the backoff says when, whatever happens meanwhile.
    if (this.#failures > 0 && this.#cancelTimer !== undefined) return;
    if (this.#writing !== undefined) {
      if (isUrgent || this.#isWantedAgain === 'no') this.#isWantedAgain = isUrgent ? 'urgently' : 'soon';
      return;
    }
    const { clock, random } = this.#options;
    const now = clock.now();
    const pause = isUrgent ? this.#paceAt - (MAX_BURST - 1) * BATCH_MILLISECONDS - now : BATCH_MILLISECONDS;
    const wait = Math.max(0, pause) + random() * JITTER_MILLISECONDS;
    if (now + wait < this.#scheduledAt) this.#schedule(wait);
  }

  /** The object in the API is another one than the one that was written, or was changed by somebody. */
  forget(): void {
    this.#written = undefined;
    this.changed(true);
  }

  /** Ends it, after the write under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelTimer?.();
    await this.#writing;
  }

  #schedule(milliseconds: number): void {
    const { clock } = this.#options;
    this.#cancelTimer?.();
    this.#scheduledAt = clock.now() + milliseconds;
    this.#cancelTimer = clock.after(milliseconds, () => {
      this.#cancelTimer = undefined;
      this.#scheduledAt = Number.POSITIVE_INFINITY;
      if (this.#isClosed) return;
      this.#writing = this.#write().finally(() => {
        this.#writing = undefined;
        if (this.#isClosed) return;
        if (this.#isWantedAgain !== 'no') this.changed(this.#isWantedAgain === 'urgently');
      });
    });
  }

  async #write(): Promise<void> {
    const { clock, random, logger, compose, write } = this.#options;
    this.#isWantedAgain = 'no';
    try {
      const status = await compose(this.#written);
      const isTransition = this.#written === undefined || transitions(status) !== transitions(this.#written);
      const isStorageDue = clock.now() - this.#writtenAt >= STORAGE_EVERY_MILLISECONDS;
      if (!isTransition && (!isStorageDue || JSON.stringify(status) === JSON.stringify(this.#written))) {
        if (!isStorageDue) this.#schedule(this.#writtenAt + STORAGE_EVERY_MILLISECONDS - clock.now());
        else this.#schedule(STORAGE_EVERY_MILLISECONDS);
        return;
      }
      await write(status);
      this.#written = status;
      this.#writtenAt = clock.now();
      this.#paceAt = Math.max(this.#paceAt, this.#writtenAt) + BATCH_MILLISECONDS;
      this.#failures = 0;
      this.#schedule(STORAGE_EVERY_MILLISECONDS * (0.9 + 0.2 * random()));
    } catch (error) {
      this.#failures += 1;
      const wait = backoffMilliseconds(this.#failures, BACKOFF, random);
      logger.warn(
        { err: error, waitMilliseconds: Math.round(wait) },
        'the status cannot be written; trying again',
      );
      this.#schedule(wait);
    }
  }
}
