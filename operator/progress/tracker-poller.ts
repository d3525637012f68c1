// Asks the trackers how their swarms go, every 2 seconds, and only while something downloads.
import { Array as ArrayOf, Integer, Object as ObjectOf, String as StringOf } from 'typebox';
import { Check } from 'typebox/value';
import { Port, trackerName } from '../../api/index.ts';
import type { Clock, Logger } from '../../base/index.ts';
import {
  type SwarmFollower,
  type SwarmProgress,
  SwarmProgressBook,
  type SwarmReport,
} from './swarm-progress.ts';

const POLL_MILLISECONDS = 2_000;
const TIMEOUT_MILLISECONDS = 1_500;
/** An answer longer than this is none; 100,000 swarms are about 30 MB. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;

const count = () => Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const answerSchema = ObjectOf({
  swarms: ArrayOf(
    ObjectOf({
      infoHash: StringOf({ pattern: '^[0-9a-f]{40}$' }),
      seeders: count(),
      leechers: count(),
      peers: count(),
      bytesLeft: count(),
      downloadedBytes: count(),
      slowest: ArrayOf(ObjectOf({ node: StringOf({ maxLength: 253 }), bytesLeft: count() }), {
        maxItems: 100,
      }),
    }),
  ),
});

/** Where the trackers of a namespace are. */
export function trackerUrls(namespace: string, replicas: number): string[] {
  return Array.from(
    { length: replicas },
    (_, index) => `http://${trackerName(index)}.${namespace}.svc:${Port.Tracker}`,
  );
}

/** What a poller works with. */
export interface TrackerPollerParts {
  /** By number of the replica. */
  readonly urls: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
  /** Global fetch outside of tests. */
  readonly fetch: typeof fetch;
  /** Told the keys of the distributions whose swarms are followed, after each round. */
  readonly heard: (key: string) => void;
}

/** Follows swarms through the trackers. */
export class TrackerPoller implements SwarmFollower {
  readonly #parts: TrackerPollerParts;
  readonly #book = new SwarmProgressBook();
  readonly #followed = new Map<string, string>();
  #wake: (() => void) | undefined;

  constructor(parts: TrackerPollerParts) {
    this.#parts = parts;
  }

  follow(key: string, infoHash: string): void {
    this.#followed.set(key, infoHash);
    this.#wake?.();
  }

  unfollow(key: string): void {
    this.#followed.delete(key);
  }

  get(infoHash: string): SwarmProgress | undefined {
    return this.#book.get(infoHash);
  }

  /** Polls until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#followed.size === 0) {
        await this.#sleep(undefined, signal);
        continue;
      }
      await this.poll(signal);
      await this.#sleep(POLL_MILLISECONDS, signal);
    }
  }

  /** One round: every tracker at once. One that does not answer is left out of it. */
  async poll(signal: AbortSignal): Promise<void> {
    const { urls, clock, heard } = this.#parts;
    const reports = await Promise.all(
      urls.map(async (url, index) => [trackerName(index), await this.#ask(url, signal)] as const),
    );
    this.#book.record(new Map(reports), clock.now());
    for (const key of this.#followed.keys()) heard(key);
  }

  async #ask(url: string, signal: AbortSignal): Promise<readonly SwarmReport[]> {
    const { logger } = this.#parts;
    try {
      const response = await this.#parts.fetch(`${url}/swarms`, {
        redirect: 'error',
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MILLISECONDS)]),
      });
      if (!response.ok) {
        await response.body?.cancel();
        throw new Error(`HTTP status ${response.status}`);
      }
      const answer: unknown = JSON.parse(await boundedText(response));
      if (!Check(answerSchema, answer)) throw new Error('the answer is no list of swarms');
      return answer.swarms;
    } catch (error) {
      if (!signal.aborted) logger.debug({ err: error, url }, 'a tracker gave no swarms');
      return [];
    }
  }

  /** Sleeps until the time is over, the signal aborts or, without a time, something is to be followed. */
  async #sleep(milliseconds: number | undefined, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const end = () => resolve();
    const timer = milliseconds === undefined ? undefined : setTimeout(end, milliseconds);
    if (milliseconds === undefined) this.#wake = end;
    signal.addEventListener('abort', end, { once: true });
    await promise;
    clearTimeout(timer);
    this.#wake = undefined;
    signal.removeEventListener('abort', end);
  }
}

async function boundedText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.byteLength;
    if (length > MAX_ANSWER_BYTES) throw new Error(`the answer is longer than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
