// The BitTorrent client of the command line, as processes that talk over loopback.
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { parseMetainfo } from '../../../torrent/index.ts';
import { addressOf, enxame, eventOf, LOOPBACK, Runs } from '../enxame-process.ts';

const PIECE = 16_384;

const runs = new Runs();
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'enxame-client-'));
});

afterEach(async () => {
  await runs.endAll();
  await rm(folder, { recursive: true });
});

const at = (...path: string[]) => join(folder, ...path);

/** A folder with awkward files, and its torrent. */
async function content(): Promise<{ torrent: string; path: string }> {
  await mkdir(at('my data', 'deep'), { recursive: true });
  await writeFile(at('my data', 'a'), randomBytes(5 * PIECE + 7));
  await writeFile(at('my data', 'deep', 'ünï cöde'), randomBytes(1));
  await writeFile(at('my data', 'empty'), '');
  const torrent = at('x.torrent');
  const { code, stderr } = await enxame(['create', at('my data'), '-o', torrent, '--piece-length', '16Ki'])
    .ended;
  expect([code, stderr]).toEqual([0, '']);
  return { torrent, path: at('my data') };
}

/** Starts a seed; resolves with its address. */
const seed = (torrent: string, path: string, ...more: string[]): Promise<string> =>
  addressOf(runs.start(['seed', torrent, path, ...LOOPBACK, ...more]));

async function filesBelow(root: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    found[path.slice(root.length + 1)] = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
  }
  return found;
}

const events = (stdout: string) =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { event: string; bytes?: number; seconds?: number });

describe('enxame create', () => {
  test('makes a torrent that says what is there, and the same one every time', async () => {
    const { torrent } = await content();
    const first = await readFile(torrent);
    const metainfo = parseMetainfo(first);
    expect(metainfo.name).toBe('my data');
    expect(metainfo.files.map(({ path }) => path.join('/'))).toEqual(['a', 'deep/ünï cöde', 'empty']);
    await enxame(['create', at('my data'), '-o', torrent, '--piece-length', '16Ki', '--force']).ended;
    expect(await readFile(torrent)).toEqual(first);
  });

  test('hashes much content in threads, and as one thread would', async () => {
    const bytes = randomBytes(40 * 1024 * 1024 + 5);
    await writeFile(at('big'), bytes);
    const { code, stdout } = await enxame(['create', at('big'), '-o', at('big.torrent'), '--json']).ended;
    expect(code).toBe(0);
    const metainfo = parseMetainfo(await readFile(at('big.torrent')));
    expect(JSON.parse(stdout)).toMatchObject({ event: 'created', infoHash: metainfo.infoHashHex });
    for (let piece = 0; piece < metainfo.pieceCount; piece++) {
      const start = piece * metainfo.pieceLength;
      const part = bytes.subarray(start, start + metainfo.pieceLengthAt(piece));
      expect(createHash('sha1').update(part).digest()).toEqual(metainfo.pieceHash(piece));
    }
  });

  test.each<[string, string[], string]>([
    ['a missing path', ['nowhere'], 'nowhere cannot be read: ENOENT'],
    ['an odd piece length', ['.', '--piece-length', '100000'], 'it must be a power of two'],
    ['a tracker that is no URL', ['.', '-t', 'tracker'], "--tracker is 'tracker'; it must be a URL"],
    [
      'a name that no file can have',
      ['.', '--name', 'a/b', '-o', '/nowhere'],
      'has a slash in it; use --name',
    ],
    [
      'a folder that is not there',
      ['.', '-o', '/nowhere/x.torrent'],
      'the folder /nowhere cannot be entered',
    ],
    ['an output among the content', ['.', '-o', './x.torrent'], 'would lie in the content that it describes'],
    ['a size that is none', ['.', '--piece-length', 'much'], 'it must be a number of bytes'],
  ])('refuses %s in one line', async (_, args, message) => {
    const { code, stdout, stderr } = await enxame(['create', ...args]).ended;
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
    expect(stderr.split('\n')).toHaveLength(2);
  });

  test('knows before it hashes that a torrent would be too large, and which pieces would do', async () => {
    await writeFile(at('huge'), '');
    // Sparse: to read it would take minutes.
    await truncate(at('huge'), 200 * 2 ** 30);
    const args = ['create', at('huge'), '-o', at('huge.torrent'), '--piece-length', '16Ki'];
    const { code, stderr } = await enxame(args).ended;
    expect([code, stderr]).toEqual([
      2,
      'enxame create: 13107200 pieces of 16.0 KiB and 1 file make a torrent of more than 8.0 MiB, which nobody takes; use --piece-length 512Ki\n',
    ]);
    expect(await readdir(folder)).toEqual(['huge']);
  });

  test('the content itself is not replaced by its torrent', async () => {
    await writeFile(at('file'), 'precious');
    const { code, stderr } = await enxame(['create', at('file'), '-o', at('file'), '--force']).ended;
    expect([code, stderr]).toEqual([2, expect.stringContaining('is the content itself; use --output FILE')]);
    expect(await readFile(at('file'), 'utf8')).toBe('precious');
  });

  test('what it takes, seed serves: files and folders behind symlinks too', async () => {
    await mkdir(at('blobs', 'deep'), { recursive: true });
    await writeFile(at('blobs', 'one'), randomBytes(PIECE + 3));
    await writeFile(at('blobs', 'deep', 'two'), randomBytes(5));
    await mkdir(at('snapshot'));
    await symlink('../blobs/one', at('snapshot', 'weights'));
    await symlink(at('blobs', 'deep'), at('snapshot', 'folder'));
    expect((await enxame(['create', at('snapshot'), '-o', at('s.torrent')]).ended).code).toBe(0);
    const peer = await seed(at('s.torrent'), at('snapshot'));
    const got = await enxame(['download', at('s.torrent'), at('out'), ...LOOPBACK, '--peer', peer]).ended;
    expect(got.code).toBe(0);
    expect(await readFile(at('out', 'snapshot', 'folder', 'two'))).toEqual(
      await readFile(at('blobs', 'deep', 'two')),
    );
    await rm(at('blobs', 'one'));
    const { code, stderr } = await enxame(['seed', at('s.torrent'), at('snapshot'), ...LOOPBACK]).ended;
    expect(code).toBe(2);
    expect(stderr).toContain('snapshot/weights is a symlink to ../blobs/one, which does not exist');
  });

  test('does not replace a torrent unless told to', async () => {
    const { torrent, path } = await content();
    const before = await readFile(torrent);
    const { code, stderr } = await enxame(['create', path, '-o', torrent]).ended;
    expect(code).toBe(2);
    expect(stderr).toContain('exists; use --force');
    expect(await readFile(torrent)).toEqual(before);
  });
});

describe('enxame inspect', () => {
  test('tells what a torrent holds, as text and as JSON', async () => {
    const { torrent } = await content();
    const { infoHashHex } = parseMetainfo(await readFile(torrent));
    const text = await enxame(['inspect', torrent]).ended;
    expect(text.code).toBe(0);
    expect(text.stdout).toContain(`Info hash   ${infoHashHex}\n`);
    expect(text.stdout).toContain('deep/ünï cöde');
    const json = await enxame(['inspect', torrent, '--json']).ended;
    expect(JSON.parse(json.stdout)).toMatchObject({ infoHash: infoHashHex, bytes: 5 * PIECE + 8 });
  });

  test('reads magnet links', async () => {
    const link = `magnet:?xt=urn:btih:${'ab'.repeat(20)}&dn=x%1by&tr=http%3A%2F%2Ft%2Fannounce`;
    const { code, stdout } = await enxame(['inspect', link]).ended;
    expect(code).toBe(0);
    expect(stdout).toContain('ab'.repeat(20));
    expect(stdout).toContain('http://t/announce');
    expect(stdout).not.toContain('\u001b');
  });

  test('a reader that goes away ends it without a word', async () => {
    const { torrent } = await content();
    const run = enxame(['inspect', torrent]);
    run.child.stdout?.destroy();
    expect((await run.ended).stderr).toBe('');
  });

  test('a torrent that breaks a rule is bad input', async () => {
    await writeFile(at('bad.torrent'), 'd4:infod6:lengthi-1eee');
    const { code, stderr } = await enxame(['inspect', at('bad.torrent')]).ended;
    expect(code).toBe(2);
    expect(stderr).toMatch(/bad\.torrent is no torrent that can be used: [^\n]+\n$/);
  });
});

describe('enxame download and seed', () => {
  test('content goes from one to the other, byte for byte, and nothing else stays', async () => {
    const { torrent, path } = await content();
    const peer = await seed(torrent, path);
    const { code, stdout, stderr } = await enxame([
      'download',
      torrent,
      at('out'),
      ...LOOPBACK,
      '--peer',
      peer,
    ]).ended;
    expect([code, stderr]).toEqual([0, '']);
    const told = events(stdout);
    expect(told[0]?.event).toBe('listening');
    expect(told.at(-1)).toMatchObject({ event: 'complete', bytes: 5 * PIECE + 8 });
    expect(await readdir(at('out'))).toEqual(['my data']);
    expect(await filesBelow(at('out', 'my data'))).toEqual(await filesBelow(path));
  });

  test.each([[[]], [['--json']]])('a seed says where it listens, over IPv6 too (%j)', async (json) => {
    const { torrent, path } = await content();
    const run = runs.start(['seed', torrent, path, '--listen', '[::1]:0', ...json]);
    expect(await run.nextLine()).toMatch(
      json.length === 0 ? /^listening on \[::1\]:\d+$/ : /^\{"event":"listening","host":"::1","port":\d+\}$/,
    );
  });

  test('a magnet link is enough', async () => {
    const { torrent, path } = await content();
    const { infoHashHex } = parseMetainfo(await readFile(torrent));
    const peer = await seed(torrent, path);
    const link = `magnet:?xt=urn:btih:${infoHashHex}&x.pe=${peer}`;
    const { code, stderr } = await enxame(['download', link, at('out'), ...LOOPBACK]).ended;
    expect([code, stderr]).toEqual([0, '']);
    expect(await filesBelow(at('out', 'my data'))).toEqual(await filesBelow(path));
  });

  test.each(['http', 'udp'])('peers meet by a tracker that was named, over %s', async (protocol) => {
    const { torrent, path } = await content();
    const address = await addressOf(runs.start(['tracker', '--open', '--udp', ...LOOPBACK]));
    const named = ['-t', `${protocol}://${address}/announce`];
    await seed(torrent, path, ...named);
    const { code, stderr } = await enxame(['download', torrent, at('out'), ...LOOPBACK, ...named]).ended;
    expect([code, stderr]).toEqual([0, '']);
    expect(await filesBelow(at('out', 'my data'))).toEqual(await filesBelow(path));
  });

  test.each([
    ['http', '127.0.0.1', '127.0.0.2', '127.0.0.3'],
    ['udp', '127.0.0.1', '127.0.0.2', '127.0.0.3'],
    ['http', '[::1]', '[::1]', '[::1]'],
    ['udp', '[::1]', '[::1]', '[::1]'],
  ])('a tracker over %s on %s is told of the address where a seed listens: %s', async (...given) => {
    const [protocol, trackerHost, seedHost, leecherHost] = given;
    const { torrent, path } = await content();
    const tracker = runs.start(['tracker', '--open', '--udp', '--json', '--listen', `${trackerHost}:0`]);
    const { port } = await eventOf(tracker, ({ event }) => event === 'listening');
    const named = ['-t', `${protocol}://${trackerHost}:${port}/announce`];
    await seed(torrent, path, ...named, '--listen', `${seedHost}:0`);
    const { infoHashHex } = parseMetainfo(await readFile(torrent));
    const link = `magnet:?xt=urn:btih:${infoHashHex}`;
    const from = ['--json', '--listen', `${leecherHost}:0`];
    const { code, stderr } = await enxame(['download', link, at('out'), ...from, ...named]).ended;
    expect([code, stderr]).toEqual([0, '']);
    expect(await filesBelow(at('out', 'my data'))).toEqual(await filesBelow(path));
  });

  test('a tracker that is away is told once, without what may be a key in its URL', async () => {
    const { torrent, path } = await content();
    const peer = await seed(torrent, path);
    const away = ['-t', 'http://127.0.0.1:1/announce?passkey=secret'];
    const run = await enxame(['download', torrent, at('out'), ...LOOPBACK, '--peer', peer, ...away]).ended;
    expect(run.code).toBe(0);
    expect(run.stderr).toMatch(
      /^enxame download: tracker http:\/\/127\.0\.0\.1:1: [^\n]+ECONNREFUSED[^\n]+\n$/,
    );
    expect(run.stderr).not.toContain('secret');
  });

  test('with --seed it goes on serving what it got', async () => {
    const { torrent, path } = await content();
    const first = runs.start(['seed', torrent, path, ...LOOPBACK]);
    const from = ['--peer', await addressOf(first)];
    const second = runs.start(['download', torrent, at('one'), ...LOOPBACK, ...from, '--seed']);
    const peer = await addressOf(second);
    await eventOf(second, ({ event }) => event === 'complete');
    first.child.kill('SIGKILL');
    await first.ended;
    const third = await enxame(['download', torrent, at('two'), ...LOOPBACK, '--peer', peer]).ended;
    expect(third.code).toBe(0);
    expect(await filesBelow(at('two', 'my data'))).toEqual(await filesBelow(path));
    second.child.kill('SIGTERM');
    expect((await second.ended).code).toBe(0);
  });

  test('a download that was stopped goes on where it was', async () => {
    const bytes = randomBytes(64 * PIECE);
    await writeFile(at('file'), bytes);
    await enxame(['create', at('file'), '-o', at('f.torrent'), '--piece-length', '16Ki']).ended;
    const peer = await seed(at('f.torrent'), at('file'), '--up', '256Ki');
    const args = ['download', at('f.torrent'), at('out'), ...LOOPBACK, '--peer', peer];
    const first = runs.start(args);
    await eventOf(first, ({ pieces }) => pieces > 0);
    first.child.kill('SIGTERM');
    const stopped = await first.ended;
    expect(stopped.code).toBe(1);
    const held = (await readdir(at('out'))).find((name) => name.endsWith('.resume'));
    expect(held).toBeDefined();
    const { code, stdout } = await enxame(args).ended;
    expect(code).toBe(0);
    const { downloadedBytes } = events(stdout).findLast(({ event }) => event === 'progress') as unknown as {
      downloadedBytes: number;
    };
    expect(downloadedBytes).toBeLessThan(bytes.length);
    expect(await readFile(at('out', 'file'))).toEqual(bytes);
    expect(await readdir(at('out'))).toEqual(['file']);
  });

  test('a file that holds something else is not replaced unless told to', async () => {
    const { torrent, path } = await content();
    const peer = await seed(torrent, path);
    await mkdir(at('out', 'my data'), { recursive: true });
    await writeFile(at('out', 'my data', 'a'), 'precious');
    const args = ['download', torrent, at('out'), ...LOOPBACK, '--peer', peer];
    const refused = await enxame(args).ended;
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('exists and holds something else');
    expect(await readFile(at('out', 'my data', 'a'), 'utf8')).toBe('precious');
    expect((await enxame([...args, '--force']).ended).code).toBe(0);
    expect(await filesBelow(at('out', 'my data'))).toEqual(await filesBelow(path));
  });

  test.each<[string, string[], string]>([
    ['no torrent', ['download', 'none.torrent', 'x'], 'none.torrent does not exist'],
    ['a bad magnet link', ['download', 'magnet:?dn=x', 'x'], 'it names no torrent'],
    ['a peer without a port', ['download', 'x', 'y', '--peer', 'host'], "--peer is 'host'"],
    ['a tracker that is none', ['download', 'x', 'y', '-t', 'host'], "--tracker is 'host'; it must be a URL"],
    ['a rate that is none', ['download', 'x', 'y', '--down', 'fast'], 'bytes per second'],
    ['content that is not there', ['seed', 'x.torrent', 'y'], 'x.torrent does not exist'],
  ])('%s is told in one line', async (_, args, message) => {
    const { code, stdout, stderr } = await enxame(args).ended;
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
    expect(stderr.split('\n')).toHaveLength(2);
  });

  test('--memory bounds what is on its way, and refuses what is too little for anything', async () => {
    const { torrent, path } = await content();
    const peer = await seed(torrent, path, '--memory', '64Mi');
    const args = ['download', torrent, at('out'), ...LOOPBACK, '--peer', peer, '--memory'];
    const refused = await enxame([...args, '63Mi']).ended;
    expect([refused.code, refused.stdout]).toEqual([2, '']);
    expect(refused.stderr).toContain('--memory is 66060288 bytes; it must be at least 64Mi');
    expect(refused.stderr.split('\n')).toHaveLength(2);
    expect((await enxame([...args, '64Mi']).ended).code).toBe(0);
    expect(await filesBelow(at('out', 'my data'))).toEqual(await filesBelow(path));
  });

  test('a seed of content that differs says so', async () => {
    const { torrent, path } = await content();
    await writeFile(join(path, 'a'), randomBytes(5 * PIECE + 7));
    const { code, stderr } = await enxame(['seed', torrent, path, ...LOOPBACK]).ended;
    expect(code).toBe(2);
    expect(stderr).toMatch(/is not what the torrent describes: \d+ of 6 pieces are missing or differ/);
  });
});
