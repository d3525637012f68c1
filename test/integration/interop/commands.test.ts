// Our commands and clients that others wrote, on loopback: each as a seed and as a leecher, all in one swarm, by
// torrents and magnet links that either side made, and with either side ended in the middle.
//
// ENXAME_INTEROP_MIB sets the size of the large content; 1024 by default.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { formatMagnet } from '../../../torrent/magnet.ts';
import { parseMetainfo } from '../../../torrent/metainfo.ts';
import { enxame } from '../../cli/enxame-process.ts';
import { runCommand } from '../../cluster/command.ts';
import { startTrackerProcess, type TrackerProcess } from '../../program/tracker-process.ts';
import {
  ARIA2,
  type Client,
  ENXAME,
  endClients,
  ensureClient,
  LIBTORRENT,
  MKTORRENT,
  type Place,
  PYTHON,
  type RunningClient,
  startClient,
  type Task,
  TRANSMISSION,
} from './clients.ts';
import {
  digestsOf,
  LARGE_PIECES,
  largeContent,
  MANY_FILES,
  ONE_BYTE,
  type Shape,
  SMALL_PIECES,
  writeContent,
} from './content.ts';
import { serveFolder } from './web-server.ts';

const MIB = 1024 * 1024;
const LARGE = largeContent(Number(process.env.ENXAME_INTEROP_MIB ?? 1024));
const SHAPES = [ONE_BYTE, MANY_FILES, SMALL_PIECES, LARGE_PIECES];
const OTHERS = [LIBTORRENT, ARIA2];

function totalBytes({ files }: Shape): number {
  return [...files.values()].reduce((sum, bytes) => sum + bytes, 0);
}

/** In memory where there is room for the large content twice. */
function rootFolder(): string {
  const memory = '/dev/shm';
  if (!existsSync(memory)) return tmpdir();
  const { bavail, bsize } = statfsSync(memory);
  // Source, ours and theirs, and as much again for everything else.
  return bavail * bsize > 4 * totalBytes(LARGE) ? memory : tmpdir();
}

/** Content that was written once, for all tests. */
interface Made {
  readonly torrent: string;
  readonly infoHashHex: string;
  readonly digests: Readonly<Record<string, string>>;
}

let folder: string;
let tracker: TrackerProcess;
/** Where the seeds have their content. */
let source: string;
/** Where the leechers of one test put theirs. */
let target: string;
const made = new Map<Shape, Promise<Made>>();

const announceUrl = () => `http://127.0.0.1:${tracker.port}/announce`;

async function command(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await enxame(args).ended;
  if (code !== 0) throw new Error(`enxame ${args.join(' ')} ended with ${code}: ${stderr}`);
  return stdout;
}

/** The content in the seeds' folder, with a torrent of our own making. */
function provide(shape: Shape): Promise<Made> {
  const provided =
    made.get(shape) ??
    (async () => {
      writeContent(shape, source);
      const torrent = join(folder, `${shape.name}.torrent`);
      const pieceLength = `${shape.pieceLength}`;
      const path = join(source, shape.name);
      await command('create', path, '-o', torrent, '-t', announceUrl(), '--piece-length', pieceLength);
      const { infoHashHex } = parseMetainfo(readFileSync(torrent));
      return { torrent, infoHashHex, digests: await digestsOf(shape, source) };
    })();
  made.set(shape, provided);
  return provided;
}

/** A torrent of the same content without a tracker: only those meet who are told. */
async function trackerless(shape: Shape): Promise<string> {
  await provide(shape);
  const torrent = join(mkdtempSync(join(target, 'trackerless-')), 'torrent');
  await command('create', join(source, shape.name), '-o', torrent, '--piece-length', `${shape.pieceLength}`);
  return torrent;
}

async function start(client: Client, role: Task['role'], shape: Shape, more: Partial<Task> = {}, at?: Place) {
  const { torrent } = await provide(shape);
  const own = role === 'seed' ? source : join(target, client.name);
  mkdirSync(own, { recursive: true });
  const task: Task = { role, torrent, folder: own, name: shape.name, ...more };
  const running = await startClient(client, task, at);
  if (client === ENXAME) await running.said((text) => text.startsWith('{"event":"listening"'));
  return { ...running, folder: task.folder };
}

async function expectContent(shape: Shape, where: string): Promise<void> {
  expect(await digestsOf(shape, where)).toEqual((await provide(shape)).digests);
}

/** In the events of one of ours: what came and went until all was there stands in the progress that comes after. */
const PROGRESS_OF_ALL = /"event":"complete".*\n.*"event":"progress"/;

/** The largest value of a number in the events of one of ours. */
function largest(said: string, name: string): number {
  let most = 0;
  for (const [, digits] of said.matchAll(new RegExp(`"${name}":(\\d+)`, 'g')))
    most = Math.max(most, Number(digits));
  return most;
}

beforeAll(async () => {
  for (const program of [LIBTORRENT, ARIA2, TRANSMISSION, MKTORRENT]) await ensureClient(program);
  folder = mkdtempSync(join(rootFolder(), 'enxame-interop-'));
  source = join(folder, 'source');
  mkdirSync(source);
  tracker = await startTrackerProcess('--open', '--udp');
}, 300_000);

beforeEach(() => {
  target = mkdtempSync(join(folder, 'target-'));
});

afterEach(async () => {
  await endClients();
  rmSync(target, { recursive: true, force: true });
});

afterAll(async () => {
  await tracker?.close();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

describe.each(OTHERS)('$name', (other) => {
  describe.each(SHAPES)('$what', (shape) => {
    test('from it to us', async () => {
      const seed = await start(other, 'seed', shape);
      const ours = await start(ENXAME, 'leech', shape, { peers: [seed.place] });
      await ours.complete;
      expect(await ours.end('SIGINT')).toBe(0);
      await expectContent(shape, ours.folder);
    });

    test('from us to it', async () => {
      const seed = await start(ENXAME, 'seed', shape);
      const theirs = await start(other, 'leech', shape, { peers: [seed.place] });
      await theirs.complete;
      await seed.said((text) => largest(text, 'uploadedBytes') >= totalBytes(shape));
      await expectContent(shape, theirs.folder);
      expect(await seed.end('SIGINT')).toBe(0);
    });
  });

  test('from it to two of ours at once, one of each policy, with little that comes twice', async () => {
    const seed = await start(other, 'seed', SMALL_PIECES);
    const task = (policy: 'cluster' | 'classic') => ({
      policy,
      folder: join(target, policy),
      peers: [seed.place],
    });
    const ours = [
      await start(ENXAME, 'leech', SMALL_PIECES, task('cluster')),
      await start(ENXAME, 'leech', SMALL_PIECES, task('classic')),
    ];
    for (const leecher of ours) {
      await leecher.complete;
      const said = await leecher.said((text) => PROGRESS_OF_ALL.test(text));
      expect(largest(said, 'wastedBytes')).toBeLessThan(totalBytes(SMALL_PIECES) / 10);
      await expectContent(SMALL_PIECES, leecher.folder);
    }
  });

  test('a magnet link of ours, from us to it', async () => {
    const { torrent, digests } = await provide(MANY_FILES);
    const { magnet } = JSON.parse(await command('inspect', '--json', torrent));
    const seed = await start(ENXAME, 'seed', MANY_FILES);
    const theirs = await start(other, 'leech', MANY_FILES, { torrent: magnet, peers: [seed.place] });
    await theirs.complete;
    expect(await digestsOf(MANY_FILES, theirs.folder)).toEqual(digests);
  });

  test('a magnet link that names the tracker, from it to us', async () => {
    const { infoHashHex } = await provide(MANY_FILES);
    await start(other, 'seed', MANY_FILES);
    const magnet = formatMagnet({ infoHashHex, trackers: [announceUrl()] });
    const ours = await start(ENXAME, 'leech', MANY_FILES, { torrent: magnet });
    await ours.complete;
    await expectContent(MANY_FILES, ours.folder);
  });

  test('we are killed in the middle, and go on where we were', async () => {
    const seed = await start(other, 'seed', LARGE_PIECES, { upBytesPerSecond: 30 * MIB });
    const task = { peers: [seed.place] };
    const first = await start(ENXAME, 'leech', LARGE_PIECES, task);
    await first.said((text) => largest(text, 'pieces') >= 1);
    await first.end();
    const second = await start(ENXAME, 'leech', LARGE_PIECES, task);
    await second.complete;
    await second.said((text) => PROGRESS_OF_ALL.test(text));
    expect(await second.end('SIGINT')).toBe(0);
    const said = await second.said(() => true);
    // The piece that was there is at least as long as the last.
    const lastBytes = totalBytes(LARGE_PIECES) % LARGE_PIECES.pieceLength;
    expect(largest(said, 'downloadedBytes')).toBeLessThanOrEqual(totalBytes(LARGE_PIECES) - lastBytes);
    await expectContent(LARGE_PIECES, second.folder);
  });

  test('it is killed in the middle while it downloads from us, and goes on', async () => {
    const seed = await start(ENXAME, 'seed', LARGE_PIECES, { upBytesPerSecond: 30 * MIB });
    const task = { peers: [seed.place] };
    const first = await start(other, 'leech', LARGE_PIECES, task);
    await seed.said((text) => largest(text, 'uploadedBytes') > 20 * MIB);
    await first.end();
    const second = await start(other, 'leech', LARGE_PIECES, task);
    await second.complete;
    await expectContent(LARGE_PIECES, second.folder);
  });

  test('it is killed in the middle while it seeds to us, and comes back', async () => {
    const first = await start(other, 'seed', LARGE_PIECES, { upBytesPerSecond: 30 * MIB });
    const ours = await start(ENXAME, 'leech', LARGE_PIECES, { peers: [first.place] });
    await ours.said((text) => largest(text, 'downloadedBytes') > 10 * MIB);
    await first.end();
    await start(other, 'seed', LARGE_PIECES, {}, first.place);
    await ours.complete;
    await expectContent(LARGE_PIECES, ours.folder);
  });

  test('we are killed in the middle while we seed to it, and come back', async () => {
    const first = await start(ENXAME, 'seed', LARGE_PIECES, { upBytesPerSecond: 30 * MIB });
    const theirs = await start(other, 'leech', LARGE_PIECES, { peers: [first.place] });
    await first.said((text) => largest(text, 'uploadedBytes') > 10 * MIB);
    await first.end();
    await start(ENXAME, 'seed', LARGE_PIECES, {}, first.place);
    await theirs.complete;
    await expectContent(LARGE_PIECES, theirs.folder);
  });
});

describe('transmission', () => {
  async function fromItToUs(shape: Shape): Promise<void> {
    const torrent = await trackerless(shape);
    const seed = await start(TRANSMISSION, 'seed', shape, { torrent });
    const ours = await start(ENXAME, 'leech', shape, { torrent, peers: [seed.place] });
    await ours.complete;
    await expectContent(shape, ours.folder);
    expect(await ours.end('SIGINT')).toBe(0);
  }

  async function fromUsToIt(shape: Shape): Promise<void> {
    const torrent = await trackerless(shape);
    const theirs = await start(TRANSMISSION, 'leech', shape, { torrent });
    const seed = await start(ENXAME, 'seed', shape, { torrent, peers: [theirs.place] });
    await theirs.complete;
    // Of files without a byte it makes none.
    const digests = Object.entries((await provide(shape)).digests).filter(([path]) => shape.files.get(path));
    expect(await digestsOf(shape, theirs.folder)).toEqual(Object.fromEntries(digests));
    expect(await seed.end('SIGINT')).toBe(0);
  }

  // It does nothing in its first 10 s: all of it wait at once.
  test('one file and many, from it to us and from us to it', async () => {
    const shapes = [MANY_FILES, SMALL_PIECES];
    const transfers = shapes.flatMap((shape) => [fromItToUs(shape), fromUsToIt(shape)]);
    await Promise.all(transfers);
  });
});

describe('all together', () => {
  test.each([ENXAME, ...OTHERS, TRANSMISSION])(
    'one swarm, found by the tracker, seeded by $name',
    async (seeder) => {
      await start(seeder, 'seed', SMALL_PIECES, { upBytesPerSecond: 6 * MIB });
      // Two of ours: what passes between own agents is not what passes between them and others.
      const second = { folder: join(target, 'second') };
      const leechers: (RunningClient & { folder: string })[] = [
        await start(ENXAME, 'leech', SMALL_PIECES),
        await start(ENXAME, 'leech', SMALL_PIECES, second),
        await start(LIBTORRENT, 'leech', SMALL_PIECES),
        await start(ARIA2, 'leech', SMALL_PIECES),
      ];
      await Promise.all(leechers.map(({ complete }) => complete));
      for (const leecher of leechers) await expectContent(SMALL_PIECES, leecher.folder);
    },
  );

  test('one swarm, found by the tracker over UDP', async () => {
    await provide(SMALL_PIECES);
    const torrent = join(target, 'udp.torrent');
    const url = announceUrl().replace('http:', 'udp:');
    await command(
      'create',
      join(source, SMALL_PIECES.name),
      '-o',
      torrent,
      '-t',
      url,
      '--piece-length',
      '16KiB',
    );
    await start(ENXAME, 'seed', SMALL_PIECES, { torrent });
    // aria2 speaks to UDP trackers with its DHT alone.
    for (const client of [ENXAME, LIBTORRENT]) {
      const leecher = await start(client, 'leech', SMALL_PIECES, { torrent });
      await leecher.complete;
      await expectContent(SMALL_PIECES, leecher.folder);
    }
  });

  test(`${LARGE.what}, from libtorrent to us and from us to aria2`, async () => {
    const seed = await start(LIBTORRENT, 'seed', LARGE);
    const ours = await start(ENXAME, 'leech', LARGE, { peers: [seed.place] });
    await ours.complete;
    await seed.end();
    const theirs = await start(ARIA2, 'leech', LARGE);
    await theirs.complete;
    await expectContent(LARGE, ours.folder);
    await expectContent(LARGE, theirs.folder);
  });
});

describe('peer exchange, where only some know the tracker', () => {
  test('we learn of the seed from libtorrent', async () => {
    const torrent = await trackerless(SMALL_PIECES);
    const seed = await start(ENXAME, 'seed', SMALL_PIECES, { upBytesPerSecond: MIB });
    const theirs = await start(LIBTORRENT, 'leech', SMALL_PIECES);
    await seed.said((text) => largest(text, 'peers') === 1);
    await start(ENXAME, 'leech', SMALL_PIECES, { torrent, peers: [theirs.place] });
    await seed.said((text) => largest(text, 'peers') === 2);
  });

  test('libtorrent learns of the seed from us', async () => {
    const torrent = await trackerless(SMALL_PIECES);
    const seed = await start(ENXAME, 'seed', SMALL_PIECES, { upBytesPerSecond: MIB });
    const ours = await start(ENXAME, 'leech', SMALL_PIECES);
    await seed.said((text) => largest(text, 'peers') === 1);
    await start(LIBTORRENT, 'leech', SMALL_PIECES, { torrent, peers: [ours.place] });
    await seed.said((text) => largest(text, 'peers') === 2);
  });
});

describe('web seeds (BEP 19)', () => {
  test.each([ENXAME, ...OTHERS])('a web server is all that $name needs for 300 files', async (client) => {
    await provide(MANY_FILES);
    const server = await serveFolder(source);
    try {
      const torrent = join(target, 'web-seeded.torrent');
      const path = join(source, MANY_FILES.name);
      await command('create', path, '-o', torrent, '--web-seed', server.url, '--piece-length', '32KiB');
      const leecher = await start(client, 'leech', MANY_FILES, { torrent });
      await leecher.complete;
      await expectContent(MANY_FILES, leecher.folder);
      expect(server.servedBytes).toBeGreaterThanOrEqual(totalBytes(MANY_FILES));
    } finally {
      server.close();
    }
  });
});

describe('torrents', () => {
  const libtorrentCreate = async (shape: Shape, torrent: string) => {
    const script = join(import.meta.dirname, 'libtorrent-create.py');
    const args = [torrent, join(source, shape.name), `${shape.pieceLength}`, announceUrl()];
    await runCommand(PYTHON, [script, ...args]);
  };

  test.each(SHAPES)("libtorrent's of $what have the info hash of ours, and we read them", async (shape) => {
    const { infoHashHex } = await provide(shape);
    const torrent = join(target, 'theirs.torrent');
    await libtorrentCreate(shape, torrent);
    expect(JSON.parse(await command('inspect', '--json', torrent))).toMatchObject({
      name: shape.name,
      infoHash: infoHashHex,
      pieceLength: shape.pieceLength,
      trackers: [[announceUrl()]],
    });
  });

  test.each([SMALL_PIECES, MANY_FILES])("mktorrent's of $what have the info hash of ours", async (shape) => {
    await provide(shape);
    const path = join(source, shape.name);
    // 32 KiB is the least that it makes.
    await runCommand('mktorrent', ['-l', '15', '-a', announceUrl(), '-o', join(target, 'theirs'), path]);
    const own = join(target, 'own.torrent');
    await command('create', path, '-o', own, '-t', announceUrl(), '--piece-length', '32KiB');
    const [theirs, ours] = [readFileSync(join(target, 'theirs')), readFileSync(own)].map(parseMetainfo);
    expect(theirs?.files.map((file) => file.path.join('/'))).toEqual(
      ours?.files.map((file) => file.path.join('/')),
    );
    expect(theirs?.infoHashHex).toBe(ours?.infoHashHex);
  });

  test('content made into a torrent by libtorrent is seeded and downloaded by us with it', async () => {
    await provide(MANY_FILES);
    const torrent = join(target, 'theirs.torrent');
    await libtorrentCreate(MANY_FILES, torrent);
    const seed = await start(ENXAME, 'seed', MANY_FILES, { torrent });
    const ours = await start(ENXAME, 'leech', MANY_FILES, { torrent, peers: [seed.place] });
    await ours.complete;
    await expectContent(MANY_FILES, ours.folder);
  });
});
