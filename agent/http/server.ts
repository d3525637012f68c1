// The agent's HTTP port: ingest for publishers, metainfo for trackers, metrics, health. Invariant: nothing but
// ingest changes anything, and ingest asks who calls before anything else.
import Fastify, { type FastifyInstance } from 'fastify';
import type { Registry } from 'prom-client';
import type { Logger } from '../../base/index.ts';
import type { Authenticator } from '../ingest/authenticate.ts';
import type { Ingest } from '../ingest/ingest.ts';
import { addIngestRoutes } from '../ingest/routes.ts';

/** What the server serves from. */
export interface AgentServerOptions {
  ingest: Ingest;
  authenticator: Authenticator;
  /** Metainfo of a swarm of this node, by info hash in 40 lower-case hex digits. */
  metainfo(infoHashHex: string): Promise<Uint8Array | undefined>;
  metrics: Registry;
  /** Why the agent is not ready; undefined when it is. */
  notReady(): string | undefined;
  logger: Logger;
}

const TORRENT_FILE = /^([0-9a-f]{40})\.torrent$/;

/** Makes the server; it does not listen yet. */
export function agentServer(options: AgentServerOptions): FastifyInstance {
  const { ingest, authenticator, metainfo, metrics, notReady, logger } = options;
  const server = Fastify({ logger: false, forceCloseConnections: true });
  addIngestRoutes(server, { ingest, authenticator, logger });

  server.get('/torrents/:file', async (request, reply) => {
    const infoHash = TORRENT_FILE.exec((request.params as { file: string }).file)?.[1];
    const bytes = infoHash === undefined ? undefined : await metainfo(infoHash);
    if (bytes === undefined)
      return reply.code(404).send({ code: 'NotFound', message: 'no such torrent here' });
    return reply.type('application/x-bittorrent').send(Buffer.from(bytes));
  });
  server.get('/metrics', async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.metrics()),
  );
  server.get('/healthz', async () => 'ok');
  server.get('/readyz', async (_request, reply) => {
    const reason = notReady();
    return reason === undefined ? 'ok' : reply.code(503).send(reason);
  });
  return server;
}
