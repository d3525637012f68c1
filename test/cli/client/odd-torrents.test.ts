// What the commands say of torrents, links and trackers that are odd: once, in one line on stderr, and go on.
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Encodable, encodeBencode } from '../../../torrent/index.ts';
import { addressOf, enxame, LOOPBACK, type Run, Runs } from '../enxame-process.ts';

const PIECE_LENGTH = 10_000;

const runs = new Runs();
let folder: string;
const servers: Server[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'enxame-odd-'));
});

afterEach(async () => {
  await runs.endAll();
  for (const server of servers.splice(0)) server.close();
  await rm(folder, { recursive: true });
});

const at = (...path: string[]) => join(folder, ...path);

/** A file, and a torrent of it with odd keys: an odd source inside, what is told outside. */
async function content(outside: { [key: string]: Encodable }) {
  const bytes = randomBytes(3 * PIECE_LENGTH + 1);
  const hashes = [0, 1, 2, 3].map((piece) =>
    createHash('sha1')
      .update(bytes.subarray(piece * PIECE_LENGTH, (piece + 1) * PIECE_LENGTH))
      .digest(),
  );
  const info = {
    length: bytes.length,
    name: 'data',
    'piece length': PIECE_LENGTH,
    pieces: Buffer.concat(hashes),
    source: 7,
  };
  await writeFile(at('data'), bytes);
  await writeFile(at('odd.torrent'), encodeBencode({ ...outside, info }));
  return { bytes, infoHash: createHash('sha1').update(encodeBencode(info)).digest('hex') };
}

/** Starts a seed; resolves with the run and its address. */
async function seed(): Promise<{ run: Run; address: string }> {
  const run = runs.start(['seed', at('odd.torrent'), at('data'), ...LOOPBACK]);
  return { run, address: await addressOf(run) };
}

/** A tracker that gives the same reply each time, and how often it was asked. */
async function tracker(reply: Buffer): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer(({ url = '' }, response) => {
    asked.push(/event=([a-z]+)/.exec(url)?.[1] ?? '');
    response.end(reply);
  });
  servers.push(server);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/announce`, asked };
}

test('download and seed say once what of the torrent is left out, and do without it', async () => {
  const { bytes } = await content({ 'announce-list': ['flat'], comment: 5, 'url-list': [7] });
  const { run, address } = await seed();
  const { code, stderr } = await enxame([
    'download',
    at('odd.torrent'),
    at('out'),
    ...LOOPBACK,
    '--peer',
    address,
  ]).ended;
  const said =
    'left out of the torrent: announce-list has entries that are no list of strings; url-list is not a list of strings; comment is not a string; source is not a string\n';
  expect([code, stderr]).toEqual([0, `enxame download: ${said}`]);
  expect(await readFile(at('out', 'data'))).toEqual(bytes);
  run.child.kill('SIGTERM');
  const outcome = await run.ended;
  expect(outcome.stderr.split(said)).toHaveLength(2);
});

test('download says what of a link is left out, and then what of the torrent that comes by it', async () => {
  const { bytes, infoHash } = await content({});
  const { address } = await seed();
  const link = `magnet:?tr=%1b[31m&xt=urn:btih:${infoHash}&ws=ftp://x/&x.pe=${address}`;
  const { code, stderr } = await enxame(['download', link, at('out'), ...LOOPBACK]).ended;
  expect(code).toBe(0);
  expect(stderr.split('\n')).toEqual([
    expect.stringMatching(
      /^enxame download: left out of the link: tr is not a URL: [^;]+; ws must begin with/,
    ),
    'enxame download: left out of the torrent: source is not a string',
    '',
  ]);
  expect(stderr).not.toContain('\u001b');
  expect(await readFile(at('out', 'data'))).toEqual(bytes);
});

describe('of a tracker', () => {
  test('peers are used though what stands beside them is odd, and that is said once', async () => {
    const { bytes } = await content({});
    const { address } = await seed();
    const port = Number(address.split(':')[1]);
    const peers = Buffer.from([127, 0, 0, 1, port >> 8, port & 255]);
    const reply = `d5:peers6:${peers.toString('latin1')}6:peers67:123456715:warning message2:hm8:interval4:soone\n`;
    const { url } = await tracker(Buffer.from(reply, 'latin1'));
    const run = await enxame(['download', at('odd.torrent'), at('out'), ...LOOPBACK, '-t', url]).ended;
    expect(run.code).toBe(0);
    const origin = new URL(url).origin;
    expect(run.stderr.split('\n').slice(1)).toEqual([
      `enxame download: tracker ${origin} says: hm`,
      `enxame download: tracker ${origin} sends odd peers, of which the rest is used: peers6 has 7 bytes, no multiple of 18`,
      '',
    ]);
    expect(await readFile(at('out', 'data'))).toEqual(bytes);
  });

  test('that wants to be asked never again, that is said and done', async () => {
    await content({});
    const { address } = await seed();
    const refusal = encodeBencode({ 'failure reason': 'unknown torrent', 'retry in': 'never' });
    const { url, asked } = await tracker(refusal);
    const args = ['download', at('odd.torrent'), at('out'), ...LOOPBACK, '-t', url, '--peer', address];
    const { code, stderr } = await enxame(args).ended;
    expect(code).toBe(0);
    expect(stderr).toContain(`tracker ${new URL(url).origin}: unknown torrent; it is not tried again\n`);
    expect(asked).toEqual(['started']);
  });
});

test('inspect lists padding neither as a file nor in the width of a column', async () => {
  const torrent = join(import.meta.dirname, '..', '..', 'inputs', 'torrents', 'padding-bitcomet.torrent');
  const { code, stdout } = await enxame(['inspect', torrent]).ended;
  expect(code).toBe(0);
  expect(stdout).toContain('Files       2\n  10 B  a\n   1 B  b\n');
});

test('inspect lists 150,000 files in a small heap, as text and as JSON', async () => {
  const count = 150_000;
  const entries = Array.from({ length: count }, (_, i) => {
    const name = `file ${String((i * 7919) % count).padStart(8, '0')}`;
    return `d6:lengthi0e4:pathl9:directory${name.length}:${name}ee`;
  });
  await writeFile(
    at('many.torrent'),
    `d4:infod5:filesl${entries.join('')}e4:name1:x12:piece lengthi16384e6:pieces0:ee`,
  );
  const small = { NODE_OPTIONS: '--max-old-space-size=96' };
  const text = await enxame(['inspect', at('many.torrent')], small).ended;
  expect([text.code, text.stderr]).toEqual([0, '']);
  expect(
    text.stdout
      .trimEnd()
      .split('\n')
      .filter((line) => line.includes('directory/file')),
  ).toHaveLength(count);
  const json = await enxame(['inspect', '--json', at('many.torrent')], small).ended;
  expect([json.code, json.stderr]).toEqual([0, '']);
  expect(JSON.parse(json.stdout).files).toHaveLength(count);
});

test.each([[[]], [['--json']]])(
  'inspect shows nobody the passwords of web seeds and trackers (%j)',
  async (options) => {
    await content({
      announce: 'http://me:secret@tracker.example/announce',
      'url-list': 'http://me:secret@web.example/',
    });
    const { code, stdout, stderr } = await enxame(['inspect', at('odd.torrent'), ...options]).ended;
    expect(code).toBe(0);
    expect(stdout).toContain('web.example/');
    expect(`${stdout}${stderr}`).not.toContain('secret');
  },
);
