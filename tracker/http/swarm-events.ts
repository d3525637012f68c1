/**
 * A stream of what changes in the swarms, for pages that show them: server-sent events, one for each swarm whose
 * counts are others than a second ago. All listeners share one look at the swarms.
 *
 * Invariant: a listener that does not read is dropped; nothing waits for it in memory beyond its socket's buffer.
 */
import type { ServerResponse } from 'node:http';
import type { SwarmRegistry } from '../swarms/registry.ts';

const LOOK_EVERY_MILLISECONDS = 1_000;
export const MAX_LISTENERS = 100;
/** Events of one look; swarms beyond it are told by the next looks. */
const MAX_EVENTS = 10_000;
/** Without events a comment keeps the connection known to be alive. */
const COMMENT_EVERY_LOOKS = 15;

/** Finds what changed between looks. */
export class SwarmChanges {
  readonly #registry: SwarmRegistry;
  /** The counts of each swarm as they were told last. */
  readonly #told = new Map<string, string>();

  constructor(registry: SwarmRegistry) {
    this.#registry = registry;
  }

  /** Events, as JSON, for what changed since the last look; a swarm that is gone has counts of 0. */
  look(): string[] {
    const events: string[] = [];
    for (const infoHash of this.#registry.infoHashes()) {
      if (events.length >= MAX_EVENTS) return events;
      const counts = this.#registry.counts(infoHash);
      if (counts === undefined) continue;
      const { seeders, leechers, partialSeeds, completed } = counts;
      const state = `"seeders":${seeders},"leechers":${leechers},"partialSeeds":${partialSeeds},"completed":${completed}`;
      if (this.#told.get(infoHash) === state) continue;
      this.#told.set(infoHash, state);
      events.push(`{"infoHash":"${infoHash}",${state}}`);
    }
    for (const infoHash of this.#told.keys()) {
      if (this.#registry.counts(infoHash) !== undefined) continue;
      this.#told.delete(infoHash);
      events.push(`{"infoHash":"${infoHash}","seeders":0,"leechers":0,"partialSeeds":0,"completed":0}`);
    }
    return events;
  }

  /** What was told so far, as events: for a listener that comes later. */
  all(): string[] {
    return [...this.#told].map(([infoHash, state]) => `{"infoHash":"${infoHash}",${state}}`);
  }

  forget(): void {
    this.#told.clear();
  }
}

const asText = (events: readonly string[]) =>
  events.map((event) => `event: swarm\ndata: ${event}\n\n`).join('');

/** Those who listen. */
export class SwarmEvents {
  readonly #changes: SwarmChanges;
  readonly #listeners = new Set<ServerResponse>();
  #timer: NodeJS.Timeout | undefined;
  #quietLooks = 0;
  #isClosed = false;

  constructor(registry: SwarmRegistry) {
    this.#changes = new SwarmChanges(registry);
  }

  /** Adds a listener, whose head is not sent yet; false if there are too many. */
  add(response: ServerResponse): boolean {
    if (this.#isClosed || this.#listeners.size >= MAX_LISTENERS) return false;
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
    });
    this.#tell(this.#changes.look()); // Brings what is told, and those who listen already, up to date.
    this.#listeners.add(response);
    response.on('close', () => this.#remove(response));
    this.#send(response, `retry: 2000\n\n${asText(this.#changes.all())}`);
    this.#timer ??= setInterval(() => this.#tell(this.#changes.look()), LOOK_EVERY_MILLISECONDS);
    return true;
  }

  /** Ends all streams; nobody listens from now on. */
  close(): void {
    this.#isClosed = true;
    for (const response of [...this.#listeners]) {
      this.#remove(response);
      response.end();
    }
  }

  #tell(events: readonly string[]): void {
    this.#quietLooks = events.length > 0 ? 0 : this.#quietLooks + 1;
    if (this.#quietLooks % COMMENT_EVERY_LOOKS > 0) return;
    const text = events.length > 0 ? asText(events) : ':\n\n';
    for (const response of [...this.#listeners]) this.#send(response, text);
  }

  #send(response: ServerResponse, text: string): void {
    // What the last look gave it is not even read.
    if (response.writableNeedDrain) {
      this.#remove(response);
      response.destroy();
    } else response.write(text);
  }

  #remove(response: ServerResponse): void {
    this.#listeners.delete(response);
    if (this.#listeners.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#changes.forget();
  }
}
