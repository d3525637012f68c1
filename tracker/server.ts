/**
 * The tracker's HTTP side: announce, scrape, .torrent files, swarms in JSON, health and metrics. It decides
 * nothing; it finds who answers and puts the answer into HTTP. Whatever a stranger sends gets an answer of the
 * 2xx or 4xx kind or a closed connection.
 */
import type { AddressInfo } from 'node:net';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import type { Announcer } from './announcer.ts';
import { type IndexEntry, indexPage, MAX_INDEX_ENTRIES } from './index-page.ts';
import type { TrackerLogger } from './logger.ts';
import type { MetainfoStore } from './metainfo-store.ts';
import type { TrackerMetrics } from './metrics.ts';
import type { SwarmRegistry } from './registry.ts';
import type { SwarmSummary } from './swarm.ts';
import type { KnownTorrent, TorrentList } from './torrents.ts';
import type { WaitingRoom } from './waiting-room.ts';

/** Agents announce every 10 s; their connections outlive that. */
const KEEP_ALIVE_MILLISECONDS = 30_000;
/** A request must be here in whole by then. */
const REQUEST_MILLISECONDS = 10_000;
const MAX_CONNECTIONS = 50_000;
/** Line and headers of a request; Node answers 431 to more. */
const MAX_HEADER_BYTES = 16_384;
const INFO_HASH = /^[0-9a-f]{40}$/;

/** What the routes need. */
export interface ServerParts {
  readonly announcer: Announcer;
  readonly torrents: TorrentList;
  readonly registry: SwarmRegistry;
  readonly metainfo: MetainfoStore;
  readonly metrics: TrackerMetrics;
  /** Called with the info hash of each swarm that gets its first seed. */
  readonly holders: WaitingRoom;
  /** How long a request for a .torrent file waits for a holder to come. */
  readonly holderWaitMilliseconds: number;
  readonly logger: TrackerLogger;
  /** Seconds of a monotonic clock. */
  readonly nowSeconds: () => number;
  /** True once the tracker is to end. */
  readonly isEnding: () => boolean;
}

/** The query of a request as it came, one char a byte. */
function rawQuery({ raw }: FastifyRequest): string {
  const url = raw.url ?? '';
  const at = url.indexOf('?');
  return at < 0 ? '' : url.slice(at + 1);
}

function httpServer(logger: TrackerLogger): FastifyInstance {
  const server = fastify({
    logger: false,
    keepAliveTimeout: KEEP_ALIVE_MILLISECONDS,
    requestTimeout: REQUEST_MILLISECONDS,
    http: { maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: REQUEST_MILLISECONDS },
    // Queries are read as bytes, by announce and scrape themselves.
    routerOptions: { querystringParser: () => ({}), ignoreTrailingSlash: true },
    bodyLimit: 1, // Nothing here takes a body.
  });
  server.server.maxConnections = MAX_CONNECTIONS;
  server.setNotFoundHandler((_, reply) => problem(reply, 404, 'NotFound', 'there is nothing at this path'));
  server.setErrorHandler<Error & { statusCode?: number }>((error, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500) logger.error({ err: error, path: request.raw.url?.slice(0, 200) }, 'unexpected error');
    return status >= 500
      ? problem(reply, 500, 'InternalError', 'unexpected error; the log says more')
      : problem(reply, status, 'BadRequest', error.message);
  });
  return server;
}

function problem(reply: FastifyReply, status: number, code: string, message: string): FastifyReply {
  return reply.code(status).type('application/json').send({ code, message });
}

/** The routes of announce, scrape, metainfo and swarms. */
export function trackerServer(parts: ServerParts): FastifyInstance {
  const server = httpServer(parts.logger);
  addTrackerRoutes(server, parts);
  addMetainfoRoutes(server, parts);
  addSwarmRoutes(server, parts);
  server.get('/healthz', async () => ({ status: 'ok' }));
  server.get('/readyz', async (_, reply) => {
    if (parts.isEnding()) return problem(reply, 503, 'Ending', 'this tracker is ending');
    if (!parts.torrents.isSynced)
      return problem(reply, 503, 'NotReady', 'the list of torrents is not read yet');
    return { status: 'ok' };
  });
  return server;
}

/** The route of metrics: on the tracker's own server, or on one of its own. */
export function addMetricsRoute(server: FastifyInstance, metrics: TrackerMetrics): void {
  server.get('/metrics', async (_, reply) => {
    const { contentType, body } = await metrics.text();
    return reply.type(contentType).send(body);
  });
}

/** A server for metrics alone. */
export function metricsServer(metrics: TrackerMetrics, logger: TrackerLogger): FastifyInstance {
  const server = httpServer(logger);
  addMetricsRoute(server, metrics);
  return server;
}

/**
 * Listens.
 *
 * @returns the port, which is another than the one asked for if that was 0
 */
export async function listen(server: FastifyInstance, host: string, port: number): Promise<number> {
  try {
    await server.listen({ host, port });
  } catch (error) {
    // A machine without IPv6: the dual-stack default then means IPv4.
    if (host !== '::' || (error as NodeJS.ErrnoException).code !== 'EAFNOSUPPORT') throw error;
    await server.listen({ host: '0.0.0.0', port });
  }
  return (server.server.address() as AddressInfo).port;
}

function addTrackerRoutes(server: FastifyInstance, { announcer, metrics, nowSeconds }: ServerParts): void {
  // The address of the connection is the only one believed: X-Forwarded-For is anyone's to write.
  server.get('/announce', async (request, reply) => {
    const start = nowSeconds();
    const answer = await announcer.announce(rawQuery(request), request.raw.socket.remoteAddress);
    metrics.announced(answer, nowSeconds() - start);
    return reply.header('content-type', 'text/plain').header('cache-control', 'no-store').send(answer.body);
  });
  server.get('/scrape', async (request, reply) => {
    const answer = announcer.scrape(rawQuery(request));
    metrics.scraped(answer);
    return reply.header('content-type', 'text/plain').header('cache-control', 'no-store').send(answer.body);
  });
}

function addMetainfoRoutes(server: FastifyInstance, parts: ServerParts): void {
  const { torrents, registry, metainfo, metrics, holders, holderWaitMilliseconds } = parts;

  server.get('/torrents', async (_, reply) => {
    const entries: IndexEntry[] = [];
    const all = served(torrents, registry);
    for (const { infoHashHex, name, totalBytes } of all.slice(0, MAX_INDEX_ENTRIES)) {
      const counts = registry.counts(infoHashHex) ?? { seeders: 0, leechers: 0, completed: 0 };
      entries.push({ infoHashHex, name, totalBytes, ...counts });
    }
    return reply.type('text/html').send(indexPage(entries, all.length));
  });

  server.get<{ Params: { file: string } }>('/torrents/:file', async (request, reply) => {
    const infoHashHex = request.params.file.replace(/\.torrent$/, '').toLowerCase();
    if (!INFO_HASH.test(infoHashHex) || torrents.get(infoHashHex) === undefined) {
      metrics.metainfoServed('unknown');
      return problem(reply, 404, 'UnknownTorrent', 'this tracker does not serve such a torrent');
    }
    let stored = await metainfo.get(infoHashHex);
    if (stored === undefined && (await holders.wait(infoHashHex, holderWaitMilliseconds)))
      stored = await metainfo.get(infoHashHex);
    if (stored === undefined) {
      metrics.metainfoServed('missing');
      reply.header('retry-after', '1');
      return problem(reply, 404, 'NoHolder', 'no holder of this torrent gave its metainfo yet; ask again');
    }
    reply.header('etag', stored.etag).header('cache-control', 'no-cache');
    if (request.headers['if-none-match']?.split(/\s*,\s*/).includes(stored.etag)) {
      metrics.metainfoServed('unchanged');
      return reply.code(304).send();
    }
    metrics.metainfoServed('found');
    return reply
      .type('application/x-bittorrent')
      .header('content-disposition', `attachment; filename="${infoHashHex}.torrent"`)
      .send(Buffer.from(stored.bytes.buffer, stored.bytes.byteOffset, stored.bytes.byteLength));
  });
}

/** Torrents on the list, and, where any is served, those that somebody announced. */
function served(torrents: TorrentList, registry: SwarmRegistry): KnownTorrent[] {
  const all = [...torrents.list()];
  const listed = new Set(all.map(({ infoHashHex }) => infoHashHex));
  for (const infoHashHex of registry.infoHashes()) if (!listed.has(infoHashHex)) all.push({ infoHashHex });
  return all;
}

function addSwarmRoutes(server: FastifyInstance, { torrents, registry }: ServerParts): void {
  const nobody = (infoHash: string): SwarmSummary => ({
    infoHash,
    seeders: 0,
    leechers: 0,
    completed: 0,
    peers: 0,
    bytesLeft: 0,
    uploadedBytes: 0,
    downloadedBytes: 0,
    slowest: [],
  });

  server.get('/swarms', async () => ({
    swarms: [...registry.infoHashes()].map((infoHash) => registry.summary(infoHash) ?? nobody(infoHash)),
  }));

  server.get<{ Params: { infoHash: string } }>('/swarms/:infoHash', async (request, reply) => {
    const infoHash = request.params.infoHash.toLowerCase();
    if (!INFO_HASH.test(infoHash) || torrents.get(infoHash) === undefined)
      return problem(reply, 404, 'UnknownTorrent', 'this tracker does not serve such a torrent');
    return registry.summary(infoHash) ?? nobody(infoHash);
  });
}
