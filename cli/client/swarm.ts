/** What download and seed have in common: a session that listens, where its peers come from, and its log. */
import ipaddr from 'ipaddr.js';
import type { Logger } from '../../base/index.ts';
import {
  boundYoungGeneration,
  DEFAULT_MEMORY_BYTES,
  type Discovery,
  MIN_MEMORY_BYTES,
  type PeerAddress,
  processMemory,
  staticPeers,
  trackerDiscovery,
} from '../../torrent/index.ts';
import { type PolicyName, Session, type Torrent, type TransferLimits } from '../../torrent/session/index.ts';
import { inOneLine, UsageError } from '../errors.ts';
import { parseListenAddress } from '../options/listen-address.ts';
import { checkUrls, TRACKER_PROTOCOLS } from '../options/urls.ts';
import type { ProgramContext } from '../run.ts';
import type { Report } from '../terminal/report.ts';

/** Where BitTorrent listens by custom; where that is taken and nothing else was asked for, any port will do. */
const DEFAULT_LISTEN = { host: '::', port: 6881 };

const PROGRESS_MILLISECONDS = 1000;

/** Ranges of addresses, as ipaddr.js names them, that are ours or our network's. */
const NEAR_RANGES = ['loopback', 'private', 'uniqueLocal', 'linkLocal'];

/** Options that download and seed share. */
export interface SwarmOptions {
  readonly listen?: string;
  readonly peer?: readonly string[];
  /** Besides those of the torrent. */
  readonly tracker?: readonly string[];
  /** Bytes per second; 0 is no limit. */
  readonly up?: number;
  readonly down?: number;
  readonly policy: PolicyName;
  /** Bytes. */
  readonly memory?: number;
  readonly json?: boolean;
}

/** Parses `--peer HOST:PORT`. @throws UsageError */
export function parsePeers(peers: readonly string[] = []): PeerAddress[] {
  return peers.map((text) => {
    const { host, port } = parseListenAddress('--peer', text);
    if (port === 0 || text.startsWith(':') || text.startsWith('[]'))
      throw new UsageError(`--peer is '${text}'; it must be HOST:PORT, for example 192.0.2.7:6881`);
    return { host, port };
  });
}

/**
 * A session that listens, and has said where.
 *
 * @throws UsageError for a bad address, Error if it cannot listen there
 */
export async function listen(
  options: SwarmOptions,
  context: ProgramContext,
  report: Report,
): Promise<Session> {
  processMemory.setBudget(budgetOf(options));
  boundYoungGeneration();
  const address =
    options.listen === undefined ? DEFAULT_LISTEN : parseListenAddress('--listen', options.listen);
  const start = async (port: number) => {
    const session = new Session({
      listen: { ...(address.host === '::' ? {} : { host: address.host }), port },
      limits: limitsOf(options),
      logger: engineLogger(context, report),
    });
    await session.start();
    report.listening(address.host, session.port);
    return session;
  };
  try {
    return await start(address.port);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE' && options.listen === undefined) return start(0);
    throw new Error(
      `cannot listen on ${options.listen ?? `port ${address.port}`}: ${inOneLine(error)}; use --listen HOST:PORT`,
      { cause: error },
    );
  }
}

function budgetOf({ memory = DEFAULT_MEMORY_BYTES }: SwarmOptions): number {
  if (memory >= MIN_MEMORY_BYTES) return memory;
  throw new UsageError(`--memory is ${memory} bytes; it must be at least 64Mi`);
}

function limitsOf({ up, down }: SwarmOptions): TransferLimits {
  return {
    ...(up ? { uploadBytesPerSecond: up } : {}),
    ...(down ? { downloadBytesPerSecond: down } : {}),
  };
}

/** Tiers of trackers (BEP 12): those that were named, each on its own, then the torrent's. @throws UsageError */
export function tiersWith(
  named: readonly string[] | undefined,
  announceList: readonly (readonly string[])[],
): (readonly string[])[] {
  const trackers = named ?? [];
  checkUrls('--tracker', trackers, TRACKER_PROTOCOLS);
  return [...trackers.map((url) => [url]), ...announceList];
}

/** True for a tracker on this machine or in its private network: one of our own, which may be asked often. */
function isNear(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  if (host === 'localhost') return true;
  return ipaddr.isValid(host) && NEAR_RANGES.includes(ipaddr.parse(host).range());
}

/** Where peers come from: the torrent's trackers, and those that were named. */
export function discoveryOf(
  tiers: readonly (readonly string[])[],
  peers: readonly PeerAddress[],
  report: Report,
): Discovery[] {
  const failing = new Set<string>();
  const discovery: Discovery[] = [];
  if (peers.length > 0) discovery.push(staticPeers(peers));
  if (tiers.length > 0) {
    discovery.push(
      trackerDiscovery({
        tiers,
        ownTrackers: tiers.flat().every(isNear),
        onOutcome({ url, error, message, leftOut, isFinal }) {
          // Once, until it is well again: a tracker may be away for long.
          if (error === undefined) failing.delete(url);
          else if (isFinal || !failing.has(url))
            report.warn(
              `tracker ${originOf(url)}: ${inOneLine(error)}; it is ${isFinal ? 'not ' : ''}tried again`,
            );
          if (error !== undefined) failing.add(url);
          else if (message !== undefined) report.warn(`tracker ${originOf(url)} says: ${message}`);
          if (leftOut !== undefined)
            report.warn(`tracker ${originOf(url)} sends odd peers, of which the rest is used: ${leftOut}`);
        },
      }),
    );
  }
  return discovery;
}

/** A tracker for messages: the rest of its URL may be a person's key. */
function originOf(url: string): string {
  if (!URL.canParse(url)) return url;
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}`;
}

/** Warnings in plain lines; with ENXAME_LOG_LEVEL set, everything as JSON lines. */
function engineLogger({ env, logger }: ProgramContext, report: Report): Logger {
  if (env.ENXAME_LOG_LEVEL) return logger;
  const warn = (fields: object, message: string) => {
    const { err, host } = fields as { err?: unknown; host?: string };
    const details = [host, err === undefined ? undefined : inOneLine(err)].filter(
      (text) => text !== undefined,
    );
    report.warn(details.length === 0 ? message : `${message}: ${details.join(': ')}`);
  };
  return { debug() {}, info() {}, warn, error: warn };
}

/** Files on the disk are looked at so often, and less often where that takes long. */
const CHECK_MILLISECONDS = 10_000;
/** Of the time, looking at files takes no more than one part of so many. */
const CHECK_SHARE = 20;

/** Looks now and then, whenever it is called in between, whether somebody else changed the torrent's files. */
export class FileChecks {
  readonly #torrent: Torrent;
  #nextAt = performance.now() + CHECK_MILLISECONDS;
  #isChecking = false;

  constructor(torrent: Torrent) {
    this.#torrent = torrent;
  }

  tick(): void {
    const begun = performance.now();
    if (this.#isChecking || begun < this.#nextAt) return;
    this.#isChecking = true;
    void this.#torrent.checkFiles().then(() => {
      const ended = performance.now();
      this.#nextAt = ended + Math.max(CHECK_MILLISECONDS, CHECK_SHARE * (ended - begun));
      this.#isChecking = false;
    });
  }
}

/** What was lost, in one line: `fate` says what becomes of it. */
export function damageText(pieces: number, files: readonly string[], fate: string): string {
  const [first = 'a file', ...more] = files;
  const others = more.length === 0 ? '' : ` and ${more.length} more`;
  return `${first}${others} changed on the disk: ${pieces} ${pieces === 1 ? 'piece' : 'pieces'} lost, ${fate}`;
}

/** Does the work; calls `tell` each second meanwhile. */
export async function whileTelling<T>(tell: () => void, work: () => Promise<T>): Promise<T> {
  const telling = setInterval(tell, PROGRESS_MILLISECONDS);
  try {
    return await work();
  } finally {
    clearInterval(telling);
  }
}

/** Resolves when every piece is held, also once more after losses. @throws the disk's error, or the reason of the signal */
export function completion(torrent: Torrent, signal: AbortSignal): Promise<void> {
  return unlessItFails(torrent, signal, (resolve, reject) => {
    const look = () => {
      if (torrent.complete) resolve();
      else if (signal.aborted) reject(signal.reason);
    };
    torrent.on('verified', look);
    signal.addEventListener('abort', look);
    look();
    return () => {
      torrent.off('verified', look);
      signal.removeEventListener('abort', look);
    };
  });
}

/** Resolves when the signal aborts. @throws the disk's error */
export function untilStopped(torrent: Torrent, signal: AbortSignal): Promise<void> {
  return unlessItFails(torrent, signal, (resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', resolve);
    return () => signal.removeEventListener('abort', resolve);
  });
}

async function unlessItFails(
  torrent: Torrent,
  signal: AbortSignal,
  wait: (resolve: () => void, reject: (reason: unknown) => void) => () => void,
): Promise<void> {
  let leave = () => {};
  try {
    await new Promise<void>((resolve, reject) => {
      const stop = wait(resolve, reject);
      torrent.on('error', reject);
      leave = () => {
        stop();
        torrent.off('error', reject);
      };
      if (torrent.error !== undefined && !signal.aborted) reject(torrent.error);
    });
  } finally {
    leave();
  }
}
