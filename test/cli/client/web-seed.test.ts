// A web server alone as the source of a download from the command line.
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { formatMagnet, parseMetainfo } from '../../../torrent/index.ts';
import { until } from '../../base/until.ts';
import { type FileServer, ranges, serveFiles } from '../../torrent/web-seed/file-server.ts';
import { enxame, eventOf, LOOPBACK, Runs } from '../enxame-process.ts';

const bytes = randomBytes(300_000);
const runs = new Runs();
let folder: string;
let server: FileServer;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'enxame-web-seed-'));
  server = await serveFiles(new Map([['/my file', bytes]]));
});

afterEach(async () => {
  await runs.endAll();
  server.close();
  await rm(folder, { recursive: true });
});

test('a torrent or a magnet link that names a web seed needs no peer that has the content', async () => {
  await writeFile(join(folder, 'my file'), bytes);
  const torrent = join(folder, 'x.torrent');
  const made = await enxame(['create', join(folder, 'my file'), '-o', torrent, '--web-seed', server.url])
    .ended;
  expect(made.code).toBe(0);
  const first = runs.start([
    'download',
    torrent,
    join(folder, 'one'),
    ...LOOPBACK,
    '--seed',
    '--up',
    '20000',
  ]);
  const { port } = await eventOf(first, ({ event }) => event === 'listening');
  await eventOf(first, ({ event }) => event === 'complete');
  expect((await readFile(join(folder, 'one', 'my file'))).equals(bytes)).toBe(true);

  // The metadata comes from a peer, which is slow to give anything else.
  const asked = server.paths.length;
  const { infoHashHex } = parseMetainfo(await readFile(torrent));
  const link = formatMagnet({
    infoHashHex,
    peers: [{ host: '127.0.0.1', port }],
    webSeeds: [server.url],
  });
  const second = await enxame(['download', link, join(folder, 'two'), ...LOOPBACK]).ended;
  expect([second.code, second.stderr]).toEqual([0, '']);
  expect((await readFile(join(folder, 'two', 'my file'))).equals(bytes)).toBe(true);
  expect(server.paths.length).toBeGreaterThan(asked);
});

test('a file that a web seed lacks is said in one line, which shows no password, and the others come', async () => {
  const content = join(folder, 'set');
  await mkdir(content);
  await writeFile(join(content, 'here'), bytes);
  await writeFile(join(content, 'lost'), bytes);
  const torrent = join(folder, 'y.torrent');
  const made = await enxame(['create', content, '-o', torrent]).ended;
  expect(made.code).toBe(0);
  const { infoHashHex, pieceLength } = parseMetainfo(await readFile(torrent));
  const asked: (string | undefined)[] = [];
  const others = await serveFiles(new Map([['/d/set/here', bytes]]), (request, response, file) => {
    asked.push(request.headers.authorization);
    ranges(request, response, file);
  });
  const url = `${others.url.replace('://', '://somebody:secret@')}d/`;
  const seed = runs.start(['seed', torrent, content, ...LOOPBACK, '--up', '1']);
  try {
    const { port } = await eventOf(seed, ({ event }) => event === 'listening');
    const link = formatMagnet({ infoHashHex, peers: [{ host: '127.0.0.1', port }], webSeeds: [url] });
    const run = runs.start(['download', link, join(folder, 'three'), ...LOOPBACK]);
    let said = '';
    run.child.stderr?.on('data', (text: string) => {
      said += text;
    });
    const wanted = Math.floor(bytes.length / pieceLength) * pieceLength;
    await eventOf(run, (event) => event.bytes >= wanted);
    await until('it says something', () => said !== '', 60);
    run.child.kill('SIGTERM');
    const { stdout } = await run.ended;
    expect(said.split('\n').filter((line) => line.includes('seed:'))).toEqual([
      `enxame download: web seed: ${new URL(others.url).origin}: answers HTTP 404 for "set/lost"; it is asked for other files, and for this one again later`,
    ]);
    expect(stdout + said).not.toContain('secret');
    expect(new Set(asked)).toEqual(new Set([`Basic ${Buffer.from('somebody:secret').toString('base64')}`]));
  } finally {
    others.close();
  }
});
