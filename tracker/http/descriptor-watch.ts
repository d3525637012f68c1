/**
 * Says when the process has no file descriptors left. Node's server does not: it closes connections that it cannot
 * accept without a word, and clients see one that is closed before it says anything. So a descriptor is opened now and
 * then, which shows the same.
 *
 * Invariant: each time they run out is told once, and so is its end, however often connections come and go between.
 */
import { open } from 'node:fs/promises';
import type { Logger } from '../../base/index.ts';

/** They must have been there for so long before it is said that they are back. */
const BACK_AFTER_MILLISECONDS = 30_000;

/** Takes a descriptor and gives it back. @throws the error of the operating system */
async function takeDescriptor(): Promise<void> {
  await (await open('/dev/null')).close();
}

export class DescriptorWatch {
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #take: () => Promise<void>;
  /** When there were none last; undefined while that is over. */
  #missedAt: number | undefined;
  #isLooking = false;

  /**
   * @param now milliseconds of a monotonic clock
   * @param take fails with EMFILE or ENFILE while there are none
   */
  constructor(logger: Logger, now: () => number, take = takeDescriptor) {
    this.#logger = logger;
    this.#now = now;
    this.#take = take;
  }

  /** Looks whether there are any; never rejects. Call it every few seconds. */
  async look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      await this.#take();
      this.#found();
    } catch (err) {
      const { code } = err as NodeJS.ErrnoException;
      if (code === 'EMFILE' || code === 'ENFILE') this.#missed(err);
    } finally {
      this.#isLooking = false;
    }
  }

  #missed(err: unknown): void {
    if (this.#missedAt === undefined)
      this.#logger.error(
        { err },
        'no file descriptors are left, connections are refused; allow more of them (ulimit -n)',
      );
    this.#missedAt = this.#now();
  }

  #found(): void {
    if (this.#missedAt === undefined || this.#now() - this.#missedAt < BACK_AFTER_MILLISECONDS) return;
    this.#missedAt = undefined;
    this.#logger.info({}, 'there are file descriptors again');
  }
}
