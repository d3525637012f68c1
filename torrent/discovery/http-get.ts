// GET over HTTP and HTTPS for small answers. Node's own client, of either kind when it is first used: undici and TLS
// were measured to be a third of the CPU time of a command's start.
// Invariant: connections to one origin are few, and kept for the next announce.
import type { Agent, AgentOptions, IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { lookupServer } from './name-lookups.ts';

/** Time for a connection to stand: a replica that is gone must not hold up the next one. */
const CONNECT_TIMEOUT_MILLISECONDS = 5_000;

/** Connections are the process's: hundreds of torrents announce to the same few trackers. */
const AGENT_OPTIONS: AgentOptions = { keepAlive: true, maxSockets: 4, timeout: 30_000 };

const agents = new Map<string, Agent>();

/** How a GET is made. */
export interface GetOptions {
  readonly headers: Readonly<Record<string, string>>;
  /** Ends the request and the reading of its answer. */
  readonly signal: AbortSignal;
  /** Makes the connections; the process's own by default. */
  readonly agent?: Agent | undefined;
  /** The address that it leaves from; only names' addresses of the same family are tried then. */
  readonly localAddress?: string | undefined;
}

/**
 * Asks for a URL of the kind http: or https:. The caller reads the answer's body or destroys it.
 * @throws what the connection failed of, and the signal's reason
 */
export async function get(url: URL, options: GetOptions): Promise<IncomingMessage> {
  const { headers, localAddress, signal } = options;
  const from = localAddress === undefined ? {} : { localAddress, family: isIP(localAddress) };
  const client = url.protocol === 'https:' ? await import('node:https') : await import('node:http');
  const agent = options.agent ?? agents.get(url.protocol) ?? new client.Agent(AGENT_OPTIONS);
  if (options.agent === undefined) agents.set(url.protocol, agent);
  return new Promise((resolve, reject) => {
    const request = client.get(url, { agent, headers, signal, lookup: lookupServer, ...from });
    let connecting: NodeJS.Timeout | undefined;
    request.once('socket', (socket) => {
      if (!socket.connecting) return;
      const late = () => request.destroy(new Error('no connection in time'));
      connecting = setTimeout(late, CONNECT_TIMEOUT_MILLISECONDS);
      socket.once('connect', () => clearTimeout(connecting));
    });
    request.once('response', resolve);
    request.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(connecting);
      if (signal.aborted) reject(signal.reason);
      // A kept connection that the other end had just closed: the request never arrived.
      else if (request.reusedSocket && error.code === 'ECONNRESET') resolve(get(url, options));
      else reject(error);
    });
  });
}
