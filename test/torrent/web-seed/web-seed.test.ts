// Web servers as a source of blocks (BEP 19): good ones, odd ones and bad ones.
import { afterEach, describe, expect, test } from '@jest/globals';
import { encodeBencode } from '../../../torrent/bencode.ts';
import { PieceHasher } from '../../../torrent/create.ts';
import { type Metainfo, parseInfo } from '../../../torrent/metainfo.ts';
import { MemoryStorage } from '../../../torrent/storage/memory.ts';
import { until } from '../../base/until.ts';
import { addressOf, afterwards, closeAll, completion, startSession, ticks } from '../session/harness.ts';
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
  options: { of?: Metainfo; now?: () => number; limit?: number; has?: number[] } = {},
) {
  const { of = metainfo, now } = options;
  const warnings: string[] = [];
  const logged: string[] = [];
  const log = (fields: object, message: string) => {
    const { host, err } = fields as { host?: string; err?: Error };
    logged.push(JSON.stringify({ ...fields, err: err?.stack }));
    return [message, host, err?.message].filter((text) => text !== undefined).join(': ');
  };
  const warn = (fields: object, message: string) => void warnings.push(log(fields, message));
  const logger = { debug: log, info: log, warn, error: warn };
  const session = await startSession(now === undefined ? { logger } : { logger, clock: { monotonic: now } });
  const storage = new MemoryStorage(of);
  for (const piece of options.has ?? []) {
    content.copy(
      storage.content,
      piece * of.pieceLength,
      piece * of.pieceLength,
      (piece + 1) * of.pieceLength,
    );
    storage.have.set(piece);
  }
  const torrent = session.add({
    metainfo: of,
    storage,
    policy: 'classic',
    discovery: [],
    webSeeds,
    limits: { downloadBytesPerSecond: options.limit },
  });
  return { session, torrent, storage, warnings, logged };
}

async function startSeed(of = metainfo) {
  const session = await startSession();
  const storage = new MemoryStorage(of, content);
  session.add({ metainfo: of, storage, policy: 'classic', discovery: [] });
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
  const server = await serve((request, response, file) => {
    const range = (request.headers.range ?? '').slice(6);
    response.writeHead(206, { 'content-range': `bytes ${range}/${file.length}` }).flushHeaders();
  });
  const { torrent, session } = await download([seedUrl(server)]);
  await until('it is asked', () => server.paths.length > 0);
  await session.remove(torrent.infoHashHex);
  const requests = server.paths.length;
  await until('some ticks have passed', ticks(5));
  expect(server.paths.length).toBe(requests);
});

/** What a web seed is called in warnings. */
const called = (server: FileServer) => `web seed: ${new URL(server.url).origin}`;

describe('it is asked as seldom as can be', () => {
  /** Answers 80 ms late. */
  const late: Answer = (request, response, file) => setTimeout(() => ranges(request, response, file), 80);

  test('alone, for a file by one request', async () => {
    const server = await serve(late);
    const { torrent, storage } = await download([seedUrl(server)]);
    await completion(torrent);
    expect(storage.content.equals(content)).toBe(true);
    // The pieces follow each other, and so does the block that a file shares with the next.
    expect(server.paths.length).toBeLessThanOrEqual(3 + 2);
  });

  test('for what is missing in gaps, by one request a gap', async () => {
    const server = await serve(late);
    const { torrent, storage } = await download([seedUrl(server)], {
      of: singleFile,
      has: [3, 4, 5, 6, 7, 20],
    });
    await completion(torrent);
    expect(storage.content.equals(content)).toBe(true);
    expect(server.paths.length).toBe(3);
  });

  test('with another one, in turns that are long', async () => {
    const [one, other] = await Promise.all([serve(late), serve(late)]);
    const { torrent } = await download([one, other].map(seedUrl), { of: singleFile });
    await completion(torrent);
    for (const { paths } of [one, other]) expect(paths.length).toBeLessThanOrEqual(8);
  });

  test('an answer that is wanted no more is read no further', async () => {
    let ended = 0;
    const server = await serve((request, response, file) => {
      response.on('close', () => ended++);
      const range = (request.headers.range ?? '').slice(6);
      response.writeHead(206, { 'content-range': `bytes ${range}/${file.length}` });
      // The first piece, and no end.
      response.write(file.subarray(0, 64 * 1024));
    });
    const { torrent } = await download([seedUrl(server)], { of: singleFile });
    await until('the first piece is here', () => torrent.progress().piecesHave === 1);
    torrent.addPeers([await startSeed(singleFile)]);
    await completion(torrent);
    await until('the answer is ended', () => ended > 0, 15);
  });
});

describe('a file that a server cannot give', () => {
  /** Pieces that no part of `last` is in. */
  const piecesWithoutLast = Math.floor((metainfo.totalBytes - 700_000) / metainfo.pieceLength);
  const refusing =
    (path: string, status: number): Answer =>
    (request, response, file) => {
      if (decodeURIComponent(request.url ?? '').endsWith(path)) response.writeHead(status).end();
      else ranges(request, response, file);
    };

  test.each([404, 403, 410])(
    'with %i is its own fault: all others come, and it is said once',
    async (status) => {
      const server = await serve(refusing('/last', status));
      const { torrent, warnings } = await download([seedUrl(server)]);
      await until('the others are here', () => torrent.progress().piecesHave === piecesWithoutLast);
      await until('some ticks have passed', ticks(5));
      expect(server.paths.filter((path) => path.endsWith('/last')).length).toBeLessThanOrEqual(3);
      expect(warnings).toEqual([
        `${called(server)}: answers HTTP ${status} for "test/last"; it is asked for other files, and for this one again later`,
      ]);
    },
  );

  test('comes from another web seed, pieces that both have in part too', async () => {
    const KIB = 1024;
    const two = makeTorrent(
      [
        { path: 'a', length: 80 * KIB },
        { path: 'b', length: 100 * KIB },
      ],
      { pieceLength: 64 * KIB },
    );
    const [one, other] = await Promise.all(
      [
        { path: '/files/test/a', bytes: two.content.subarray(0, 80 * KIB) },
        { path: '/files/test/b', bytes: two.content.subarray(80 * KIB) },
      ].map(({ path, bytes }) => serveFiles(new Map([[path, bytes]]))),
    );
    for (const server of [one, other]) afterwards(() => server?.close());
    const urls = [one, other].map((server) => `${server?.url}files`);
    const { torrent, storage, warnings } = await download(urls, { of: two.metainfo });
    await completion(torrent);
    expect(storage.content.equals(two.content)).toBe(true);
    // A server is asked for what it lacks only until it has said so once.
    const refused = [one?.paths.includes('/files/test/b'), other?.paths.includes('/files/test/a')];
    expect(warnings).toHaveLength(refused.filter(Boolean).length);
    expect(refused).toContain(true);
  });

  test('is tried again, ever more seldom, and taken when it is there', async () => {
    let ahead = 0;
    const server = await serve(refusing('/last', 404));
    const { torrent } = await download([seedUrl(server)], { now: () => performance.now() + ahead });
    const asked = () => server.paths.filter((path) => path.endsWith('/last')).length;
    await until('the others are here', () => torrent.progress().piecesHave === piecesWithoutLast);
    const before = asked();
    ahead += 20_000;
    await until('some ticks have passed', ticks(3));
    expect(asked()).toBe(before);
    ahead += 80_000;
    await until('it is asked for', () => asked() > before);
    await until('some ticks have passed', ticks(3));
    const again = asked();
    ahead += 50_000;
    await until('some ticks have passed', ticks(3));
    expect(asked()).toBe(again);
    server.answer = ranges;
    ahead += 200_000;
    await completion(torrent);
  });

  test('that nobody else has is told of, once', async () => {
    let ahead = 0;
    const server = await serve(refusing('/last', 404));
    const { torrent, warnings } = await download([seedUrl(server)], { now: () => performance.now() + ahead });
    const told = () => warnings.filter((warning) => warning.startsWith('no web seed'));
    await until('the others are here', () => torrent.progress().piecesHave === piecesWithoutLast);
    await until('some ticks have passed', ticks(3));
    expect(told()).toEqual([]);
    ahead += 10_000;
    await until('it is told', () => told().length > 0);
    ahead += 30_000;
    await until('some ticks have passed', ticks(3));
    expect(told()).toEqual([
      'no web seed and no connected peer has what is missing of "test/last"; it is waited for',
    ]);
    torrent.addPeers([await startSeed()]);
    await completion(torrent);
  });

  test('that a peer has is no matter for words', async () => {
    let ahead = 0;
    const server = await serve(refusing('/last', 404));
    const { torrent, warnings } = await download([seedUrl(server)], { now: () => performance.now() + ahead });
    await until('the others are here', () => torrent.progress().piecesHave === piecesWithoutLast);
    const seed = await startSession({ limits: { uploadBytesPerSecond: 1 } });
    seed.add({ metainfo, storage: new MemoryStorage(metainfo, content), policy: 'classic', discovery: [] });
    torrent.addPeers([addressOf(seed)]);
    await until('the peer is here', () => torrent.progress().seeds > 0);
    for (let step = 0; step < 4; step++) {
      ahead += 6_000;
      await until('some ticks have passed', ticks(3));
    }
    expect(torrent.complete).toBe(false);
    expect(warnings).toHaveLength(1);
  });

  test('is one of many: some are named, and the server is left alone', async () => {
    const many = makeTorrent(
      Array.from({ length: 200 }, (_, number) => ({ path: `file-${number}`, length: 70_000 })),
      { pieceLength: 64 * 1024 },
    );
    const server = await serveFiles(new Map());
    afterwards(() => server.close());
    let ahead = 0;
    const { warnings } = await download([seedUrl(server)], { of: many.metainfo, now: () => ahead });
    for (let step = 0; step < 30; step++) {
      ahead += 200;
      await until('a tick has passed', ticks(1.1));
    }
    expect(server.paths.length).toBeLessThan(20);
    expect(warnings).toHaveLength(5);
    expect(warnings[4]).toContain('there are more files');
  });
});

test('names of files cannot write on a terminal', async () => {
  const odd = makeTorrent([
    { path: 'a\u200fb\u202ec', length: 70_000 },
    { path: 'b', length: 1 },
  ]);
  const server = await serveFiles(new Map());
  afterwards(() => server.close());
  const { warnings } = await download([seedUrl(server)], { of: odd.metainfo });
  await until('it is told', () => warnings.some((warning) => warning.includes('c"')));
  for (const warning of warnings) expect(warning).not.toMatch(/[\p{C}]/u);
});

describe('user and password of a URL', () => {
  const NAME = 'me@home';
  const PASSWORD = 'p:/ä%';
  const EXPECTED = `Basic ${Buffer.from(`${NAME}:${PASSWORD}`).toString('base64')}`;
  const asking: Answer = (request, response, file) => {
    if (request.headers.authorization === EXPECTED) ranges(request, response, file);
    else response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
  };
  const withUser = (url: string, password = PASSWORD) =>
    url.replace('http://', `http://${encodeURIComponent(NAME)}:${encodeURIComponent(password)}@`);

  test('are shown to the server, and to nobody else', async () => {
    const server = await serve(asking);
    const { torrent, storage, logged } = await download([withUser(seedUrl(server))]);
    await completion(torrent);
    expect(storage.content.equals(content)).toBe(true);
    const wrong = await download([withUser(seedUrl(server), 'wrong')]);
    await until('it is told', () => wrong.warnings.length > 0);
    expect(wrong.warnings).toEqual([
      expect.stringMatching(
        /^web seed: http:\/\/127\.0\.0\.1:\d+: answers HTTP 401 for "test\/.*"; it is asked/,
      ),
    ]);
    for (const line of [...logged, ...wrong.logged]) expect(line).not.toMatch(/home|wrong|ä|%C3%A4/i);
  });

  test('go along where the server redirects to itself, not where to another', async () => {
    const seen: (string | undefined)[] = [];
    const target = await serve((request, response, file) => {
      seen.push(request.headers.authorization);
      ranges(request, response, file);
    });
    const server = await serve((request, response, file) => {
      const { pathname, search } = new URL(request.url ?? '', target.url);
      if (request.headers.authorization !== EXPECTED) response.writeHead(401).end();
      else if (search === '') response.writeHead(302, { location: `${pathname}?2` }).end();
      else response.writeHead(302, { location: new URL(pathname, target.url).href }).end(file.subarray(0, 1));
    });
    const { torrent } = await download([withUser(seedUrl(server))]);
    await completion(torrent);
    expect(new Set(seen)).toEqual(new Set([undefined]));
  });
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
    const { torrent, storage, warnings } = await download([seedUrl(server)], {
      now: () => performance.now() + ahead,
    });
    // Once for what the server does alike with all files, once for each file that is wrong.
    await until('somebody is told', () => warnings.length > 0);
    await until('some ticks have passed', ticks(3));
    expect(torrent.progress().piecesHave).toBe(0);
    // It is asked again later, and no sooner; then it has come to its senses.
    const requests = server.paths.length;
    expect(requests).toBeLessThan(20);
    server.answer = ranges;
    expect(warnings.length).toBeLessThanOrEqual(3);
    expect(new Set(warnings).size).toBe(warnings.length);
    for (const warning of warnings) expect(warning.startsWith(called(server))).toBe(true);
    await until('it completes', () => {
      ahead += 1000;
      return torrent.complete;
    });
    expect(storage.content.equals(content)).toBe(true);
  });

  test('one that is down for long is asked ever more seldom', async () => {
    let ahead = 0;
    const askedAt = new Set<number>();
    const server = await serve((_, response) => {
      askedAt.add(ahead);
      response.writeHead(503).end();
    });
    const { torrent } = await download([seedUrl(server)], { now: () => ahead });
    for (let step = 0; step < 24; step++) {
      ahead += 5000;
      await until('a tick has passed', ticks(1.1));
    }
    expect(torrent.complete).toBe(false);
    // After 1 s, 2 s, 4 s … and half of that at least: in two minutes 9 times at most.
    expect(askedAt.size).toBeGreaterThan(3);
    expect(askedAt.size).toBeLessThan(10);
  });

  test.each([
    ['in seconds', () => '600'],
    ['as a date', () => new Date(Math.floor(Date.now() / 1000) * 1000 + 600_000).toUTCString()],
  ])('Retry-After %s is obeyed', async (_, after) => {
    let ahead = 0;
    const server = await serve((_, response) => response.writeHead(503, { 'retry-after': after() }).end());
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
    const { torrent, storage, warnings } = await download([seedUrl(server)]);
    await until('it gave something', () => torrent.progress().wastedBytes > 0);
    await until('some ticks have passed', ticks(3));
    expect(warnings).toEqual([
      `${called(server)}: it sent bytes that failed their hash; it is asked no more`,
    ]);
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
