// A web server of the files in a folder, with ranges: a web seed (BEP 19) for every client. Invariant: it answers
// as common servers do, so whole files where no range is asked for and ranges with an open end.

import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';

/** A running server. */
export interface WebServer {
  /** Ends with a slash. */
  readonly url: string;
  /** Bytes of files that were asked for. */
  readonly servedBytes: number;
  close(): void;
}

async function answer(folder: string, request: IncomingMessage, response: ServerResponse): Promise<number> {
  const path = decodeURIComponent(new URL(request.url ?? '/', 'http://host').pathname);
  const location = join(folder, normalize(path));
  const status = await stat(location).catch(() => undefined);
  if (!status?.isFile()) {
    response.writeHead(404).end();
    return 0;
  }
  const match = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const start = Number(match?.[1] ?? 0);
  const end = match?.[2] ? Math.min(Number(match[2]), status.size - 1) : status.size - 1;
  const headers = { 'accept-ranges': 'bytes', 'content-length': Math.max(0, end - start + 1) };
  if (match === null) response.writeHead(200, headers);
  else response.writeHead(206, { ...headers, 'content-range': `bytes ${start}-${end}/${status.size}` });
  if (request.method === 'HEAD' || status.size === 0) response.end();
  else
    createReadStream(location, { start, end })
      .on('error', () => response.destroy())
      .pipe(response);
  return headers['content-length'];
}

/** Serves what lies in a folder, on loopback. */
export async function serveFolder(folder: string): Promise<WebServer> {
  let servedBytes = 0;
  const server = createServer((request, response) => {
    answer(folder, request, response).then(
      (bytes) => {
        servedBytes += bytes;
      },
      () => response.destroy(),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    get servedBytes() {
      return servedBytes;
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
