// One announce to one UDP tracker (BEP 15, 41). Invariant: whatever answers, an announce ends within its time, and is
// a reply, a refusal or a TorrentError; datagrams of others, and those that answer nothing we asked, change nothing.
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket, type SocketType } from 'node:dgram';
import { isIP } from 'node:net';
import { types } from 'node:util';
import { TorrentError } from '../errors.ts';
import { type AnnounceRefusal, type AnnounceReply, datagramReply, refusal } from './announce-reply.ts';
import { nameLookups } from './name-lookups.ts';
import { CLIENT_WORD } from './own-client.ts';
import type { AnnounceRequest, TrackerClient } from './tracker-client.ts';

/** Time for one announce. */
const ANNOUNCE_TIMEOUT_MILLISECONDS = 15_000;

/** Addresses of one name that are tried. */
const MAX_ADDRESSES = 4;

/** A datagram may be lost: it is sent again after so long. */
const RESEND_MILLISECONDS = 4_000;

const PROTOCOL_ID = 0x41727101980n;
const Action = { Connect: 0, Announce: 1, Error: 3 } as const;
const EVENTS = { none: 0, completed: 1, started: 2, stopped: 3 } as const;

const CONNECT_ANSWER_BYTES = 16;
const ANNOUNCE_BYTES = 98;
const ANNOUNCE_ANSWER_BYTES = 20;
const ERROR_BYTES = 8;

/** Of BEP 41: path and query of the announce URL, with our word, in parts. */
const URL_DATA_OPTION = 2;
const MAX_OPTION_BYTES = 255;
/** Longest path and query that is sent: with the rest it fits every link. */
const MAX_URL_DATA_BYTES = 1_000;

/** What a tracker sent in answer. */
interface Answer {
  readonly action: number;
  readonly bytes: Buffer;
}

function connectDatagram(): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64BE(PROTOCOL_ID, 0);
  bytes.writeUInt32BE(Action.Connect, 8);
  return bytes;
}

function urlOptions({ pathname, search }: URL): Buffer {
  const withWord = `${pathname || '/'}${search === '' ? '?' : `${search}&`}${CLIENT_WORD}`;
  const data = Buffer.from(
    withWord.length > MAX_URL_DATA_BYTES ? `${pathname}${search}` : withWord,
    'latin1',
  );
  if (data.length > MAX_URL_DATA_BYTES) return Buffer.alloc(0);
  const parts: Buffer[] = [];
  for (let at = 0; at < data.length; at += MAX_OPTION_BYTES) {
    const part = data.subarray(at, at + MAX_OPTION_BYTES);
    parts.push(Buffer.from([URL_DATA_OPTION, part.length]), part);
  }
  return Buffer.concat(parts);
}

function announceDatagram(connectionId: Uint8Array, request: AnnounceRequest, url: URL): Buffer {
  const bytes = Buffer.alloc(ANNOUNCE_BYTES);
  bytes.set(connectionId, 0);
  bytes.writeUInt32BE(Action.Announce, 8);
  bytes.set(request.infoHash, 16);
  bytes.set(request.peerId, 36);
  bytes.writeBigUInt64BE(BigInt(request.totals.downloaded), 56);
  bytes.writeBigUInt64BE(BigInt(request.totals.left), 64);
  bytes.writeBigUInt64BE(BigInt(request.totals.uploaded), 72);
  bytes.writeUInt32BE(EVENTS[request.event ?? 'none'], 80);
  // The key of an HTTP announce is 32 bits in hex digits.
  bytes.writeUInt32BE(Number.parseInt(request.key, 16) >>> 0, 88);
  bytes.writeInt32BE(request.numwant, 92);
  bytes.writeUInt16BE(request.port, 96);
  return Buffer.concat([bytes, urlOptions(url)]);
}

/** Finds the addresses of a host; like the system's own look-up it cannot be given up. */
type Lookup = (hostname: string) => Promise<readonly { address: string; family: number }[]>;

/** Options, for tests. */
export interface UdpTrackerClientOptions {
  timeoutMilliseconds?: number;
  resendMilliseconds?: number;
  lookup?: Lookup;
}

/** Announces over UDP. */
export class UdpTrackerClient implements TrackerClient {
  readonly #timeoutMilliseconds: number;
  readonly #resendMilliseconds: number;
  readonly #lookup: Lookup;

  constructor(options: UdpTrackerClientOptions = {}) {
    this.#timeoutMilliseconds = options.timeoutMilliseconds ?? ANNOUNCE_TIMEOUT_MILLISECONDS;
    this.#resendMilliseconds = options.resendMilliseconds ?? RESEND_MILLISECONDS;
    this.#lookup = options.lookup ?? ((hostname) => nameLookups.find(hostname, 'server'));
  }

  async announce(request: AnnounceRequest, signal: AbortSignal): Promise<AnnounceReply | AnnounceRefusal> {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(this.#timeoutMilliseconds)]);
    const url = URL.canParse(request.url) ? new URL(request.url) : undefined;
    const port = Number(url?.port);
    if (url?.protocol !== 'udp:' || !(port > 0))
      throw new TorrentError('TrackerUnreachable', `${JSON.stringify(request.url)} is not udp://HOST:PORT`);
    const where = `udp://${url.host}`;
    try {
      const hostname = url.hostname.replace(/^\[|\]$/g, '');
      const ownFamily = isIP(request.localAddress ?? '');
      const addresses = (await endedBy(bounded, this.#lookup(hostname))).filter(
        ({ family }) => ownFamily === 0 || family === ownFamily,
      );
      let failure: unknown = new Error('it has no address');
      // A name may have an address of a kind that this machine cannot reach, and another one that it can.
      for (const { address, family } of addresses.slice(0, MAX_ADDRESSES)) {
        try {
          return await this.#announceTo({ address, port, family }, request, url, bounded);
        } catch (error) {
          if (bounded.aborted || error instanceof TorrentError) throw error;
          failure = error;
        }
      }
      throw failure;
    } catch (cause) {
      if (cause instanceof TorrentError) throw cause;
      const isLate = bounded.aborted && !signal.aborted;
      const why = types.isNativeError(cause) ? cause.message : String(cause);
      const reason = isLate ? 'the time is over' : why;
      const to = request.localAddress === undefined ? '' : ` to ${request.localAddress}`;
      throw new TorrentError('TrackerUnreachable', `${where} gives no answer${to}: ${reason}`, { cause });
    }
  }

  async #announceTo(
    { address, port, family }: { address: string; port: number; family: number },
    request: AnnounceRequest,
    url: URL,
    signal: AbortSignal,
  ): Promise<AnnounceReply | AnnounceRefusal> {
    const exchange = new Exchange(family === 6 ? 'udp6' : 'udp4', this.#resendMilliseconds, signal);
    try {
      await exchange.bind(request.localAddress);
      await exchange.connect(port, address);
      const hello = await exchange.ask(connectDatagram(), CONNECT_ANSWER_BYTES);
      if (hello.action === Action.Error) return refusal(hello.bytes.subarray(ERROR_BYTES));
      const datagram = announceDatagram(hello.bytes.subarray(8, 16), request, url);
      const answer = await exchange.ask(datagram, ANNOUNCE_ANSWER_BYTES);
      if (answer.action === Action.Error) return refusal(answer.bytes.subarray(ERROR_BYTES));
      return datagramReply(answer.bytes.subarray(ERROR_BYTES), family === 6);
    } finally {
      exchange.close();
    }
  }
}

/**
 * Questions to one address, one at a time. Invariant: an error of the socket, whenever it comes and whoever hears of it
 * first, fails the question under way; a question leaves no timer behind, and close() no socket.
 */
class Exchange {
  readonly #socket: Socket;
  readonly #resendMilliseconds: number;
  readonly #failing = new AbortController();
  readonly #signal: AbortSignal;

  constructor(type: SocketType, resendMilliseconds: number, signal: AbortSignal) {
    this.#socket = createSocket(type);
    this.#socket.on('error', this.#fail);
    this.#resendMilliseconds = resendMilliseconds;
    this.#signal = AbortSignal.any([signal, this.#failing.signal]);
  }

  /** Datagrams leave from this address, and from any port. */
  async bind(address: string | undefined): Promise<void> {
    await endedBy(
      this.#signal,
      new Promise<void>((resolve) => this.#socket.bind({ address, port: 0 }, resolve)),
    );
  }

  /** From here on the system drops datagrams of anybody else. */
  async connect(port: number, address: string): Promise<void> {
    await endedBy(
      this.#signal,
      new Promise<void>((resolve) => {
        // The callback is given what went wrong, which its type does not know.
        const connected = (error?: Error) => (error === undefined ? resolve() : this.#fail(error));
        this.#socket.connect(port, address, connected);
      }),
    );
  }

  /** Sends a request until it is answered. A tracker may answer each with an error. */
  async ask(datagram: Buffer, leastBytes: number): Promise<Answer> {
    // A number that nobody can guess who does not see our datagrams.
    randomBytes(4).copy(datagram, 12);
    const action = datagram.readUInt32BE(8);
    const answer = new Promise<Answer>((resolve) => {
      this.#socket.on('message', (bytes: Buffer) => {
        if (bytes.length < ERROR_BYTES || !bytes.subarray(4, 8).equals(datagram.subarray(12, 16))) return;
        const answered = bytes.readUInt32BE(0);
        const isWhole = answered === action && bytes.length >= leastBytes;
        if (isWhole || answered === Action.Error) resolve({ action: answered, bytes });
      });
    });
    const resending = setInterval(() => this.#send(datagram), this.#resendMilliseconds);
    try {
      this.#send(datagram);
      return await endedBy(this.#signal, answer);
    } finally {
      clearInterval(resending);
      this.#socket.removeAllListeners('message');
    }
  }

  close(): void {
    this.#socket.close();
  }

  #send(datagram: Buffer): void {
    try {
      this.#socket.send(datagram, (error) => error && this.#fail(error));
    } catch (error) {
      this.#fail(error);
    }
  }

  readonly #fail = (error: unknown): void => this.#failing.abort(error);
}

/** What the work gives, or the signal's reason as soon as that aborts; the work itself is left to end by itself. */
async function endedBy<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  let abort: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
