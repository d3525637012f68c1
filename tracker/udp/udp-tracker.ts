/**
 * The tracker over UDP (BEP 15), on the same registry as over HTTP. A datagram is answered by one datagram at
 * most, and before its sender has proved its address by none that is longer.
 */
import type { RemoteInfo } from 'node:dgram';
import type { Logger } from '../../base/index.ts';
import type { Announcer, Answer } from '../announce/announcer.ts';
import { TrackerError } from '../errors.ts';
import { NO_CREDENTIALS } from '../rights/rights.ts';
import { compactHost } from '../swarms/peer-address.ts';
import { ConnectionIds } from './connection-ids.ts';
import {
  connectAnswer,
  readUdpRequest,
  type UdpRequest,
  udpAnnounceAnswer,
  udpErrorAnswer,
  udpScrapeAnswer,
} from './udp-message.ts';

/** Where the path of the announce URL holds the key. */
const KEY_IN_URL = /^\/announce\/([^/?]+)/;

/** What the server works with. */
export interface UdpTrackerParts {
  readonly announcer: Announcer;
  readonly logger: Logger;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  readonly answered: (answer: Omit<Answer, 'body'>, seconds: number) => void;
  readonly scraped: () => void;
  /** Told of datagrams that are no request, and of those with a connection id that is not good. */
  readonly dropped: () => void;
}

/** Where a datagram came from. */
type Sender = Pick<RemoteInfo, 'address' | 'port'>;

/** Answers datagrams; it knows no socket. */
export class UdpTracker {
  readonly #parts: UdpTrackerParts;
  readonly #ids: ConnectionIds;

  constructor(parts: UdpTrackerParts) {
    this.#parts = parts;
    this.#ids = new ConnectionIds(parts.now);
  }

  /**
   * Takes a datagram.
   *
   * @param send sends an answer from the address that was asked
   */
  take(datagram: Buffer, from: Sender, send: (answer: Buffer) => void): void {
    const request = readUdpRequest(datagram);
    const host = compactHost(from.address);
    if (request === undefined || host === undefined || from.port === 0) {
      this.#parts.dropped();
      return;
    }
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
