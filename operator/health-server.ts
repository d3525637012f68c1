// /healthz, /readyz and /metrics of the operator.
import type { AddressInfo } from 'node:net';
import { fastify } from 'fastify';
import { systemCode } from '../base/index.ts';
import type { OperatorMetrics } from './metrics.ts';

/** A server that listens. */
export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Starts the server.
 *
 * @param port 0 for any
 * @param isReady whether this replica could lead: its caches are filled
 */
export async function startHealthServer(
  port: number,
  isReady: () => boolean,
  metrics: OperatorMetrics,
): Promise<HealthServer> {
  const server = fastify({ logger: false, forceCloseConnections: true, bodyLimit: 1 });
  server.get('/healthz', async () => ({ status: 'ok' }));
  server.get('/readyz', async (_, reply) => {
    if (isReady()) return { status: 'ok' };
    return reply
      .code(503)
      .send({ code: 'NotReady', message: 'the objects of the cluster are not all read yet' });
  });
  server.get('/metrics', async (_, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  );
  try {
    await server.listen({ host: '::', port });
  } catch (error) {
    // A machine without IPv6: the dual-stack address then means IPv4.
    if (systemCode(error) !== 'EAFNOSUPPORT') throw error;
    await server.listen({ host: '0.0.0.0', port });
  }
  return {
    port: (server.server.address() as AddressInfo).port,
    close: async () => {
      await server.close();
    },
  };
}
