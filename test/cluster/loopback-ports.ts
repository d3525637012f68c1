/**
 * Free TCP ports on 127.0.0.1 for servers that must be given one. They lie below the range from which the
 * kernel takes ports for outgoing connections: a server that is stopped for a while finds its port free again,
 * and a client that keeps trying the closed port cannot be given that port itself and meet only itself.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { ClusterError } from './errors.ts';

const FIRST_PORT = 15_000;
/** Where most kernels begin to take ports for outgoing connections. */
const USUAL_EPHEMERAL_START = 32_768;
const TRIES = 1000;

/** That many different ports on which nothing listens. */
export async function freeLoopbackPorts(
  count: number,
  random: () => number = Math.random,
): Promise<number[]> {
  const end = Math.max(FIRST_PORT + 1000, await ephemeralStart());
  const ports = new Set<number>();
  for (let tries = 0; ports.size < count; tries += 1) {
    if (tries === TRIES) throw new ClusterError('NotReady', `No free ports from ${FIRST_PORT} to ${end}.`);
    const port = FIRST_PORT + Math.floor(random() * (end - FIRST_PORT));
    if (!ports.has(port) && (await isFree(port))) ports.add(port);
  }
  return [...ports];
}

async function ephemeralStart(): Promise<number> {
  const text = await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').catch(() => '');
  const start = Number.parseInt(text, 10);
  return Number.isNaN(start) ? USUAL_EPHEMERAL_START : start;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
