/**
 * A long run of the engine under a small heap: swarms come and go, honest peers download, others misbehave, and
 * its memory must not grow.
 *
 *     npm run soak                              20 minutes, a heap of 32 MiB
 *     npm run soak -- --minutes 2 --heap 24     shorter, tighter
 *     npm run soak -- --seed 7                  another order of events
 *
 * Prints a line each 20 s and a verdict; exits 0 if the last quarter of the run needs no more memory than the
 * second, and no transfer failed.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Session } from '../../torrent/session/session.ts';
import { MemoryStorage } from '../../torrent/storage/memory.ts';
import { until } from '../base/until.ts';
import { EngineProcess, mebibytes } from '../torrent/load/engine.ts';
import { MISDEEDS } from '../torrent/load/misdeeds.ts';
import type { MemoryAnswer } from '../torrent/load/questions.ts';
import { writeContent } from '../torrent/load/swarm-content.ts';
import { addressOf, completion, silent } from '../torrent/session/harness.ts';
import { dialRaw } from '../torrent/session/raw-peer.ts';
import { makeTorrent } from '../torrent/storage/content.ts';
import { seededRandom } from '../tracker/seeded-random.ts';

const MIB = 1024 * 1024;
const SAMPLE_SECONDS = 20;
/** Slow enough to leave a processor to others; the number of events counts here, not of bytes. */
const BYTES_PER_SECOND = 6 * MIB;
/** What the last quarter may need beyond the second one: what one transfer more or less under way makes. */
const MOST_GROWTH = { heapBytes: 2 * MIB, bufferBytes: 8 * MIB, residentBytes: 16 * MIB } as const;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '20' },
    heap: { type: 'string', default: '32' },
    seed: { type: 'string', default: '1' },
  },
});
const endsAt = performance.now() + Number(values.minutes) * 60_000;
const random = seededRandom(Number(values.seed));
const folder = mkdtempSync(join(tmpdir(), 'enxame-soak-'));
const counts = { downloads: 0, joins: 0, magnets: 0, misdeeds: 0 };
const failures: string[] = [];
const isOver = () => performance.now() > endsAt || failures.length > 0;

const limits = { uploadBytesPerSecond: BYTES_PER_SECOND, downloadBytesPerSecond: BYTES_PER_SECOND };
const engine = await EngineProcess.start(Number(values.heap), { limits });
const held = makeTorrent([{ path: 'held', length: 12 * MIB + 5 }], { pieceLength: 256 * 1024 });
const heldFolder = join(folder, 'held');
writeContent(join(heldFolder, 'content'), held.metainfo, held.content);
await engine.join({
  info: Buffer.from(held.metainfo.infoBytes).toString('base64'),
  folder: heldFolder,
  isComplete: true,
  policy: 'cluster',
  peers: [],
});

/** Somebody downloads what the engine holds, and goes. */
async function download(): Promise<void> {
  const session = new Session({ logger: silent, listen: { host: '127.0.0.1' } });
  try {
    await session.start();
    const storage = new MemoryStorage(held.metainfo);
    const policy = random() < 0.5 ? 'cluster' : 'classic';
    const torrent = session.add({ metainfo: held.metainfo, storage, policy, discovery: [] });
    torrent.addPeers([engine.address]);
    await completion(torrent, 120);
    if (!storage.content.equals(held.content)) throw new Error('the content is another one');
    counts.downloads++;
  } finally {
    await session.close();
  }
}

/** The engine joins a swarm that it has not met before, completes and leaves. */
async function joinAnother(): Promise<void> {
  const another = makeTorrent(
    [
      { path: 'a b/ä', length: 3 * MIB + Math.trunc(random() * MIB) },
      { path: 'empty', length: 0 },
      { path: 'small', length: 1 },
    ],
    { pieceLength: 64 * 1024, seed: Math.trunc(random() * 2 ** 31) },
  );
  const { metainfo, content } = another;
  const session = new Session({ logger: silent, listen: { host: '127.0.0.1' } });
  const place = join(folder, `joined-${metainfo.infoHashHex}`);
  try {
    await session.start();
    session.add({
      metainfo,
      storage: new MemoryStorage(metainfo, content),
      policy: 'cluster',
      discovery: [],
    });
    mkdirSync(place);
    const byMagnet = random() < 0.4;
    await engine.join({
      info: Buffer.from(metainfo.infoBytes).toString('base64'),
      byMagnet,
      folder: place,
      isComplete: false,
      policy: random() < 0.5 ? 'cluster' : 'classic',
      peers: [addressOf(session)],
    });
    for (let left = 1; left > 0; ) {
      const progress = await engine.progress(metainfo.infoHashHex);
      left = progress?.bytesLeft ?? 1;
      if (left > 0) await delay(100);
      if (performance.now() > endsAt + 120_000) throw new Error('a swarm that was joined does not complete');
    }
    await engine.leave(metainfo.infoHashHex);
    counts.joins++;
    if (byMagnet) counts.magnets++;
  } finally {
    await session.close();
    rmSync(place, { recursive: true, force: true });
  }
}

/** Somebody does something wrong, in any of the known ways. */
async function misbehave(): Promise<void> {
  const { metainfo } = held;
  const peer = await dialRaw(engine.address.port, metainfo.pieceCount);
  const names = Object.keys(MISDEEDS);
  const name = names[Math.trunc(random() * names.length)] ?? '';
  try {
    const peerId = Buffer.from(`-SOAK00-${String(counts.misdeeds).padStart(12, '0')}`);
    peer.greet(metainfo.infoHash, { peerId });
    await until('it is greeted or gone', () => peer.isGreeted || peer.ended !== undefined);
    MISDEEDS[name]?.(peer, { metainfo, random });
    if (random() < 0.3) peer.socket.pause();
    peer.flush();
    await delay(100 + random() * 400);
    counts.misdeeds++;
  } finally {
    peer.socket.destroy();
  }
}

/** Again and again until the end. */
async function forever(what: string, work: () => Promise<void>, pauseMilliseconds: number): Promise<void> {
  while (!isOver()) {
    try {
      await work();
    } catch (error) {
      if (!isOver()) failures.push(`${what}: ${error instanceof Error ? error.stack : String(error)}`);
    }
    await delay(pauseMilliseconds);
  }
}

const samples: MemoryAnswer[] = [];

async function sample(): Promise<void> {
  const memory = await engine.memory();
  samples.push(memory);
  failures.push(...memory.problems);
  const minutes = (Number(values.minutes) - (endsAt - performance.now()) / 60_000).toFixed(1);
  process.stdout.write(
    `${minutes} min: heap ${mebibytes(memory.heapBytes)}, buffers ${mebibytes(memory.bufferBytes)}, ` +
      `resident ${mebibytes(memory.residentBytes)}, ${memory.torrents} torrents, ${memory.peers} peers; ` +
      `so far ${counts.downloads} downloads, ${counts.joins} joins (${counts.magnets} by magnet), ${counts.misdeeds} misdeeds\n`,
  );
}

function median(numbers: number[]): number {
  const sorted = numbers.sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}

/** Whether memory grew from the second quarter of the run to the last; the first one warms up. */
function judge(): boolean {
  const quarter = Math.max(1, Math.trunc(samples.length / 4));
  let hasGrown = false;
  for (const kind of ['heapBytes', 'bufferBytes', 'residentBytes'] as const) {
    const before = median(samples.slice(quarter, 2 * quarter).map((memory) => memory[kind]));
    const after = median(samples.slice(-quarter).map((memory) => memory[kind]));
    const isTooMuch = after - before > MOST_GROWTH[kind];
    hasGrown ||= isTooMuch;
    process.stdout.write(
      `${kind}: ${mebibytes(before)} in the second quarter, ${mebibytes(after)} in the last: ` +
        `${isTooMuch ? 'it grows' : 'no growth'} (bound ${mebibytes(MOST_GROWTH[kind])})\n`,
    );
  }
  return hasGrown;
}

try {
  await Promise.all([
    forever('download', download, 500),
    forever('joining', joinAnother, 500),
    forever('misdeed', misbehave, 200),
    forever('misdeed', misbehave, 200),
    forever('memory', sample, SAMPLE_SECONDS * 1000),
  ]);
  const hasGrown = judge();
  for (const failure of failures) process.stdout.write(`failed: ${failure}\n`);
  process.exitCode = hasGrown || failures.length > 0 ? 1 : 0;
} finally {
  engine.stop();
  rmSync(folder, { recursive: true, force: true });
}
// Sockets of peers that misbehaved may linger.
process.exit();
