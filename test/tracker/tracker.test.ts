import { createServer, METHODS, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MutableTorrentList, OPEN_LIST } from '../../tracker/torrents/torrents.ts';
import { type RunningTracker, startTracker, type TrackerSettings } from '../../tracker/tracker.ts';
import { announceQuery, escapeBytes, hashOf } from './announce-query.ts';
import { decode } from './bdecode.ts';
import { type CollectedLog, collectedLog } from './collected-log.ts';
import { exchange, statuses } from './raw-http.ts';
import { seededRandom } from './seeded-random.ts';
import { torrentFile } from './torrent-bytes.ts';

const A = 'aa'.repeat(20);
const ONE = torrentFile('one');

const running: RunningTracker[] = [];
let holder: Server | undefined;
let log: CollectedLog;

afterEach(async () => {
  for (const tracker of running.splice(0)) await tracker.close();
  holder?.closeAllConnections();
  holder?.close();
  holder = undefined;
  expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
});

async function start(settings: Partial<TrackerSettings> = {}): Promise<RunningTracker> {
  log = collectedLog();
  const tracker = await startTracker({
    torrents: OPEN_LIST,
    listen: { host: '127.0.0.1', port: 0 },
    logger: log,
    random: seededRandom(1),
    ...settings,
  });
  running.push(tracker);
  return tracker;
}

async function get(port: number, path: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`http://127.0.0.1:${port}${path}`, { headers });
}

async function announce(port: number, changes: Parameters<typeof announceQuery>[0] = {}, more = '') {
  const response = await get(port, `/announce?${announceQuery(changes)}${more}`);
  expect(response.status).toBe(200);
  return decode(await response.bytes()) as Record<string, unknown>;
}

/** Serves ONE as an agent does. */
async function startHolder(): Promise<number> {
  const server = createServer((request, response) => {
    if (request.url === `/torrents/${ONE.infoHashHex}.torrent`) response.end(ONE.bytes);
    else response.writeHead(404).end();
  });
  holder = server;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

function listOf(...infoHashes: string[]): MutableTorrentList {
  const list = new MutableTorrentList();
  list.isSynced = true;
  for (const infoHashHex of infoHashes) list.add('test', { infoHashHex, name: `name of ${infoHashHex}` });
  return list;
}

const escapedHash = (hex: string) => escapeBytes(Buffer.from(hex, 'hex'));

describe('announce and scrape', () => {
  test('two peers, from start to stop', async () => {
    const { port } = await start();
    await announce(port, { port: 1001, left: 0, event: 'started' });
    const reply = await announce(port, { port: 1002, left: 7, event: 'started' });
    expect(reply).toMatchObject({ complete: 1, incomplete: 1, peers: Buffer.from('7f00000103e9', 'hex') });
    expect(await announce(port, { port: 1001, left: 0, compact: 0 })).toMatchObject({
      peers: [{ ip: Buffer.from('127.0.0.1'), port: 1002 }],
    });
    await announce(port, { port: 1002, left: 0, event: 'completed' });
    await announce(port, { port: 1001, left: 0, event: 'stopped' });
    const scrape = await get(port, `/scrape?info_hash=${escapeBytes(hashOf(0xaa))}`);
    expect(decode(await scrape.bytes())).toMatchObject({
      files: { ['\xaa'.repeat(20)]: { complete: 1, downloaded: 1, incomplete: 0 } },
    });
  });

  test('nobody but the connection says where a peer is', async () => {
    const { port } = await start();
    const response = await get(
      port,
      `/announce?${announceQuery({ port: 1001 })}&ip=192.0.2.66&ipv4=192.0.2.66&ipv6=2001:db8::66`,
      { 'x-forwarded-for': '192.0.2.66', forwarded: 'for=192.0.2.66', 'x-real-ip': '192.0.2.66' },
    );
    expect(response.status).toBe(200);
    const { peers } = await announce(port, { port: 1002 });
    expect(peers).toEqual(Buffer.from('7f00000103e9', 'hex'));
  });

  test('IPv6 peers are in peers6', async () => {
    const { port } = await start({ listen: { host: '::', port: 0 } });
    const path = `/announce?${announceQuery({ port: 1001 })}`;
    const overIpv6 = await fetch(`http://[::1]:${port}${path}`);
    expect(overIpv6.status).toBe(200);
    const reply = await announce(port, { port: 1002 });
    expect(reply.peers).toEqual(Buffer.alloc(0));
    expect(reply.peers6).toEqual(Buffer.from(`${'00'.repeat(15)}0103e9`, 'hex'));
  });

  test('bad announces are told why, with status 200', async () => {
    const { port } = await start();
    expect(await announce(port, { port: 70000 })).toHaveProperty('failure reason');
    expect(await announce(port, { info_hash: '%zz' })).toHaveProperty('failure reason');
    expect(await announce(port, {}, '&peer_id=1')).toEqual({
      'failure reason': Buffer.from('peer_id is in the query more than once'),
    });
    expect(await announce(port, {}, `&x=${'a'.repeat(8192)}`)).toHaveProperty('failure reason');
    expect(decode(await (await get(port, '/announce')).bytes())).toHaveProperty('failure reason');
    expect(decode(await (await get(port, '/scrape')).bytes())).toHaveProperty('failure reason');
  });

  test('announce and scrape URLs may have a query of their own', async () => {
    const { port } = await start();
    const urlsOwn = 'key=of-a-person&numwant=1&left=x';
    for (const own of [1001, 1002, 1003]) {
      const response = await get(port, `/announce?${urlsOwn}&${announceQuery({ port: own, numwant: 9 })}`);
      expect(decode(await response.bytes())).toMatchObject({ incomplete: own - 1000 });
    }
    const hash = `info_hash=${escapeBytes(hashOf(0xaa))}`;
    const scrape = await get(port, `/scrape?${urlsOwn}&${hash}&${hash}&key=x`);
    expect(decode(await scrape.bytes())).toMatchObject({ files: { ['\xaa'.repeat(20)]: { incomplete: 3 } } });
  });

  test('a torrent that leaves the list takes its swarm along', async () => {
    const torrents = listOf(A);
    const { port } = await start({ torrents });
    await announce(port, { left: 0 });
    torrents.remove('test', A);
    expect(await announce(port)).toHaveProperty('failure reason');
    torrents.add('test', { infoHashHex: A });
    expect(await announce(port, { port: 1002 })).toMatchObject({ complete: 0, incomplete: 1 });
  });

  test('an announce that comes before its torrent waits for it', async () => {
    const torrents = listOf();
    const { port } = await start({ torrents, arrivalWaitMilliseconds: 10_000 });
    const reply = announce(port);
    setTimeout(() => torrents.add('test', { infoHashHex: A }), 50);
    expect(await reply).toMatchObject({ incomplete: 1 });
  });
});

describe('odd requests get an answer or a closed connection, never a 500', () => {
  const get11 = (target: string) => `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`;

  test.each<[string, string, number[]]>([
    [
      'bytes over 127 in the query',
      get11(`/announce?${announceQuery({ info_hash: '\xff'.repeat(20) })}`),
      [200, 400],
    ],
    ['% at the end of the query', get11('/announce?info_hash=%'), [200]],
    ['a path that is not escaped well', get11('/announce%zz?x=1'), [400, 404]],
    ['a path with bytes that are no UTF-8', get11('/torrents/%ff%fe.torrent'), [400, 404]],
    ['dots in the path', get11('/torrents/../../etc/passwd'), [404]],
    ['escaped dots in the path', get11('/torrents/%2e%2e%2fetc%2fpasswd'), [404]],
    ['a fragment', get11('/announce#x'), [200, 400, 404]],
    ['two question marks', get11(`/announce??${announceQuery()}`), [200]],
    ['an absolute target', get11(`http://other/announce?${announceQuery()}`), [200, 404]],
    ['a target that is *', 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n', [400, 404]],
    [
      'another method',
      `POST /announce?${announceQuery()} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`,
      [405],
    ],
    ['a body', `POST /announce HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello`, [405]],
    ['HTTP/1.0', `GET /announce?${announceQuery()} HTTP/1.0\r\n\r\n`, [200]],
    ['no host', `GET /healthz HTTP/1.1\r\n\r\n`, [400]],
    ['a long query', get11(`/announce?${announceQuery()}&x=${'a'.repeat(8000)}`), [200]],
    ['a query beyond the bound of headers', get11(`/announce?x=${'a'.repeat(20_000)}`), [200, 431]],
    [
      'ten thousand info hashes',
      get11(`/scrape?${`info_hash=${escapeBytes(hashOf(1))}&`.repeat(10_000)}`),
      [431],
    ],
    ['rubbish', 'hello world\r\n\r\n', [400]],
    ['a TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', [400]],
    ['a BitTorrent handshake', `\x13BitTorrent protocol${'\0'.repeat(8)}${'a'.repeat(40)}`, [400]],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400]],
  ])('%s', async (_, bytes, expected) => {
    const { port } = await start();
    const [status] = statuses(await exchange(port, bytes));
    expect(expected).toContain(status);
    expect((await get(port, '/healthz')).status).toBe(200);
  });

  test.each(METHODS.filter((method) => method !== 'GET' && method !== 'CONNECT'))(
    '%s is refused where announces are taken, and nobody is registered by it',
    async (method) => {
      const { port } = await start();
      for (const path of ['/announce', '/announce/key', '/announce/']) {
        const head = `${method} ${path}?${announceQuery()} HTTP/1.1\r\nHost: x\r\n`;
        for (const more of ['', 'Connection: close\r\n', 'Content-Length: 5\r\n']) {
          const said = await exchange(
            port,
            `${head}${more}\r\n${more.startsWith('Content') ? 'hello' : ''}`,
            20,
          );
          expect(statuses(said)).toEqual([405]);
          expect(said).toMatch(/\r\nallow: GET\r\n/i);
        }
      }
      expect(await (await get(port, '/swarms')).json()).toEqual({ swarms: [] });
    },
  );

  test('what may be read may be asked for its head; nothing takes another method', async () => {
    const { port } = await start();
    for (const path of [
      '/healthz',
      '/torrents',
      '/swarms',
      '/metrics',
      `/scrape?info_hash=${'a'.repeat(20)}`,
    ]) {
      const ask = (method: string) => fetch(`http://127.0.0.1:${port}${path}`, { method });
      expect((await ask('HEAD')).status).toBe(200);
      const refused = await ask('DELETE');
      expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    }
    expect((await fetch(`http://127.0.0.1:${port}/nothing`, { method: 'DELETE' })).status).toBe(404);
  });

  test('requests in one packet are all answered', async () => {
    const { port } = await start();
    const request = get11(`/announce?${announceQuery()}`);
    expect(statuses(await exchange(port, request.repeat(20)))).toEqual(Array(20).fill(200));
  });

  test('a request that comes byte by byte is answered', async () => {
    const { port } = await start();
    const bytes = [...get11('/healthz')].map((character) => Buffer.from(character));
    expect(statuses(await exchange(port, bytes))).toEqual([200]);
  });

  test('whatever the target', async () => {
    const { port } = await start({ torrents: listOf(A) });
    // Printable ASCII without space: anything else ends the request line, which is tried above.
    const character = fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code));
    const path = fc.constantFrom('/announce?', '/scrape?', '/torrents/', '/swarms/', '/', '');
    const rest = fc.string({ unit: character, maxLength: 80 });
    await fc.assert(
      fc.asyncProperty(path, rest, async (start, end) => {
        const said = await exchange(
          port,
          `GET ${start}${end} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
        );
        const [status = 0] = statuses(said);
        expect(status).toBeGreaterThanOrEqual(200);
        expect(status).toBeLessThan(500);
      }),
      { numRuns: 200 },
    );
  });
});

describe('.torrent files', () => {
  test('come from a holder, checked, with an ETag', async () => {
    const holderPort = await startHolder();
    const { port } = await start({ torrents: listOf(ONE.infoHashHex), holderPort });
    const path = `/torrents/${ONE.infoHashHex}.torrent`;
    const early = await get(port, path);
    expect([early.status, early.headers.get('retry-after')]).toEqual([404, '1']);
    await announce(port, { info_hash: escapedHash(ONE.infoHashHex), left: 0 });
    const found = await get(port, path);
    expect(found.status).toBe(200);
    expect(found.headers.get('content-type')).toBe('application/x-bittorrent');
    expect(Buffer.from(await found.bytes())).toEqual(ONE.bytes);
    const etag = found.headers.get('etag') ?? '';
    const again = await get(port, path, { 'if-none-match': `"other", ${etag}` });
    expect([again.status, (await again.bytes()).length]).toEqual([304, 0]);
    expect((await get(port, path, { 'if-none-match': '"other"' })).status).toBe(200);
    expect((await get(port, `/torrents/${ONE.infoHashHex.toUpperCase()}.torrent`)).status).toBe(200);
  });

  test('a request that comes before the first holder waits for it', async () => {
    const holderPort = await startHolder();
    const { port } = await start({
      torrents: listOf(ONE.infoHashHex),
      holderPort,
      holderWaitMilliseconds: 10_000,
    });
    const found = get(port, `/torrents/${ONE.infoHashHex}.torrent`);
    setTimeout(() => void announce(port, { info_hash: escapedHash(ONE.infoHashHex), left: 0 }), 50);
    expect(Buffer.from(await (await found).bytes())).toEqual(ONE.bytes);
  });

  test('of torrents that are not served there are none', async () => {
    const { port } = await start({ torrents: listOf(A) });
    for (const file of [ONE.infoHashHex, `${ONE.infoHashHex}.torrent`, 'x.torrent', '__proto__'])
      expect((await get(port, `/torrents/${file}`)).status).toBe(404);
  });

  test('the index names all that are served', async () => {
    const { port } = await start({ torrents: listOf(A, ONE.infoHashHex) });
    const page = await get(port, '/torrents');
    expect(page.headers.get('content-type')).toContain('text/html');
    const text = await page.text();
    expect(text).toContain(`name of ${A}`);
    expect(text).toContain(`name of ${ONE.infoHashHex}`);
  });
});

describe('swarms in JSON', () => {
  test('have the figures of what peers told', async () => {
    const { port } = await start({ torrents: listOf(A, ONE.infoHashHex) });
    await announce(port, { port: 1001, left: 0, uploaded: 50, node: 'n1' });
    await announce(port, { port: 1002, left: 30, downloaded: 20, node: 'n2' });
    const expected = {
      infoHash: A,
      seeders: 1,
      leechers: 1,
      completed: 0,
      peers: 2,
      bytesLeft: 30,
      uploadedBytes: 50,
      downloadedBytes: 20,
      partialSeeds: 0,
      uploadRate: 0,
      downloadRate: 0,
      slowest: [{ node: 'n2', bytesLeft: 30 }],
    };
    expect(await (await get(port, '/swarms')).json()).toEqual({ swarms: [expected] });
    expect(await (await get(port, `/swarms/${A}`)).json()).toEqual(expected);
  });

  test('are empty where nobody announced, and missing where nothing is served', async () => {
    const { port } = await start({ torrents: listOf(A) });
    expect(await (await get(port, `/swarms/${A}`)).json()).toMatchObject({
      infoHash: A,
      peers: 0,
      slowest: [],
    });
    for (const path of [ONE.infoHashHex, 'x', '__proto__'])
      expect((await get(port, `/swarms/${path}`)).status).toBe(404);
  });
});

describe('operation', () => {
  test('is ready once its list is read, and alive before', async () => {
    const torrents = listOf();
    torrents.isSynced = false;
    const { port } = await start({ torrents });
    expect((await get(port, '/healthz')).status).toBe(200);
    expect((await get(port, '/readyz')).status).toBe(503);
    torrents.isSynced = true;
    expect((await get(port, '/readyz')).status).toBe(200);
  });

  test('counts what it does', async () => {
    const { port } = await start({ torrents: listOf(A) });
    await announce(port, { left: 0, event: 'started' });
    await announce(port, { left: 0, event: 'completed' });
    await announce(port, { port: 0 });
    await get(port, '/scrape?info_hash=x');
    const text = await (await get(port, '/metrics')).text();
    for (const line of [
      'enxame_tracker_announces_total{event="started",result="ok"} 1',
      'enxame_tracker_announces_total{event="completed",result="ok"} 1',
      'enxame_tracker_announces_total{event="unknown",result="BadParameter"} 1',
      'enxame_tracker_announce_duration_seconds_count 3',
      'enxame_tracker_scrapes_total{result="BadParameter"} 1',
      'enxame_tracker_torrents 1',
      'enxame_tracker_swarms 1',
      'enxame_tracker_peers{role="seeder"} 1',
      'enxame_tracker_peers{role="leecher"} 0',
      'enxame_tracker_evictions_total{what="expired"} 0',
    ])
      expect(text).toContain(line);
  });

  test('metrics may have a port of their own', async () => {
    const { port, metricsPort } = await start({ metrics: { host: '127.0.0.1', port: 0 } });
    expect((await get(port, '/metrics')).status).toBe(404);
    expect((await get(metricsPort ?? 0, '/metrics')).status).toBe(200);
  });

  test('ends soon, also while clients keep connections and requests wait', async () => {
    const { port } = await start({ torrents: listOf(A), holderWaitMilliseconds: 600_000 });
    await announce(port);
    const waiting = get(port, `/torrents/${A}.torrent`);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const [tracker] = running.splice(0);
    const before = performance.now();
    await tracker?.close();
    expect((await waiting).status).toBe(404);
    // After 5 s it would cut off whoever is still connected.
    expect(performance.now() - before).toBeLessThan(5_000);
    await expect(get(port, '/healthz')).rejects.toThrow();
  });

  test('a port that is taken is an error', async () => {
    const { port } = await start();
    await expect(start({ listen: { host: '127.0.0.1', port } })).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
  });
});
