// A web server alone as the source of a download from the command line.
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { formatMagnet, parseMetainfo } from '../../torrent/index.ts';
import { type FileServer, serveFiles } from '../torrent/web-seed/file-server.ts';
import { enxame } from './enxame-process.ts';

const bytes = randomBytes(300_000);
const LOOPBACK = ['--listen', '127.0.0.1:0', '--json'];

let folder: string;
let server: FileServer;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'enxame-web-seed-'));
  server = await serveFiles(new Map([['/my file', bytes]]));
});

afterEach(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

test('a torrent or a magnet link that names a web seed needs no peer that has the content', async () => {
  await writeFile(join(folder, 'my file'), bytes);
  const torrent = join(folder, 'x.torrent');
  const made = await enxame(['create', join(folder, 'my file'), '-o', torrent, '--web-seed', server.url])
    .ended;
  expect(made.code).toBe(0);
  const first = enxame(['download', torrent, join(folder, 'one'), ...LOOPBACK, '--seed', '--up', '20000']);
  try {
    const { port } = JSON.parse((await first.nextLine()) ?? '');
    for (let line = await first.nextLine(); ; line = await first.nextLine()) {
      if (line === undefined) throw new Error((await first.ended).stderr);
      if (JSON.parse(line).event === 'complete') break;
    }
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
  } finally {
    first.child.kill('SIGKILL');
    await first.ended;
  }
});
