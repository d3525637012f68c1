// A web server of files in memory, which gives ranges unless a test has it do something else.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

/** How a request for a file is answered. */
export type Answer = (request: IncomingMessage, response: ServerResponse, file: Buffer) => void;

/** The range that is asked for, as every good server gives it. */
export const ranges: Answer = (request, response, file) => {
  const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  const [start, end] = [Number(match?.[1]), Number(match?.[2])];
  response.writeHead(206, { 'content-range': `bytes ${start}-${end}/${file.length}` });
  response.end(file.subarray(start, end + 1));
};

/** A running server. `answer` may be replaced at any time. */
export interface FileServer {
  answer: Answer;
  /** Paths that were asked for, decoded, one a request. */
  readonly paths: string[];
  /** Ends with a slash, with nothing behind it. */
  readonly url: string;
  close(): void;
}

/** Serves files by their paths (`/a/b c`), whatever the query; others are not found. */
export async function serveFiles(files: ReadonlyMap<string, Buffer>, answer = ranges): Promise<FileServer> {
  const paths: string[] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? '').replace(/\?.*$/, ''));
    paths.push(path);
    const file = files.get(path);
    if (file === undefined) response.writeHead(404).end();
    else running.answer(request, response, file);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const running: FileServer = {
    answer,
    paths,
    url: `http://127.0.0.1:${address.port}/`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
  return running;
}
