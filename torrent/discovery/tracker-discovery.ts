// Peers from trackers: when to announce, to which tracker, with which event. Invariant: at most one announce of a
// torrent is under way (leave-taking apart), each tracker hears `started` before all else and `stopped` only after
// it, and without an event nothing is asked before a tracker's `min interval` (an empty first list apart).
import { type BackoffBounds, type Clock, systemClock } from '../../base/index.ts';
import { TorrentError } from '../errors.ts';
import type { AnnounceReply } from './announce-reply.ts';
import type { Discovery, PeerAddress, SwarmIdentity } from './discovery.ts';
import { HttpTrackerClient, type TrackerClient } from './tracker-client.ts';
import { type Tracker, TrackerTiers } from './tracker-tiers.ts';
import { UdpTrackerClient } from './udp-tracker-client.ts';

/** An empty first list is asked for again after these seconds (own trackers only): other nodes start just now too. */
const FIRST_LIST_RETRY_SECONDS = [0.2, 0.5, 1];

/** Backoff of our own trackers, which are near and few, and of other people's. */
const OWN_BACKOFF: BackoffBounds = { firstMilliseconds: 500, maxMilliseconds: 30_000 };
const FOREIGN_BACKOFF: BackoffBounds = { firstMilliseconds: 15_000, maxMilliseconds: 30 * 60_000 };

/** Part of the interval by which an announce may come early or late, so that not all come at once. */
const INTERVAL_JITTER = 0.05;

/** Longest time that a timer is set for: timers overflow at 2^31. */
const LONGEST_WAIT_MILLISECONDS = 24 * 60 * 60 * 1000;

/** Announces to a tracker that began anew are spread over this time. */
const ANEW_SPREAD_MILLISECONDS = 2_000;

/**
 * Where the first of our own trackers takes a torrent for another's, one of us has not heard yet of replicas that came
 * or went; it is asked again after so long, and twice as long each further time.
 */
const HANDED_ON_RETRY_SECONDS = 2;

/** Time for taking leave: nobody waits longer for a tracker that is gone. */
const STOP_TIMEOUT_MILLISECONDS = 2_000;

/** Peers asked for; twice the neighbours that a torrent may have would be too many for one list. */
const WANTED_PEERS = 80;

/** Different texts of one tracker that are told, warnings and what was left out: some count something in them. */
const MAX_WARNINGS = 3;

/** What became of one announce, for logs and metrics. */
export interface AnnounceOutcome {
  url: string;
  event: 'started' | 'completed' | 'stopped' | undefined;
  /** How many addresses came; undefined if it failed. */
  peers?: number;
  seeders?: number;
  leechers?: number;
  /**
   * The tracker's warning, or what went wrong. A warning is told once, though the tracker repeats it in each reply.
   */
  message?: string;
  /** What of the reply is malformed and was left out; told once. */
  leftOut?: string;
  error?: TorrentError;
  /** The tracker failed and is not asked again (BEP 31, `retry in never`). */
  isFinal?: boolean;
}

/** What tracker discovery is made of. */
export interface TrackerDiscoveryOptions {
  /** Announce URLs in tiers (BEP 12). */
  tiers: readonly (readonly string[])[];
  /** The trackers are our own: quick retries, gentle on nobody but ourselves. */
  ownTrackers?: boolean;
  /** Further parameters of each announce's query. */
  parameters?: Readonly<Record<string, string>>;
  /** Sent with each announce; a function is asked each time, for tokens that change. */
  headers?: Readonly<Record<string, string>> | (() => Readonly<Record<string, string>>);
  /** Peers asked for in one announce. */
  wantedPeers?: number;
  onOutcome?: (outcome: AnnounceOutcome) => void;
  client?: TrackerClient;
  clock?: Clock;
  /** Uniform in [0, 1). */
  random?: () => number;
}

/** A discovery whose trackers can be replaced while it runs. */
export interface TrackerDiscovery extends Discovery {
  /**
   * Replaces the trackers. Those that are gone are not told: a replica that ends would hand that on to the one where
   * the swarm meets from now on.
   */
  setTiers(tiers: readonly (readonly string[])[]): void;
  /**
   * A tracker began anew and knows nobody: it is told `started` again, soon if it is the one to be asked, so that
   * a seed is not missing there until its interval is over.
   */
  beganAnew(url: string): void;
}

/** Trackers are spoken to as their URL says. */
function clientOfEachKind(): TrackerClient {
  const [http, udp] = [new HttpTrackerClient(), new UdpTrackerClient()];
  return {
    announce: (request, signal) => (/^udp:/i.test(request.url) ? udp : http).announce(request, signal),
  };
}

/** Peers from trackers. */
export function trackerDiscovery(options: TrackerDiscoveryOptions): TrackerDiscovery {
  return new Announcer(options);
}

interface Running extends SwarmIdentity {
  onPeers: (addresses: PeerAddress[]) => void;
}

/** The text if it is a new one of the tracker; it counts as told then. */
function untold({ told }: Tracker, text: string | undefined): string | undefined {
  if (text === undefined || told.has(text) || told.size >= MAX_WARNINGS) return undefined;
  told.add(text);
  return text;
}

class Announcer implements TrackerDiscovery {
  readonly #options: TrackerDiscoveryOptions;
  readonly #client: TrackerClient;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #tiers: TrackerTiers;
  readonly #key: string;
  #swarm: Running | undefined;
  readonly #stopping = new AbortController();
  /** Leave-takings under way. */
  readonly #leaving = new Set<Promise<void>>();
  #isAnnouncing = false;
  /** The tracker that is being asked. */
  #asked: Tracker | undefined;
  /** Another announce is wanted as soon as the one under way is done. */
  #isWantedAgain = false;
  #isCompleted = false;
  /** Which of FIRST_LIST_RETRY_SECONDS comes next; behind the last once a list was not empty. */
  #firstListRetry = 0;
  /** How often in a row the first tracker handed an announce on. */
  #handedOn = 0;
  /** Before this, on the clock in milliseconds, no announce is made except for an event. */
  #notBeforeMilliseconds = 0;
  /** When the next announce is due. */
  #dueMilliseconds = Number.POSITIVE_INFINITY;
  /** The tracker that answered last. */
  #current: Tracker | undefined;
  #cancelTimer: () => void = () => {};

  get namesOwn(): boolean {
    return this.#options.ownTrackers === true;
  }

  constructor(options: TrackerDiscoveryOptions) {
    this.#options = options;
    this.#client = options.client ?? clientOfEachKind();
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#tiers = new TrackerTiers(
      options.tiers,
      options.ownTrackers ? OWN_BACKOFF : FOREIGN_BACKOFF,
      this.#random,
    );
    if (!options.ownTrackers) this.#firstListRetry = FIRST_LIST_RETRY_SECONDS.length;
    this.#key = Math.floor(this.#random() * 2 ** 32)
      .toString(16)
      .padStart(8, '0');
  }

  start(swarm: SwarmIdentity, onPeers: (addresses: PeerAddress[]) => void): void {
    if (this.#swarm !== undefined || this.#stopping.signal.aborted) return;
    this.#swarm = { ...swarm, onPeers };
    this.#scheduleIn(0);
  }

  announce(event: 'completed'): void {
    if (event !== 'completed' || this.#isCompleted) return;
    this.#isCompleted = true;
    this.#announceSoon();
  }

  needMore(): void {
    if (this.#swarm === undefined || this.#isAnnouncing) return;
    this.#scheduleAt(Math.min(this.#dueMilliseconds, Math.max(this.#notBeforeMilliseconds, this.#now())));
  }

  setTiers(tiers: readonly (readonly string[])[]): void {
    const firstBefore = this.#tiers.first;
    this.#tiers.replace(tiers);
    // Everybody meets at the first tracker: to come late there is to be alone.
    if (this.#tiers.first !== firstBefore) this.#announceSoon();
  }

  beganAnew(url: string): void {
    const tracker = this.#tiers.find(url);
    if (tracker === undefined) return;
    tracker.isStarted = false;
    this.#tiers.succeeded(tracker);
    if (this.#swarm === undefined) return;
    if (this.#isAnnouncing) this.#isWantedAgain = true;
    else if (tracker === this.#current || tracker === this.#tiers.first) {
      const soonMilliseconds = this.#now() + this.#random() * ANEW_SPREAD_MILLISECONDS;
      this.#scheduleAt(Math.min(this.#dueMilliseconds, soonMilliseconds));
    }
  }

  async stop(): Promise<void> {
    this.#cancelTimer();
    this.#dueMilliseconds = Number.POSITIVE_INFINITY;
    if (!this.#stopping.signal.aborted) {
      this.#stopping.abort();
      const owed = new Set(this.#tiers.started);
      // Its answer was not waited for, but it may know us by now.
      if (this.#asked !== undefined) owed.add(this.#asked);
      for (const tracker of owed) this.#leave(tracker);
      this.#swarm = undefined;
    }
    await Promise.all(this.#leaving);
  }

  #now(): number {
    return this.#clock.monotonic();
  }

  #announceSoon(): void {
    if (this.#swarm === undefined) return;
    if (this.#isAnnouncing) this.#isWantedAgain = true;
    else this.#scheduleIn(0);
  }

  #scheduleIn(milliseconds: number): void {
    this.#scheduleAt(this.#now() + milliseconds);
  }

  #scheduleAt(dueMilliseconds: number): void {
    this.#cancelTimer();
    this.#dueMilliseconds = dueMilliseconds;
    const wakeMilliseconds = Math.min(dueMilliseconds, this.#returnMilliseconds());
    if (!Number.isFinite(wakeMilliseconds) || this.#stopping.signal.aborted) return;
    // Behind the longest wait a round finds nobody to ask, and waits on.
    const delay = Math.min(Math.max(0, wakeMilliseconds - this.#now()), LONGEST_WAIT_MILLISECONDS);
    this.#cancelTimer = this.#clock.after(delay, () => void this.#round());
  }

  /**
   * When to try the trackers before the current one again: our own swarms meet at the first that answers, and a
   * seed that came back only after its interval would be missing there for minutes.
   */
  #returnMilliseconds(): number {
    if (!this.#options.ownTrackers || this.#current === undefined) return Number.POSITIVE_INFINITY;
    return Math.min(
      Number.POSITIVE_INFINITY,
      ...this.#tiers.before(this.#current).map((tracker) => tracker.notBeforeMilliseconds),
    );
  }

  /** Asks the trackers in order until one answers, and decides when to ask next. */
  async #round(): Promise<void> {
    const swarm = this.#swarm;
    if (swarm === undefined || this.#isAnnouncing) return;
    this.#isAnnouncing = true;
    this.#isWantedAgain = false;
    const now = this.#now();
    const isDue = now >= this.#dueMilliseconds;
    const candidates =
      isDue || this.#current === undefined
        ? this.#tiers.candidates(now)
        : this.#tiers.before(this.#current).filter((tracker) => tracker.notBeforeMilliseconds <= now);
    let reply: AnnounceReply | undefined;
    for (const tracker of candidates) {
      this.#asked = tracker;
      reply = await this.#ask(tracker, swarm);
      this.#asked = undefined;
      if (this.#stopping.signal.aborted) return;
      if (reply === undefined) continue;
      this.#current = tracker;
      break;
    }
    this.#isAnnouncing = false;
    if (reply !== undefined) this.#scheduleAfter(reply);
    else if (this.#isWantedAgain) this.#scheduleIn(0);
    else if (isDue) this.#scheduleAt(Math.max(this.#tiers.earliestMilliseconds(), this.#now()));
    else this.#scheduleAt(this.#dueMilliseconds);
    // Last, because whoever gets a list may do anything about it, stop() included.
    if (reply !== undefined && reply.peers.length > 0) swarm.onPeers(reply.peers);
  }

  #scheduleAfter(reply: AnnounceReply): void {
    const now = this.#now();
    this.#notBeforeMilliseconds = now + reply.minIntervalSeconds * 1000;
    if (this.#isWantedAgain) {
      this.#scheduleIn(0);
      return;
    }
    const retrySeconds = FIRST_LIST_RETRY_SECONDS[this.#firstListRetry];
    if (reply.peers.length > 0) this.#firstListRetry = FIRST_LIST_RETRY_SECONDS.length;
    else if (retrySeconds !== undefined) {
      this.#firstListRetry++;
      this.#scheduleIn(retrySeconds * 1000);
      return;
    }
    this.#handedOn = reply.isHandedOn && this.#current === this.#tiers.first ? this.#handedOn + 1 : 0;
    if (this.#handedOn > 0 && this.#options.ownTrackers) {
      const againSeconds = HANDED_ON_RETRY_SECONDS * 2 ** (this.#handedOn - 1);
      this.#scheduleIn(Math.min(againSeconds, reply.intervalSeconds) * 1000);
      return;
    }
    const jitter = 1 + INTERVAL_JITTER * (2 * this.#random() - 1);
    this.#scheduleIn(Math.max(reply.intervalSeconds * jitter, reply.minIntervalSeconds) * 1000);
  }

  /** One announce to one tracker; undefined if it failed. */
  async #ask(tracker: Tracker, swarm: Running): Promise<AnnounceReply | undefined> {
    const event = this.#eventFor(tracker, swarm);
    const reply = await this.#send(
      tracker,
      swarm,
      event,
      this.#options.wantedPeers ?? WANTED_PEERS,
      this.#stopping.signal,
    );
    if (reply === undefined) return undefined;
    tracker.isStarted = true;
    tracker.trackerId = reply.trackerId ?? tracker.trackerId;
    if (event === 'completed') tracker.knowsCompleted = true;
    // Complete in the time between: this tracker heard `started`, the other event is still owed.
    else if (this.#isCompleted && !tracker.knowsCompleted) this.#isWantedAgain = true;
    return reply;
  }

  #eventFor(tracker: Tracker, swarm: Running): 'started' | 'completed' | undefined {
    if (!tracker.isStarted) {
      // One who comes with everything never completed anything (BEP 3).
      tracker.knowsCompleted = swarm.progress().left === 0;
      return 'started';
    }
    return this.#isCompleted && !tracker.knowsCompleted ? 'completed' : undefined;
  }

  async #send(
    tracker: Tracker,
    swarm: SwarmIdentity,
    event: 'started' | 'completed' | 'stopped' | undefined,
    numwant: number,
    signal: AbortSignal,
  ): Promise<AnnounceReply | undefined> {
    const { headers, parameters, onOutcome } = this.#options;
    const { url } = tracker;
    try {
      const request = {
        url,
        infoHash: swarm.infoHash,
        peerId: swarm.peerId,
        port: swarm.port,
        localAddress: swarm.localAddress,
        totals: swarm.progress(),
        event,
        numwant,
        key: this.#key,
        trackerId: tracker.trackerId,
        parameters,
        headers: typeof headers === 'function' ? headers() : headers,
      };
      const reply = await this.#client.announce(request, signal);
      if (reply.kind === 'refusal') {
        this.#tiers.failed(tracker, this.#now(), reply.retryInSeconds);
        const error = new TorrentError('TrackerRefused', reply.reason);
        const isFinal = reply.retryInSeconds === Number.POSITIVE_INFINITY;
        // Whoever wants to hear nothing any more is not told that we leave either.
        if (isFinal) tracker.isStarted = false;
        onOutcome?.({ url, event, message: reply.reason, error, isFinal });
        return undefined;
      }
      this.#tiers.succeeded(tracker);
      const { peers, seeders, leechers } = reply;
      const message = untold(tracker, reply.warning);
      const leftOut = untold(tracker, reply.leftOut);
      onOutcome?.({ url, event, peers: peers.length, seeders, leechers, message, leftOut });
      return reply;
    } catch (cause) {
      const error =
        cause instanceof TorrentError
          ? cause
          : new TorrentError('TrackerUnreachable', `announcing failed: ${String(cause)}`, { cause });
      // Being stopped is nobody's failure.
      if (!this.#stopping.signal.aborted || event === 'stopped') {
        this.#tiers.failed(tracker, this.#now(), undefined);
        onOutcome?.({ url, event, message: error.message, error });
      }
      return undefined;
    }
  }

  /** Tells a tracker `stopped`, for as long as anybody is ready to wait. */
  #leave(tracker: Tracker): void {
    const swarm = this.#swarm;
    if (swarm === undefined) return;
    tracker.isStarted = false;
    const timeout = new AbortController();
    const cancel = this.#clock.after(STOP_TIMEOUT_MILLISECONDS, () => timeout.abort());
    const leaving = this.#send(tracker, swarm, 'stopped', 0, timeout.signal).then(() => {
      cancel();
      this.#leaving.delete(leaving);
    });
    this.#leaving.add(leaving);
  }
}
