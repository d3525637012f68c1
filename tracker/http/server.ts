/**
 * The tracker's HTTP side: announce, scrape, .torrent files, swarms in JSON, health and metrics. It decides
 * nothing; it finds who answers and puts the answer into HTTP. Whatever a stranger sends gets an answer of the
 * 2xx or 4xx kind or a closed connection.
 */
import { type IncomingMessage, METHODS } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Readable } from 'node:stream';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { type Logger, systemCode } from '../../base/index.ts';
import type { Announcer, Answer } from '../announce/announcer.ts';
import type { RawAnnounce } from '../announce/raw-announce.ts';
import type { WaitingRoom } from '../announce/waiting-room.ts';
import type { TrackerMetrics } from '../metrics.ts';
import { FORWARDED_HEADER } from '../replicas/forwarded-announce.ts';
import type { Replicas } from '../replicas/replicas.ts';
import { bearerToken, type Credentials, NO_CREDENTIALS } from '../rights/rights.ts';
import { compactHost } from '../swarms/peer-address.ts';
import type { SwarmRegistry } from '../swarms/registry.ts';
import { NO_COUNTS } from '../swarms/swarm.ts';
import type { SwarmSummary } from '../swarms/swarm-summary.ts';
import type { MetainfoStore } from '../torrents/metainfo-store.ts';
import type { KnownTorrent, TorrentList } from '../torrents/torrents.ts';
import { AnnounceConnections } from './announce-connections.ts';
import { ConnectionsOfHosts } from './connections-of-hosts.ts';
import { type IndexEntry, indexPage, MAX_INDEX_ENTRIES } from './index-page.ts';
import type { SwarmEvents } from './swarm-events.ts';
import { swarmList } from './swarm-list.ts';
import { UnreadableRequests } from './unreadable-requests.ts';

/** Agents announce every 10 s; their connections outlive that. */
const KEEP_ALIVE_MILLISECONDS = 30_000;
/** Answers must be read by then. */
const WRITE_MILLISECONDS = 15_000;
/** A request must be here in whole by then. */
const REQUEST_MILLISECONDS = 10_000;
const MAX_CONNECTIONS = 50_000;
/** Of one address, or one /64 of IPv6: many clients may be behind one that translates. */
const MAX_CONNECTIONS_OF_HOST = 2_000;
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
  readonly events: SwarmEvents;
  /** The other trackers of several. */
  readonly replicas: Replicas | undefined;
  /** Announces are asked for bearer tokens. */
  readonly withTokens: boolean;
  /** How long a request for a .torrent file waits for a holder to come. */
  readonly holderWaitMilliseconds: number;
  readonly logger: Logger;
  /** Seconds of a monotonic clock. */
  readonly nowSeconds: () => number;
  /** True once the tracker is to end. */
  readonly isEnding: () => boolean;
}

/** The query of a request as it came, one char a byte. */
function rawQuery({ url = '' }: IncomingMessage): string {
  const at = url.indexOf('?');
  return at < 0 ? '' : url.slice(at + 1);
}

/** @param announce answers announces ahead of everything else */
function httpServer(
  logger: Logger,
  announce?: (announce: RawAnnounce) => Answer | Promise<Answer>,
  withTokens = false,
): FastifyInstance {
  const unreadable = new UnreadableRequests();
  const server = fastify({
    logger: false,
    clientErrorHandler: unreadable.take,
    keepAliveTimeout: KEEP_ALIVE_MILLISECONDS,
    requestTimeout: REQUEST_MILLISECONDS,
    http: {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: REQUEST_MILLISECONDS,
      // Refused below: what Node answers by itself it answers ahead of requests that came before.
      requireHostHeader: false,
    },
    // Queries are read as bytes, by announce and scrape themselves.
    routerOptions: { querystringParser: () => ({}), ignoreTrailingSlash: true },
    bodyLimit: 1, // Nothing here takes a body.
  });
  server.server.maxConnections = MAX_CONNECTIONS;
  unreadable.watch(server.server);
  // No body is wanted, and Node says so in the middle of the answers to requests that came before.
  server.server.on('checkContinue', (request, response) => server.server.emit('request', request, response));
  server.addHook('onRequest', async ({ raw }, reply) => {
    // Node loses what came together with a wish to speak another protocol: it is the last request.
    if (raw.headers.upgrade !== undefined) reply.header('connection', 'close');
    if (raw.headers.host === undefined && raw.httpVersion === '1.1')
      return problem(reply, 400, 'BadRequest', 'a request of HTTP/1.1 must have a Host header');
  });
  refuseOtherMethods(server);
  if (announce !== undefined) takeAnnounces(server, announce, withTokens, logger);
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

/** Gives each path that is added the answer to the methods that it does not take (RFC 9110, 405 and Allow). */
function refuseOtherMethods(server: FastifyInstance): void {
  for (const method of METHODS) if (!server.supportedMethods.includes(method)) server.addHttpMethod(method);
  server.addHook('onRoute', ({ method, url, exposeHeadRoute = true }) => {
    if (method !== 'GET') return;
    const allowed = exposeHeadRoute ? ['GET', 'HEAD'] : ['GET'];
    const refuse = async (_: unknown, reply: FastifyReply) =>
      problem(
        reply.header('allow', allowed.join(', ')),
        405,
        'MethodNotAllowed',
        `this path takes ${allowed.join(' and ')} alone`,
      );
    // Before a body is read.
    const others = server.supportedMethods.filter((other) => !allowed.includes(other));
    server.route({ method: others, url, onRequest: refuse, handler: refuse });
  });
}

function problem(reply: FastifyReply, status: number, code: string, message: string): FastifyReply {
  return reply.code(status).type('application/json').send({ code, message });
}

/** The routes of announce, scrape, metainfo and swarms. */
export function trackerServer(parts: ServerParts): FastifyInstance {
  const announce = measured(parts);
  const server = httpServer(parts.logger, announce, parts.withTokens);
  addAnnounceRoute(server, announce, parts.replicas);
  addScrapeRoute(server, parts);
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
export function metricsServer(metrics: TrackerMetrics, logger: Logger): FastifyInstance {
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
    if (host !== '::' || systemCode(error) !== 'EAFNOSUPPORT') throw error;
    await server.listen({ host: '0.0.0.0', port });
  }
  return (server.server.address() as AddressInfo).port;
}

/** Lets announces be answered on their sockets, and everything else, as before, by the HTTP server. */
function takeAnnounces(
  fastifyServer: FastifyInstance,
  answer: (announce: RawAnnounce) => Answer | Promise<Answer>,
  withTokens: boolean,
  logger: Logger,
): void {
  const { server } = fastifyServer;
  const accept = server.listeners('connection') as ((socket: Socket) => void)[];
  server.removeAllListeners('connection');
  const connections = new AnnounceConnections({
    answer,
    handOver: (socket) => {
      for (const listener of accept) listener.call(server, socket);
    },
    keepAliveMilliseconds: KEEP_ALIVE_MILLISECONDS,
    writeMilliseconds: WRITE_MILLISECONDS,
    withTokens,
    failed: (err) => logger.error({ err }, 'unexpected error'),
  });
  const ofHost = new ConnectionsOfHosts(MAX_CONNECTIONS_OF_HOST);
  server.on('connection', (socket: Socket) => {
    if (ofHost.takes(socket)) connections.take(socket);
  });
  fastifyServer.addHook('preClose', async () => connections.close());
}

function addAnnounceRoute(
  server: FastifyInstance,
  answer: (announce: RawAnnounce) => Answer | Promise<Answer>,
  replicas: Replicas | undefined,
): void {
  // Those that do not come whole, or close their connection.
  // The address of the connection is the only one believed, but for what another replica sealed: X-Forwarded-For is
  // anyone's to write.
  const reply = async (raw: IncomingMessage, key: string | undefined) => {
    const token = bearerToken(`\r\nauthorization: ${raw.headers.authorization ?? ''}\r\n`);
    const credentials = token === undefined ? { key } : { key, token };
    const host = compactHost(raw.socket.remoteAddress);
    return (await answer({ query: rawQuery(raw), host, credentials })).body;
  };
  // Whoever asks for the head alone announces nothing.
  const options = { exposeHeadRoute: false };
  server.get('/announce', options, async ({ raw }, to) => {
    const sealed = raw.headers[FORWARDED_HEADER];
    if (sealed === undefined) return sendBencoded(to, await reply(raw, undefined));
    const forwarded = typeof sealed === 'string' ? replicas?.open(sealed) : undefined;
    if (forwarded === undefined) return to.code(403).send('not from a replica of this tracker\n');
    const { body, outcome } = await answer(forwarded);
    // The replica that asks knows of the torrent, and asks again.
    const isUnknown = outcome === 'UnknownTorrent' || outcome === 'NotReady';
    return sendBencoded(isUnknown ? to.code(404) : to, body);
  });
  server.get<{ Params: { key: string } }>('/announce/:key', options, async ({ raw, params }, to) =>
    sendBencoded(to, await reply(raw, params.key)),
  );
}

/** Counts and times what an announcer answers. */
function measured({ announcer, metrics, nowSeconds }: ServerParts) {
  return (announce: RawAnnounce): Answer | Promise<Answer> => {
    const start = nowSeconds();
    const answer = announcer.announce(announce);
    if (!(answer instanceof Promise)) {
      metrics.announced(answer, nowSeconds() - start);
      return answer;
    }
    return answer.then((late) => {
      metrics.announced(late, nowSeconds() - start);
      return late;
    });
  };
}

const sendBencoded = (reply: FastifyReply, body: string) =>
  reply
    .header('content-type', 'text/plain')
    .header('cache-control', 'no-store')
    .send(Buffer.from(body, 'latin1'));

function addScrapeRoute(server: FastifyInstance, { announcer, metrics }: ServerParts): void {
  const scrape = ({ raw }: FastifyRequest, reply: FastifyReply, credentials: Credentials) => {
    const answer = announcer.scrape(rawQuery(raw), credentials);
    metrics.scraped(answer);
    return sendBencoded(reply, answer.body);
  };
  server.get('/scrape', async (request, reply) => scrape(request, reply, NO_CREDENTIALS));
  // Clients make the scrape URL of the announce URL: they put `scrape` in the place of `announce` (BEP 48).
  server.get<{ Params: { key: string } }>('/scrape/:key', async (request, reply) =>
    scrape(request, reply, { key: request.params.key }),
  );
}

function addMetainfoRoutes(server: FastifyInstance, parts: ServerParts): void {
  const { torrents, registry, metainfo, metrics, holders, holderWaitMilliseconds } = parts;

  server.get('/torrents', async (_, reply) => {
    const entries: IndexEntry[] = [];
    const all = served(torrents, registry);
    for (const { infoHashHex, name, totalBytes } of all.slice(0, MAX_INDEX_ENTRIES)) {
      const counts = registry.counts(infoHashHex) ?? NO_COUNTS;
      const { seeders, leechers, completed } = counts;
      entries.push({ infoHashHex, name, totalBytes, seeders, leechers, completed });
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

function addSwarmRoutes(server: FastifyInstance, { torrents, registry, events }: ServerParts): void {
  const nobody = (infoHash: string): SwarmSummary => ({
    infoHash,
    ...NO_COUNTS,
    peers: 0,
    bytesLeft: 0,
    uploadedBytes: 0,
    downloadedBytes: 0,
    uploadRate: 0,
    downloadRate: 0,
    progressPercent: undefined,
    slowest: [],
  });

  const figures = (infoHash: string) => registry.summary(infoHash, torrents.get(infoHash)?.totalBytes);

  server.get('/swarms', (_, reply) =>
    reply
      .type('application/json; charset=utf-8')
      .send(Readable.from(swarmList(registry.infoHashes(), figures), { objectMode: false })),
  );

  server.get('/swarms/events', { exposeHeadRoute: false }, (_, reply) => {
    if (!events.add(reply.raw)) problem(reply, 503, 'TooManyListeners', 'too many listen already');
    else reply.hijack();
  });

  server.get<{ Params: { infoHash: string } }>('/swarms/:infoHash', async (request, reply) => {
    const infoHash = request.params.infoHash.toLowerCase();
    if (!INFO_HASH.test(infoHash) || torrents.get(infoHash) === undefined)
      return problem(reply, 404, 'UnknownTorrent', 'this tracker does not serve such a torrent');
    return figures(infoHash) ?? nobody(infoHash);
  });
}
