// A web server on loopback that serves files as RFC 9110 says and, where a test asks for it, not quite so.
// Counts every byte of a body that it sent.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Served {
  content: Buffer;
  etag?: string | undefined;
  lastModified?: string;
  /** Answer with these statuses first, one a request. */
  statuses?: number[];
  /** Content-Length in answers to HEAD. */
  headLength?: number;
  /** Statuses for HEAD alone. */
  headStatuses?: number[];
  /** Break the connection after so many bytes of the body; one entry a GET. */
  endAfter?: (number | undefined)[];
  /** Go silent after so many bytes of the body; one entry a GET. */
  stallAfter?: (number | undefined)[];
  /** Never answer at all. */
  mute?: boolean;
  ignoreRange?: boolean;
  /** Answer ranges with a Content-Range of other bytes. */
  wrongRange?: boolean;
  /** No Content-Length: chunked. */
  chunked?: boolean;
  redirect?: string;
  headers?: Record<string, string>;
  /** Called before each GET; may change what is served. */
  beforeGet?: (served: Served, nth: number) => void;
}

export interface Seen {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
}

export class WebServer {
  readonly files = new Map<string, Served>();
  readonly seen: Seen[] = [];
  sentBytes = 0;
  #server: Server;
  #gets = new Map<string, number>();

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#handle(request, response);
    });
  }

  static async start(): Promise<WebServer> {
    const server = new WebServer();
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Serves content under a path and returns its URL. */
  serve(path: string, content: Buffer, how: Partial<Served> = {}): string {
    const etag = `"${createHash('sha256').update(content).digest('hex').slice(0, 8)}"`;
    this.files.set(path, { content, etag, ...how });
    return this.origin + path;
  }

  requests(method: string): Seen[] {
    return this.seen.filter((seen) => seen.method === method);
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const path = new URL(request.url ?? '', 'http://web').pathname;
    const method = request.method ?? '';
    this.seen.push({ method, path: request.url ?? '', headers: request.headers });
    const served = this.files.get(path);
    if (served === undefined) {
      response.writeHead(404).end('no such file, and a secret body');
      return;
    }
    if (served.mute === true) return;
    const nth = this.#gets.get(path) ?? 0;
    if (method === 'GET') {
      this.#gets.set(path, nth + 1);
      served.beforeGet?.(served, nth);
    }
    const status = (method === 'HEAD' ? served.headStatuses : undefined)?.shift() ?? served.statuses?.shift();
    if (status !== undefined) {
      response.writeHead(status, { 'content-type': 'text/plain' }).end('a secret body');
      return;
    }
    if (served.redirect !== undefined) {
      response.writeHead(302, { location: served.redirect }).end();
      return;
    }
    const headers: Record<string, string> = { ...served.headers };
    if (served.etag !== undefined) headers.etag = served.etag;
    if (served.lastModified !== undefined) headers['last-modified'] = served.lastModified;

    const size = served.content.length;
    let from = 0;
    const range = /^bytes=([0-9]+)-([0-9]*)$/.exec(request.headers.range ?? '');
    const condition = request.headers['if-range'];
    const current = condition === undefined || condition === served.etag || condition === served.lastModified;
    let to = size;
    let code = 200;
    if (range !== null && current && served.ignoreRange !== true) {
      from = Number(range[1]);
      to = range[2] === '' ? size : Math.min(size, Number(range[2]) + 1);
      if (from >= size) {
        response.writeHead(416, { 'content-range': `bytes */${size}` }).end();
        return;
      }
      code = 206;
      const shift = served.wrongRange === true ? 1 : 0;
      headers['content-range'] = `bytes ${from - shift}-${to - 1 - shift}/${size}`;
    }
    if (served.chunked !== true) headers['content-length'] = String(to - from);
    if (method === 'HEAD' && served.headLength !== undefined) {
      headers['content-length'] = String(served.headLength);
    }
    response.writeHead(code, headers);
    if (method === 'HEAD') {
      response.end();
      return;
    }
    const endAfter = served.endAfter?.shift();
    const stallAfter = served.stallAfter?.shift();
    const stop = Math.min(to, from + (endAfter ?? stallAfter ?? Number.POSITIVE_INFINITY));
    const body = served.content.subarray(from, stop);
    this.sentBytes += body.length;
    if (stop === to) response.end(body);
    else
      response.write(body, () => {
        if (endAfter !== undefined) setTimeout(() => response.destroy(), 20);
      });
    if (body.length === 0 && stop !== to) {
      response.flushHeaders();
      if (endAfter !== undefined) setTimeout(() => response.destroy(), 20);
    }
  }
}
