/**
 * Answers announces that come as any client sends them (one whole GET in what the socket gives, connection kept
 * open) on the socket itself. Nearly all that a tracker hears is of this kind, and Node's HTTP server takes twice
 * as long as the answer.
 *
 * Invariant: a connection is either here or, for good, with the HTTP server: at the first thing that is not such
 * an announce it is handed over, with every byte that is not answered yet. What is taken here is what the HTTP server
 * would take alike, to the letter: how a request was cut on its way changes no answer.
 */
import type { Socket } from 'node:net';
import type { Answer } from '../announce/announcer.ts';
import type { RawAnnounce } from '../announce/raw-announce.ts';
import { bearerToken, type Credentials, NO_CREDENTIALS } from '../rights/rights.ts';
import { compactHost } from '../swarms/peer-address.ts';

/** What connections are made of. */
export interface AnnounceConnectionsOptions {
  readonly answer: (announce: RawAnnounce) => Answer | Promise<Answer>;
  /** Gives a connection to the HTTP server. */
  readonly handOver: (socket: Socket) => void;
  readonly keepAliveMilliseconds: number;
  /** Answers that are not read within this time end the connection. */
  readonly writeMilliseconds: number;
  /** Reads bearer tokens. */
  readonly withTokens: boolean;
  /** Told of what must not happen; the connection is closed. */
  readonly failed: (error: unknown) => void;
}

const START = 'GET /announce';
const LINE_END = ' HTTP/1.1\r\n';
const HEAD_END = '\r\n\r\n';
/** Longer heads are left to the HTTP server, whose bounds are its own. */
const MAX_HEAD_BYTES = 4096;
/** A target without what servers read in different ways: bytes that are no ASCII, and fragments. */
const TARGET = /^[!-"$-~]+$/;
/** A key that routes as it is: no escapes, and no longer than the HTTP server takes. */
const KEY = /^\/([-_A-Za-z0-9]{1,100})$/;
/** Header lines as RFC 9112 has them and nothing that is to be mended: no tabs, no folds, no bytes that are no ASCII. */
const HEADERS = /^(?:\r\n[-!#$%&'*+.^_`|~0-9A-Za-z]+:[ -~]*)+\r\n$/;
const HOST = /\r\nhost:/i;
/** Headers that say that more than this head belongs to the request, or that another replica asks. */
const UNUSUAL =
  /\r\n(?:content-length|x-enxame-forwarded|transfer-encoding|upgrade|expect|proxy-connection|connection(?!: *(?:keep-alive|close) *\r\n)):/i;
/** The connection ends with the answer: libtorrent always says so. */
const CLOSES = /\r\nconnection: *close *\r\n/i;
/** Which of two counts is for the HTTP server to say. */
const REPEATED = /\r\n(authorization|connection):[\s\S]*\r\n\1:/i;
/** A connection that is to end has this long to give what was answered. */
const CLOSE_MILLISECONDS = 2_000;

const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\n';
/** Of the last answer on a connection. */
const LAST_HEAD = `${HEAD}Connection: close\r\nContent-Length: `;

interface FoundAnnounce {
  readonly query: string;
  readonly credentials: Credentials;
  /** Where it ends. */
  readonly end: number;
  /** Nothing follows. */
  readonly isLast: boolean;
}

/**
 * Hot: the announce that `text` begins with; undefined for anything else.
 *
 * @param last what the connection showed before, which comes back if it shows the same; undefined where tokens
 *   are not read
 */
function firstAnnounce(text: string, last: Credentials | undefined): FoundAnnounce | undefined {
  if (!text.startsWith(START)) return undefined;
  const space = text.indexOf(' ', START.length);
  const question = text.indexOf('?', START.length);
  if (space < 0 || question < 0 || question > space || !text.startsWith(LINE_END, space)) return undefined;
  const headersStart = space + LINE_END.length - 2;
  const end = text.indexOf(HEAD_END, headersStart);
  if (end < 0 || end > MAX_HEAD_BYTES || !TARGET.test(text.slice(START.length, space))) return undefined;
  const headers = text.slice(headersStart, end + 2);
  if (!HEADERS.test(headers) || !HOST.test(headers) || UNUSUAL.test(headers) || REPEATED.test(headers))
    return undefined;
  let key: string | undefined;
  if (question > START.length) {
    key = KEY.exec(text.slice(START.length, question))?.[1];
    if (key === undefined) return undefined;
  }
  let credentials: Credentials;
  if (last === undefined) credentials = key === undefined ? NO_CREDENTIALS : { key };
  else {
    const token = bearerToken(headers);
    if (key === last.key && token === last.token) credentials = last;
    else credentials = token === undefined ? { key } : { key, token };
  }
  const isLast = CLOSES.test(headers);
  return { query: text.slice(question + 1, space), credentials, end: end + HEAD_END.length, isLast };
}

class AnnounceConnection {
  readonly #socket: Socket;
  readonly #options: AnnounceConnectionsOptions;
  readonly #head: string;
  readonly #left: () => void;
  readonly #host: Buffer | undefined;
  /** What it showed last; undefined where tokens are not read. */
  #shown: Credentials | undefined;
  /** What came and is not answered, while an answer has to wait. */
  #rest = '';
  #isWaiting = false;
  #isEnding = false;
  /** Ends the connection unless its peer reads. */
  #deadline: NodeJS.Timeout | undefined;

  constructor(socket: Socket, options: AnnounceConnectionsOptions, head: string, left: () => void) {
    this.#socket = socket;
    this.#options = options;
    this.#head = head;
    this.#left = left;
    this.#shown = options.withTokens ? NO_CREDENTIALS : undefined;
    this.#host = compactHost(socket.remoteAddress);
    socket.on('data', this.#take).on('close', this.#closed).on('drain', this.#resume);
    socket.on('error', this.#ignore).on('timeout', this.close).on('end', this.close);
    socket.setTimeout(options.keepAliveMilliseconds);
  }

  /** Closes it once all that was asked is answered. */
  readonly close = (): void => {
    this.#isEnding = true;
    if (!this.#isWaiting) this.#end();
  };

  /** Gives what was answered to whoever reads it, but does not wait for long. */
  #end(): void {
    this.#socket.destroySoon();
    if (!this.#socket.destroyed) this.#setDeadline(CLOSE_MILLISECONDS);
  }

  #setDeadline(milliseconds: number): void {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#socket.destroy(), milliseconds);
  }

  readonly #closed = (): void => {
    clearTimeout(this.#deadline);
    this.#left();
  };

  readonly #ignore = (): void => {};

  readonly #resume = (): void => {
    if (this.#isEnding) return;
    clearTimeout(this.#deadline);
    if (!this.#isWaiting) this.#socket.resume();
  };

  readonly #take = (chunk: Buffer): void => {
    const text = chunk.toString('latin1');
    if (this.#isWaiting) this.#rest += text;
    else this.#answerAll(text);
  };

  #answerAll(text: string): void {
    let rest = text;
    while (rest !== '' && !this.#isWaiting && !this.#isEnding) {
      const announce = firstAnnounce(rest, this.#shown);
      if (announce === undefined) {
        this.#handOver(rest);
        return;
      }
      rest = rest.slice(announce.end);
      if (this.#shown !== undefined) this.#shown = announce.credentials;
      this.#isEnding ||= announce.isLast;
      this.#answer(announce);
    }
    this.#rest = rest;
  }

  #answer({ query, credentials }: FoundAnnounce): void {
    try {
      const answer = this.#options.answer({ query, credentials, host: this.#host });
      if (answer instanceof Promise) this.#wait(answer);
      else this.#send(answer);
    } catch (error) {
      this.#fail(error);
    }
  }

  #wait(answer: Promise<Answer>): void {
    this.#isWaiting = true;
    this.#socket.pause();
    answer
      .then((late) => {
        this.#isWaiting = false;
        this.#send(late);
        if (this.#isEnding) return;
        this.#socket.resume();
        this.#answerAll(this.#rest);
      })
      .catch((error: unknown) => this.#fail(error));
  }

  #send({ body }: Answer): void {
    const head = this.#isEnding ? LAST_HEAD : this.#head;
    const isTaken = this.#socket.write(`${head}${body.length}${HEAD_END}${body}`, 'latin1');
    if (this.#isEnding) this.#end();
    else if (!isTaken) {
      this.#socket.pause(); // Whoever does not read his answers is not read either.
      this.#setDeadline(this.#options.writeMilliseconds);
    }
  }

  #fail(error: unknown): void {
    this.#options.failed(error);
    this.#socket.destroy();
  }

  #handOver(rest: string): void {
    const socket = this.#socket;
    socket.off('data', this.#take).off('close', this.#closed).off('drain', this.#resume);
    clearTimeout(this.#deadline);
    socket.off('error', this.#ignore).off('timeout', this.close).off('end', this.close);
    socket.setTimeout(0);
    this.#left();
    socket.pause();
    socket.unshift(Buffer.from(rest, 'latin1'));
    this.#options.handOver(socket);
    socket.resume();
  }
}

/** The connections that send announces and nothing else. */
export class AnnounceConnections {
  readonly #options: AnnounceConnectionsOptions;
  readonly #open = new Set<AnnounceConnection>();
  readonly #head: string;

  constructor(options: AnnounceConnectionsOptions) {
    this.#options = options;
    this.#head =
      `${HEAD}Connection: keep-alive\r\n` +
      `Keep-Alive: timeout=${options.keepAliveMilliseconds / 1000}\r\nContent-Length: `;
  }

  /** Takes a connection that was just accepted. */
  take(socket: Socket): void {
    const connection = new AnnounceConnection(socket, this.#options, this.#head, () =>
      this.#open.delete(connection),
    );
    this.#open.add(connection);
  }

  /** Closes those that wait for no answer; the others when they have it. */
  close(): void {
    for (const connection of this.#open) connection.close();
  }
}
