// Web servers as a source of blocks (BEP 19): good ones, odd ones and bad ones.
import { afterEach, describe, expect, test } from '@jest/globals';
import { encodeBencode } from '../../../torrent/bencode.ts';
import { PieceHasher } from '../../../torrent/create.ts';
import { type Metainfo, parseInfo } from '../../../torrent/metainfo.ts';
import { MemoryStorage } from '../../../torrent/storage/memory.ts';
import {
  addressOf,
  afterwards,
  closeAll,
  completion,
  startSession,
  ticks,
  until,
} from '../session/harness.ts';
import { makeTorrent } from '../storage/content.ts';
import { type Answer, type FileServer, ranges, serveFiles } from './file-server.ts';

const { metainfo, content } = makeTorrent(
  [
    { path: 'folder with spaces/ünï.bin', length: 1_500_000 },
    { path: 'empty', length: 0 },
    { path: 'pad', length: 7000, padding: true },
    { path: 'small', length: 1 },
    { path: 'last', length: 700_000 },
  ],
  { pieceLength: 64 * 1024 },
);
const singleFile = asSingleFile();

afterEach(closeAll);

function asSingleFile(bytes = content): Metainfo {
  const hasher = new PieceHasher(64 * 1024);
  hasher.update(bytes);
  const pieces = hasher.finish();
  return parseInfo(
    encodeBencode({ name: 'single.bin', length: bytes.length, 'piece length': 64 * 1024, pieces }),
  );
}

/** A web server with the torrent's files below `files/test`. */
async function serve(answer: Answer = ranges, bytes = content) {
  const files = new Map<string, Buffer>([['/files/single.bin', bytes]]);
  for (const { path, offsetBytes, lengthBytes } of metainfo.files) {
    files.set(`/files/test/${path.join('/')}`, bytes.subarray(offsetBytes, offsetBytes + lengthBytes));
  }
  const server = await serveFiles(files, answer);
  afterwards(() => server.close());
  return server;
}

const seedUrl = (server: FileServer) => `${server.url}files/`;

async function download(
  webSeeds: string[],
  options: { of?: Metainfo; now?: () => number; limit?: number } = {},
) {
  const { of = metainfo, now } = options;
  const session = await startSession(now === undefined ? {} : { clock: { now } });
  const storage = new MemoryStorage(of);
  const torrent = session.add({
    metainfo: of,
    storage,
    policy: 'classic',
    discovery: [],
    webSeeds,
    limits: { downloadBytesPerSecond: options.limit },
  });
  return { session, torrent, storage };
}

async function startSeed() {
  const session = await startSession();
  const storage = new MemoryStorage(metainfo, content);
  session.add({ metainfo, storage, policy: 'classic', discovery: [] });
  return addressOf(session);
}

describe('a web seed alone is enough', () => {
  test('for many files; none is asked for that has no bytes', async () => {
    const server = await serve();
    const { torrent, storage } = await download([seedUrl(server)]);
    await completion(torrent);
    expect(storage.content.equals(content)).toBe(true);
    expect(new Set(server.paths)).toEqual(
      new Set(['folder with spaces/ünï.bin', 'small', 'last'].map((path) => `/files/test/${path}`)),
    );
    // Blocks go together: far fewer requests than blocks.
    expect(server.paths.length).toBeLessThan(content.length / (16 * 1024) / 2);
    expect(torrent.progress()).toMatchObject({ peers: 0, seeds: 0, wastedBytes: 0 });
  });

  test('for a single file, by its own URL and by its folder’s', async () => {
    const server = await serve();
    for (const url of [seedUrl(server), `${seedUrl(server)}single.bin`]) {
      const { torrent, storage } = await download([url], { of: singleFile });
      await completion(torrent);
      expect(storage.content.equals(content)).toBe(true);
    }
  });

  test('also where it redirects', async () => {
    const target = await serve();
    const server = await serve((request, response) => {
      const location = new URL(request.url ?? '', target.url).href;
      response.writeHead(302, { location }).end();
    });
    const { torrent } = await download([seedUrl(server)]);
    await completion(torrent);
  });

  test('also without ranges, for files that are not long', async () => {
    const server = await serve((_, response, file) => response.end(file), content.subarray(0, 900_000));
    const { torrent } = await download([seedUrl(server)], { of: asSingleFile(content.subarray(0, 900_000)) });
    await completion(torrent);
  });
});

test('it is one source of several', async () => {
  const server = await serve();
  const { torrent, storage } = await download([seedUrl(server)]);
  torrent.addPeers([await startSeed()]);
  await completion(torrent);
  expect(storage.content.equals(content)).toBe(true);
});

test('it keeps to the limits, and a pause stops it', async () => {
  const server = await serve();
  const { torrent } = await download([seedUrl(server)], { limit: 1_000_000 });
  await until('something is here', () => torrent.progress().piecesHave > 2);
  torrent.pause();
  await until('what was on its way is here', ticks(5));
  const [{ piecesHave }, requests] = [torrent.progress(), server.paths.length];
  expect(torrent.complete).toBe(false);
  await until('some ticks have passed', ticks(5));
  expect(torrent.progress().piecesHave).toBe(piecesHave);
  expect(server.paths.length).toBe(requests);
  torrent.setLimits({});
  torrent.resume();
  await completion(torrent);
});

test('it is stopped with its torrent, in the middle of an answer', async () => {
  const server = await serve((_, response) => {
    response.writeHead(206, { 'content-range': 'bytes 0-1/2' });
  });
  const { torrent, session } = await download([seedUrl(server)]);
  await until('it is asked', () => server.paths.length > 0);
  await session.remove(torrent.infoHashHex);
  const requests = server.paths.length;
  await until('some ticks have passed', ticks(5));
  expect(server.paths.length).toBe(requests);
});

describe('what a server does wrong costs nothing but time', () => {
  const headers = (file: Buffer, range: string) => ({ 'content-range': `bytes ${range}/${file.length}` });
  test.each<[string, Answer]>([
    ['404', (_, response) => response.writeHead(404).end()],
    ['an error of its own', (_, response) => response.writeHead(500).end()],
    ['no ranges, a long way in', (_, response, file) => response.end(Buffer.concat([file, Buffer.alloc(9)]))],
    ['another range', (_, response, file) => response.writeHead(206, headers(file, '1-999999')).end(file)],
    ['no range at all', (_, response, file) => response.writeHead(206).end(file)],
    [
      'a file of another length',
      (request, response, file) => ranges(request, response, Buffer.concat([file, file])),
    ],
    [
      'an early end',
      (request, response, file) => {
        const range = (request.headers.range ?? '').slice(6);
        response.writeHead(206, headers(file, range)).end(Buffer.alloc(3));
      },
    ],
    ['a reset', (_, response) => response.destroy()],
    [
      'a compressed answer',
      (_, response, file) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(file),
    ],
    ['a circle', (request, response) => response.writeHead(302, { location: request.url }).end()],
    ['a redirect to a file', (_, response) => response.writeHead(302, { location: 'file:///etc/x' }).end()],
  ])('%s', async (_, answer) => {
    let ahead = 0;
    const server = await serve(answer);
    const { torrent, storage } = await download([seedUrl(server)], { now: () => performance.now() + ahead });
    await until('it is asked', () => server.paths.length > 0);
    await until('some ticks have passed', ticks(3));
    expect(torrent.progress().piecesHave).toBe(0);
    // It is asked again later, and no sooner; then it has come to its senses.
    const requests = server.paths.length;
    expect(requests).toBeLessThan(20);
    server.answer = ranges;
    await until('it completes', () => {
      ahead += 100;
      return torrent.complete;
    });
    expect(storage.content.equals(content)).toBe(true);
  });

  test('one that is down for long is asked ever more seldom', async () => {
    let ahead = 0;
    const server = await serve((_, response) => response.writeHead(503).end());
    const { torrent } = await download([seedUrl(server)], { now: () => ahead });
    for (let step = 0; step < 24; step++) {
      ahead += 5000;
      await until('a tick has passed', ticks(1.1));
    }
    expect(torrent.complete).toBe(false);
    // Within 1.5 s, 3 s, 6 s … in two minutes 9 times at most, three requests each.
    expect(server.paths.length).toBeGreaterThan(3);
    expect(server.paths.length).toBeLessThan(30);
  });

  test('Retry-After is obeyed', async () => {
    let ahead = 0;
    const server = await serve((_, response) => response.writeHead(503, { 'retry-after': '600' }).end());
    await download([seedUrl(server)], { now: () => ahead });
    await until('it is asked', () => server.paths.length > 0);
    await until('some ticks have passed', ticks(2));
    const requests = server.paths.length;
    ahead = 590_000;
    await until('some ticks have passed', ticks(3));
    expect(server.paths.length).toBe(requests);
    ahead = 610_000;
    await until('it is asked again', () => server.paths.length > requests);
  });

  test('wrong bytes are never taken: it is banned, and a peer gives the right ones', async () => {
    const wrong = Buffer.from(content);
    for (let at = 0; at < wrong.length; at += 1000) wrong[at] = (wrong[at] as number) ^ 1;
    const server = await serve(ranges, wrong);
    const { torrent, storage } = await download([seedUrl(server)]);
    await until('it gave something', () => torrent.progress().wastedBytes > 0);
    await until('some ticks have passed', ticks(3));
    const requests = server.paths.length;
    torrent.addPeers([await startSeed()]);
    await completion(torrent);
    expect(storage.content.equals(content)).toBe(true);
    expect(server.paths.length).toBe(requests);
  });

  test('what is no web server’s URL is skipped', async () => {
    const server = await serve();
    const { torrent } = await download(['', 'ftp://h/x', 'file:///etc/passwd', 'rubbish', seedUrl(server)]);
    await completion(torrent);
  });
});
