// A real HTTP source for the demo and the end-to-end tests. It runs inside the cluster, in a Pod of the
// project's own image, from a ConfigMap; so it is plain JavaScript without imports beyond Node.
//
//   GET /files/NAME                 a file of the folder in FILES (programs that the set-up brought)
//   GET /random/SEED/BYTES/NAME     BYTES bytes that follow from SEED (see content.ts)
//   GET /stats                      {"PATH": {"requests": N, "bytes": N}}: bodies sent, by path without query
//   POST /stats/reset
//   PUT /behaviour/PATH             {"status"?, "endAfter"?, "stallAfter"?, "rate"?, "etag"?, "requireHeader"?}
//                                   changes how PATH answers from now on; {} makes it well-behaved again
//
// Ranges and ETags work as RFC 9110 says (one range a request, If-Range by ETag).
import { createCipheriv, createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';

const FILES = process.env.FILES ?? '/files';
const PORT = Number(process.env.PORT ?? 8080);
const CHUNK_BYTES = 256 * 1024;
const CIPHER_BLOCK_BYTES = 16;
const UNDER_WAY_MS = 100;

/** @type {Map<string, {requests: number, bytes: number}>} */
const stats = new Map();
/** @type {Map<string, {status?: number, endAfter?: number, stallAfter?: number, rate?: number, etag?: string, requireHeader?: string}>} */
const behaviours = new Map();

function statOf(path) {
  let stat = stats.get(path);
  if (stat === undefined) {
    stat = { requests: 0, bytes: 0 };
    stats.set(path, stat);
  }
  return stat;
}

/** The bytes [from, to) of the seed's stream, from any offset: CTR counts blocks, so it can start anywhere. */
function* randomBytes(seed, from, to) {
  const counter = Buffer.alloc(16);
  counter.writeBigUInt64BE(BigInt(Math.floor(from / CIPHER_BLOCK_BYTES)), 8);
  const cipher = createCipheriv('aes-256-ctr', createHash('sha256').update(seed).digest(), counter);
  cipher.update(Buffer.alloc(from % CIPHER_BLOCK_BYTES));
  const zeros = Buffer.alloc(CHUNK_BYTES);
  for (let at = from; at < to; at += CHUNK_BYTES)
    yield cipher.update(zeros.subarray(0, Math.min(CHUNK_BYTES, to - at)));
}

/** What a path names: its size, its ETag and how to read a range of it. */
function contentAt(path) {
  const random = /^\/random\/([^/]+)\/(\d+)\//.exec(path);
  if (random) {
    const [, seed, size] = random;
    return {
      size: Number(size),
      etag: `"${seed}-${size}"`,
      read: (from, to) => Readable.from(randomBytes(seed, from, to), { objectMode: false }),
    };
  }
  if (path.startsWith('/files/')) {
    const file = join(FILES, basename(path));
    const stat = statSync(file, { throwIfNoEntry: false });
    if (stat?.isFile()) {
      return {
        size: stat.size,
        etag: `"${stat.mtimeMs.toString(36)}-${stat.size}"`,
        read: (from, to) =>
          to > from ? createReadStream(file, { start: from, end: to - 1 }) : Readable.from([]),
      };
    }
  }
  return undefined;
}

function rangeOf(request, size, etag) {
  const match = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const condition = request.headers['if-range'];
  if (!match || (condition !== undefined && condition !== etag)) return undefined;
  return { from: Number(match[1]), to: match[2] === '' ? size : Math.min(size, Number(match[2]) + 1) };
}

const delay = (ms) => new Promise((done) => setTimeout(done, ms));

async function send(response, stream, behaviour, count) {
  let sent = 0;
  const started = Date.now();
  const limit = Math.min(behaviour.endAfter ?? Infinity, behaviour.stallAfter ?? Infinity);
  for await (const chunk of stream) {
    const part = chunk.subarray(0, Math.max(0, limit - sent));
    if (part.length > 0 && !response.write(part)) {
      await new Promise((done) => {
        response.once('drain', done);
        response.once('close', done);
      });
    }
    sent += part.length;
    count(part.length);
    if (response.destroyed) return;
    if (sent >= limit) {
      if (behaviour.endAfter !== undefined) {
        await delay(UNDER_WAY_MS); // What was sent arrives; a reset would overtake it.
        response.destroy();
      }
      return;
    }
    if (behaviour.rate) await delay(Math.max(0, (sent / behaviour.rate) * 1000 - (Date.now() - started)));
  }
  response.end();
}

async function serve(request, response, path) {
  const behaviour = behaviours.get(path) ?? {};
  const stat = statOf(path);
  if (request.method === 'GET') stat.requests += 1;
  const content = contentAt(path);
  const fail = (status, text) => response.writeHead(status, { 'content-type': 'text/plain' }).end(text);
  if (behaviour.status) return fail(behaviour.status, 'as told\n');
  if (behaviour.requireHeader) {
    const [name, value] = behaviour.requireHeader.split(': ');
    if (request.headers[name.toLowerCase()] !== value) return fail(401, 'header missing\n');
  }
  if (content === undefined) return fail(404, 'no such content\n');
  const etag = behaviour.etag ?? content.etag;
  const range = rangeOf(request, content.size, etag);
  const { from, to } = range ?? { from: 0, to: content.size };
  if (range && from >= content.size) {
    response.writeHead(416, { 'content-range': `bytes */${content.size}` }).end();
    return;
  }
  response.writeHead(range ? 206 : 200, {
    'accept-ranges': 'bytes',
    'content-length': to - from,
    'content-type': 'application/octet-stream',
    etag,
    ...(range ? { 'content-range': `bytes ${from}-${to - 1}/${content.size}` } : {}),
  });
  response.flushHeaders();
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  await send(response, content.read(from, to), behaviour, (bytes) => {
    stat.bytes += bytes;
  });
}

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const server = createServer((request, response) => {
  const path = decodeURI(new URL(request.url, 'http://source').pathname);
  const handle = async () => {
    if (path === '/healthz') response.end('ok\n');
    else if (path === '/stats') response.end(JSON.stringify(Object.fromEntries(stats)));
    else if (path === '/stats/reset' && request.method === 'POST') {
      stats.clear();
      response.end('{}');
    } else if (path.startsWith('/behaviour/') && request.method === 'PUT') {
      behaviours.set(path.slice('/behaviour'.length), JSON.parse(await bodyOf(request)));
      response.end('{}');
    } else await serve(request, response, path);
  };
  handle().catch((error) => {
    process.stderr.write(`${request.method} ${path}: ${error.message}\n`);
    response.destroy();
  });
});
server.listen(PORT, () => process.stdout.write(`listening on ${PORT}\n`));
process.on('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
});
