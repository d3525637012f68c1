/**
 * A tracker from its parts to its end: registry, list of torrents, metainfo, HTTP. Everything with a lifetime
 * starts and stops here.
 */
import { performance } from 'node:perf_hooks';
import type { FastifyInstance } from 'fastify';
import type { Logger } from '../base/index.ts';
import { Announcer } from './announce/announcer.ts';
import { nodeTimer, WaitingRoom } from './announce/waiting-room.ts';
import { DescriptorWatch } from './http/descriptor-watch.ts';
import { addMetricsRoute, listen, metricsServer, type ServerParts, trackerServer } from './http/server.ts';
import { SwarmEvents } from './http/swarm-events.ts';
import { TrackerMetrics } from './metrics.ts';
import { type ReplicaSettings, Replicas } from './replicas/replicas.ts';
import { AgentTokens, type TokenJudge } from './rights/agent-tokens.ts';
import { AgentRights, type Rights } from './rights/rights.ts';
import { type RegistryLimits, SwarmRegistry } from './swarms/registry.ts';
import { askHolderOverHttp, HOLDER_PORT } from './torrents/holder.ts';
import { MetainfoStore } from './torrents/metainfo-store.ts';
import type { TorrentList } from './torrents/torrents.ts';
import { startUdpServer, type UdpServer } from './udp/udp-server.ts';
import type { UdpTrackerParts } from './udp/udp-tracker.ts';

const EXPIRE_EVERY_MILLISECONDS = 5_000;
const LOOK_FOR_DESCRIPTORS_EVERY_MILLISECONDS = 1_000;
/** How long requests that run may take to end when the tracker does. */
const DRAIN_MILLISECONDS = 5_000;
const MAX_WAITING = 20_000;

/** Where to listen; port 0 takes any that is free. */
export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

export interface TrackerSettings {
  readonly torrents: TorrentList;
  /** Where to listen: one address, or several. */
  readonly listen: HostAndPort | readonly HostAndPort[];
  /** Where /metrics is served instead of on the main port. */
  readonly metrics?: HostAndPort | undefined;
  /** Listens over UDP too, on the same hosts and ports. */
  readonly udp?: boolean;
  /** Who may announce; everybody, unless said otherwise. */
  readonly rights?: Rights | undefined;
  /**
   * Judges the tokens of agents: they may announce then, and they alone state their node, zone and address;
   * `rights` are those of all others, who have none where it is absent.
   */
  readonly judgeToken?: TokenJudge | undefined;
  /** The replicas of which this is one. */
  readonly replicas?: ReplicaSettings | undefined;
  /** How much of an answer may be of the asker's own zone while others are to be had, 0 to 1. */
  readonly localShare?: number | undefined;
  readonly limits?: Partial<RegistryLimits>;
  /** How long an announce for an unknown torrent waits for it to come to the list (0: not at all). */
  readonly arrivalWaitMilliseconds?: number;
  /** How long a request for a .torrent file waits for the torrent's first holder (0: not at all). */
  readonly holderWaitMilliseconds?: number;
  /** Where holders serve metainfo. */
  readonly holderPort?: number;
  readonly logger: Logger;
  readonly random?: () => number;
}

export interface RunningTracker {
  /** The first one of `ports`. */
  readonly port: number;
  /** Of each address that is listened on, in the order they were given. */
  readonly ports: readonly number[];
  /** Of the server for metrics, where there is one. */
  readonly metricsPort: number | undefined;
  /** Takes no more requests, answers those that run, and ends. */
  close(): Promise<void>;
}

/**
 * Starts a tracker.
 *
 * @throws the error of the operating system if it cannot listen
 */
export async function startTracker(settings: TrackerSettings): Promise<RunningTracker> {
  const { torrents, logger, random = Math.random } = settings;
  const now = () => performance.now();
  let ending = false;
  const waitingRoom = () => new WaitingRoom({ maxWaiting: MAX_WAITING, startTimer: nodeTimer });
  const arrivals = waitingRoom();
  const holders = waitingRoom();
  const registry = new SwarmRegistry({
    now: now(),
    random,
    localShare: settings.localShare,
    limits: settings.limits,
  });
  const askHolder = askHolderOverHttp(settings.holderPort ?? HOLDER_PORT);
  const metainfo = new MetainfoStore({ torrents, registry, askHolder, logger, now });
  const replicas = settings.replicas && new Replicas(settings.replicas, logger, now);
  const events = new SwarmEvents(registry);
  const metrics = new TrackerMetrics({ torrents, registry, metainfo, forwarded: replicas?.counts });
  const { judgeToken, rights } = settings;
  const tokens = judgeToken && new AgentTokens({ judge: judgeToken, logger, now });
  const allowed = tokens ? new AgentRights(rights) : rights;
  const announcer = new Announcer({
    torrents,
    registry,
    arrivals,
    arrivalWaitMilliseconds: settings.arrivalWaitMilliseconds ?? 0,
    ...(allowed && { rights: allowed }),
    tokens,
    replicas,
    random,
    now,
  });

  registry.onFirstSeed((infoHashHex) => holders.call(infoHashHex));
  const stopFollowing = torrents.onChange(({ added, removed }) => {
    for (const infoHashHex of added) arrivals.call(infoHashHex);
    for (const infoHashHex of removed) {
      registry.drop(infoHashHex);
      metainfo.forget(infoHashHex);
    }
  });
  const expiry = setInterval(() => registry.expire(now()), EXPIRE_EVERY_MILLISECONDS);
  const descriptors = new DescriptorWatch(logger, now);
  const watching = setInterval(() => void descriptors.look(), LOOK_FOR_DESCRIPTORS_EVERY_MILLISECONDS);

  const parts: ServerParts = {
    announcer,
    torrents,
    registry,
    metainfo,
    metrics,
    holders,
    events,
    replicas,
    withTokens: tokens !== undefined,
    holderWaitMilliseconds: settings.holderWaitMilliseconds ?? 0,
    logger,
    nowSeconds: () => now() / 1000,
    isEnding: () => ending,
  };
  const addresses = [settings.listen].flat();
  const servers = addresses.map(() => trackerServer(parts));
  const forMetrics = settings.metrics && metricsServer(metrics, logger);
  if (forMetrics === undefined) for (const server of servers) addMetricsRoute(server, metrics);

  const udp: UdpServer[] = [];
  const udpParts: UdpTrackerParts = {
    announcer,
    logger,
    now,
    answered: (answer, seconds) => metrics.announced(answer, seconds),
    scraped: () => metrics.scraped({ outcome: 'ok' }),
    dropped: () => metrics.udpDropped(),
  };
  const close = async () => {
    ending = true;
    stopFollowing();
    clearInterval(expiry);
    clearInterval(watching);
    arrivals.close();
    holders.close();
    events.close();
    metainfo.close();
    // Closes idle connections at once and waits for the others; whoever keeps one busy is cut off in the end.
    const cut = setTimeout(() => {
      for (const { server } of servers) server.closeAllConnections();
    }, DRAIN_MILLISECONDS);
    await Promise.all([...servers, ...udp, ...(forMetrics ? [forMetrics] : [])].map((one) => one.close()));
    await replicas?.close();
    clearTimeout(cut);
  };

  try {
    const ports: number[] = [];
    for (const [number, { host, port }] of addresses.entries()) {
      ports.push(await listen(servers[number] as FastifyInstance, host, port));
      if (settings.udp) udp.push(await startUdpServer(udpParts, host, ports[number] as number));
    }
    const metricsPort =
      forMetrics && (await listen(forMetrics, settings.metrics?.host ?? '', settings.metrics?.port ?? 0));
    return { port: ports[0] as number, ports, metricsPort, close };
  } catch (error) {
    await close();
    throw error;
  }
}
