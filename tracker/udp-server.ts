/**
 * The tracker over UDP (BEP 15), on the same registry as over HTTP. A datagram is answered by one datagram at
 * most, and before its sender has proved its address by none that is longer.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Announcer, Answer } from './announcer.ts';
import { ConnectionIds } from './connection-ids.ts';
import { TrackerError } from './errors.ts';
import type { TrackerLogger } from './logger.ts';
import { compactHost } from './peer-address.ts';
import { NO_CREDENTIALS } from './rights.ts';
import {
  connectAnswer,
  readUdpRequest,
  type UdpRequest,
  udpAnnounceAnswer,
  udpErrorAnswer,
  udpScrapeAnswer,
} from './udp-message.ts';

const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
/** Where the path of the announce URL holds the key. */
const KEY_IN_URL = /^\/announce\/([^/?]+)/;

/** What the server works with. */
export interface UdpServerParts {
  readonly announcer: Announcer;
  readonly logger: TrackerLogger;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  readonly answered: (answer: Omit<Answer, 'body'>, seconds: number) => void;
  readonly scraped: () => void;
  /** Told of datagrams that are no request, and of those with a connection id that is not good. */
  readonly dropped: () => void;
}

/** The tracker's UDP side. */
export interface UdpServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Where a datagram came from. */
type Sender = Pick<RemoteInfo, 'address' | 'port'>;

/** Answers datagrams; it knows no socket. */
export class UdpTracker {
  readonly #parts: UdpServerParts;
  readonly #send: (answer: Buffer, to: Sender) => void;
  readonly #ids: ConnectionIds;

  constructor(parts: UdpServerParts, send: (answer: Buffer, to: Sender) => void) {
    this.#parts = parts;
    this.#send = send;
    this.#ids = new ConnectionIds(parts.now);
  }

  /** Takes a datagram. */
  take(datagram: Buffer, from: Sender): void {
    const request = readUdpRequest(datagram);
    const host = compactHost(from.address);
    if (request === undefined || host === undefined || from.port === 0) {
      this.#parts.dropped();
      return;
    }
    const send = (answer: Buffer) => this.#send(answer, from);
    const hostBytes = host.subarray(0, host.length - 2);
    if (request.kind === 'connect') send(connectAnswer(request.transaction, this.#ids.make(hostBytes)));
    else if (!this.#ids.isGood(request.connectionId, hostBytes)) this.#parts.dropped();
    else if (request.kind === 'scrape') {
      this.#parts.scraped();
      send(udpScrapeAnswer(request.transaction, request.infoHashes.map(this.#parts.announcer.countsOf)));
    } else void this.#announce(request, host, send);
  }

  async #announce(
    { read, transaction, urlData }: Extract<UdpRequest, { kind: 'announce' }>,
    host: Buffer,
    send: (answer: Buffer) => void,
  ): Promise<void> {
    const { announcer, answered, now, logger } = this.#parts;
    const start = now();
    try {
      const request = read();
      const key = KEY_IN_URL.exec(urlData)?.[1];
      const isIpv6 = host.length > 6;
      const answer = announcer.admit(
        request,
        host,
        key === undefined ? NO_CREDENTIALS : { key },
        (table, announced, intervals) => udpAnnounceAnswer(transaction, table, announced, intervals, isIpv6),
      );
      send(answer instanceof Promise ? await answer : answer);
      answered({ outcome: 'ok', event: request.event }, (now() - start) / 1000);
    } catch (error) {
      if (!(error instanceof TrackerError)) {
        logger.error({ err: error }, 'unexpected error');
        return;
      }
      send(udpErrorAnswer(transaction, error.message));
      answered({ outcome: error.code }, (now() - start) / 1000);
    }
  }
}

/**
 * Listens.
 *
 * @throws the error of the operating system if it cannot
 */
export async function startUdpServer(parts: UdpServerParts, host: string, port: number): Promise<UdpServer> {
  const bind = async (type: 'udp4' | 'udp6', address: string): Promise<Socket> => {
    const socket = createSocket({ type, recvBufferSize: RECEIVE_BUFFER_BYTES });
    socket.bind(port, address);
    try {
      await once(socket, 'listening');
    } catch (error) {
      socket.close();
      throw error;
    }
    return socket;
  };
  let socket: Socket;
  try {
    socket = await bind(host.includes(':') ? 'udp6' : 'udp4', host);
  } catch (error) {
    // A machine without IPv6: the dual-stack default then means IPv4.
    if (host !== '::' || (error as NodeJS.ErrnoException).code !== 'EAFNOSUPPORT') throw error;
    socket = await bind('udp4', '0.0.0.0');
  }
  const tracker = new UdpTracker(parts, (answer, to) => {
    if (!isClosed) socket.send(answer, to.port, to.address, () => undefined);
  });
  let isClosed = false;
  socket.on('message', (datagram, from) => tracker.take(datagram, from));
  // Of a datagram that somebody could not be reached with.
  socket.on('error', (err) => parts.logger.warn({ err }, 'the UDP socket has an error'));
  return {
    port: socket.address().port,
    async close() {
      isClosed = true;
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
}
