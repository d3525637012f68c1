// Our engine and our tracker with clients that others wrote, on loopback: each as a seed and as a leecher.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { buildInfoDictionary, encodeMetainfo, PieceHasher } from '../../../torrent/create.ts';
import { trackerDiscovery } from '../../../torrent/discovery/tracker-discovery.ts';
import { type Metainfo, parseMetainfo } from '../../../torrent/metainfo.ts';
import { openStorage } from '../../../torrent/storage/storage.ts';
import { OPEN_LIST } from '../../../tracker/torrents.ts';
import { type RunningTracker, startTracker } from '../../../tracker/tracker.ts';
import { afterwards, closeAll, completion, startSession } from '../../torrent/session/harness.ts';
import { collectedLog } from '../../tracker/collected-log.ts';
import { ARIA2, endClients, ensureClient, LIBTORRENT, startClient } from './clients.ts';

const NAME = 'interop';
const PIECE_BYTES = 64 * 1024;
const FILES = [
  { path: 'a/first', lengthBytes: 5 * 1024 * 1024 + 3 },
  { path: 'second', lengthBytes: 1 },
  { path: 'third', lengthBytes: 3 * 1024 * 1024 },
];

let folder: string;
let tracker: RunningTracker;
let torrent: string;
let metainfo: Metainfo;

/** Bytes that no client can guess, the same each time. */
function contentOf(index: number): Buffer {
  const bytes = Buffer.alloc(FILES[index]?.lengthBytes ?? 0);
  for (let at = 0, state = index + 1; at < bytes.length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

const contents = FILES.map((_, index) => contentOf(index));

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'enxame-interop-'));
  tracker = await startTracker({
    torrents: OPEN_LIST,
    listen: { host: '127.0.0.1', port: 0 },
    logger: collectedLog(),
  });
  const hasher = new PieceHasher(PIECE_BYTES);
  for (const content of contents) hasher.update(content);
  const info = buildInfoDictionary({
    name: NAME,
    private: true,
    source: 'enxame:interop',
    pieceLength: PIECE_BYTES,
    pieces: hasher.finish(),
    files: FILES.map((file) => ({ ...file, executable: false })),
  });
  const bytes = encodeMetainfo({ info, announce: announceUrl() });
  torrent = join(folder, 'interop.torrent');
  writeFileSync(torrent, bytes);
  metainfo = parseMetainfo(bytes);
});

afterEach(async () => {
  await endClients();
  await closeAll();
  await tracker.close();
  rmSync(folder, { recursive: true, force: true });
});

function announceUrl(): string {
  return `http://127.0.0.1:${tracker.port}/announce`;
}

function writeContent(root: string): void {
  for (const [index, { path }] of FILES.entries()) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), contents[index] as Buffer);
  }
}

function expectContent(root: string): void {
  for (const [index, { path }] of FILES.entries()) {
    expect(readFileSync(join(root, path)).equals(contents[index] as Buffer)).toBe(true);
  }
}

/** One of our sessions in the swarm, with what lies in the folder. */
async function joinSwarm(root: string, policy: 'cluster' | 'classic') {
  const storage = await openStorage({ metainfo, root });
  afterwards(() => storage.close());
  const session = await startSession();
  const discovery = [trackerDiscovery({ tiers: [[announceUrl()]], ownTrackers: true })];
  return { storage, torrent: session.add({ metainfo, storage, policy, discovery }) };
}

describe.each([LIBTORRENT, ARIA2])('$name', (client) => {
  beforeAll(() => ensureClient(client), 300_000);

  test('as a seed, for two of ours', async () => {
    const theirs = join(folder, 'theirs');
    writeContent(join(theirs, NAME));
    await startClient(client, { role: 'seed', torrent, folder: theirs, name: NAME });
    const ours = ['one', 'two'].map((name) => join(folder, name));
    const joined = await Promise.all([
      joinSwarm(ours[0] as string, 'cluster'),
      joinSwarm(ours[1] as string, 'classic'),
    ]);
    await Promise.all(joined.map(({ torrent: each }) => completion(each, 60)));
    for (const [index, { storage, torrent: each }] of joined.entries()) {
      await storage.finalize();
      expectContent(ours[index] as string);
      expect(each.progress().wastedBytes).toBeLessThan(metainfo.totalBytes / 10);
    }
  });

  test('as a leecher, of one of ours', async () => {
    const ours = join(folder, 'ours');
    writeContent(ours);
    const seed = await joinSwarm(ours, 'cluster');
    expect(seed.torrent.complete).toBe(true);
    const theirs = join(folder, 'theirs');
    mkdirSync(theirs);
    const { complete } = await startClient(client, { role: 'leech', torrent, folder: theirs, name: NAME });
    await complete;
    expectContent(join(theirs, NAME));
    expect(seed.torrent.progress().uploadedBytes).toBeGreaterThanOrEqual(metainfo.totalBytes);
  });
});
