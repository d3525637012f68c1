/**
 * Answers what Node's HTTP server cannot read as a request. Invariant: requests that came before it on the same
 * connection are answered first, whatever part of them came together; then the connection ends.
 */
import { type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';

/** Statuses of the errors of Node's server; 400 is that of all others. */
const STATUSES: Readonly<Record<string, number>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_HEADER_OVERFLOW: 431,
};

const MESSAGES: Readonly<Record<number, string>> = {
  400: 'this is no HTTP request',
  408: 'the request did not come in time',
  431: 'the line and headers of the request are too long',
};

function answerTo({ code = '' }: NodeJS.ErrnoException): string {
  const status = STATUSES[code] ?? 400;
  const body = JSON.stringify({ code: 'BadRequest', message: MESSAGES[status] });
  return (
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`
  );
}

export class UnreadableRequests {
  /** Requests of each connection that are not answered yet. */
  readonly #unanswered = new WeakMap<Socket, number>();
  /** The answer that waits for those. */
  readonly #waiting = new WeakMap<Socket, string>();

  /** Counts the requests of a server that can be read. */
  watch(server: Server): void {
    server.on('request', ({ socket }, response: ServerResponse) => {
      this.#unanswered.set(socket, (this.#unanswered.get(socket) ?? 0) + 1);
      response.once('close', () => this.#answered(socket));
    });
  }

  /** Takes the error of a connection, as `clientError` gives it. */
  readonly take = (error: NodeJS.ErrnoException, socket: Socket): void => {
    if (error.code === 'ECONNRESET' || socket.destroyed) return;
    this.#waiting.set(socket, answerTo(error));
    if ((this.#unanswered.get(socket) ?? 0) === 0) this.#end(socket);
  };

  #answered(socket: Socket): void {
    const left = (this.#unanswered.get(socket) ?? 1) - 1;
    this.#unanswered.set(socket, left);
    if (left === 0 && this.#waiting.has(socket)) this.#end(socket);
  }

  #end(socket: Socket): void {
    if (socket.writable) socket.write(this.#waiting.get(socket) ?? '');
    socket.destroySoon();
  }
}
