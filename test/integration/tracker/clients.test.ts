// Clients that others wrote find each other through our tracker, over HTTP and over UDP, with a key and without.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { parseMetainfo } from '../../../torrent/metainfo.ts';
import { announceKey } from '../../../tracker/rights/rights.ts';
import { enxame } from '../../cli/enxame-process.ts';
import { startTrackerProcess, type TrackerProcess } from '../../program/tracker-process.ts';
import { ARIA2, type Client, endClients, ensureClient, LIBTORRENT, startClient } from '../interop/clients.ts';
import { digestsOf, MANY_FILES, writeContent } from '../interop/content.ts';

const SECRET = Buffer.from('a secret of more than sixteen bytes');

/** aria2 speaks to UDP trackers through the socket of its DHT, which knows nobody here. */
const ARIA2_WITH_UDP: Client = {
  ...ARIA2,
  command: (task, place, ownFolder) => {
    const { port } = place;
    const [program, ...args] = ARIA2.command(task, place, ownFolder);
    const dht = ['--enable-dht=true', `--dht-listen-port=${port}`, `--dht-file-path=${folder}/dht-${port}`];
    return [program, ...args.filter((argument) => argument !== '--enable-dht=false'), ...dht];
  },
};

let folder: string;
let tracker: TrackerProcess;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'enxame-clients-'));
});

afterEach(async () => {
  await endClients();
  await tracker.close();
  rmSync(folder, { recursive: true, force: true });
});

async function create(path: string, torrent: string, ...more: string[]): Promise<string> {
  const { code, stderr } = await enxame(['create', path, '-o', torrent, ...more]).ended;
  if (code !== 0) throw new Error(stderr);
  return parseMetainfo(readFileSync(torrent)).infoHashHex;
}

test.each([
  { client: LIBTORRENT, protocol: 'http', hasKey: true },
  { client: LIBTORRENT, protocol: 'udp', hasKey: false },
  { client: LIBTORRENT, protocol: 'udp', hasKey: true },
  { client: ARIA2, protocol: 'http', hasKey: true },
  { client: ARIA2_WITH_UDP, protocol: 'udp', hasKey: false },
])('$client.name over $protocol, with a key: $hasKey', async ({ client, protocol, hasKey }) => {
  await ensureClient(client);
  const source = join(folder, 'source');
  const target = join(folder, 'target');
  mkdirSync(source);
  mkdirSync(target);
  writeContent(MANY_FILES, source);
  const secretFile = join(folder, 'secret');
  writeFileSync(secretFile, SECRET);
  tracker = await startTrackerProcess('--open', '--udp', ...(hasKey ? ['--secret-file', secretFile] : []));
  const path = join(source, MANY_FILES.name);
  const infoHash = await create(path, join(folder, 'without.torrent'));
  const key = hasKey ? `/${announceKey(SECRET, infoHash)}` : '';
  const torrent = join(folder, 'content.torrent');
  const url = `${protocol}://127.0.0.1:${tracker.port}/announce${key}`;
  expect(await create(path, torrent, '-t', url)).toBe(infoHash);
  const task = { torrent, name: MANY_FILES.name };
  await startClient(client, { ...task, role: 'seed', folder: source });
  const leecher = await startClient(client, { ...task, role: 'leech', folder: target });
  await leecher.complete;
  expect(await digestsOf(MANY_FILES, target)).toEqual(await digestsOf(MANY_FILES, source));
});
