// What size and number cost: a torrent of 50 GiB, 200 torrents in one process, 500 connections. Each bound is stated
// here and is between one and a half and three times what was measured; the engine runs in a process of its own, with a small heap.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { encodeBencode } from '../../../torrent/bencode.ts';
import type { Metainfo } from '../../../torrent/metainfo.ts';
import { until } from '../../base/until.ts';
import { closeAll } from '../session/harness.ts';
import { dialRaw, type RawPeer } from '../session/raw-peer.ts';
import { EngineProcess } from './engine.ts';
import type { MemoryAnswer } from './questions.ts';
import { writeZeros, zeros } from './sparse-torrent.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const HEAP_MEBIBYTES = 64;

/** 102,400 pieces: 2 MiB of hashes, and what is known of each piece. */
const MOST_FOR_MANY_PIECES = 10 * MIB;
/** 80 KiB were measured, its bitfield and what is sent and received at first among them. */
const MOST_FOR_A_NEIGHBOUR_OF_MANY_PIECES = 128 * KIB;
const MOST_FOR_A_TORRENT = 48 * KIB;
const MOST_FOR_A_CONNECTION = 64 * KIB;

let engine: EngineProcess;
let folder: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'enxame-memory-'));
  engine = await EngineProcess.start(HEAP_MEBIBYTES);
});

afterEach(async () => {
  await closeAll();
  engine.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function add(metainfo: Metainfo, isComplete: boolean): Promise<void> {
  const place = join(folder, metainfo.infoHashHex);
  if (isComplete) writeZeros(place, metainfo);
  await engine.join({
    info: Buffer.from(metainfo.infoBytes).toString('base64'),
    folder: place,
    isComplete,
    policy: 'cluster',
    peers: [],
  });
}

let peerCount = 0;

async function greeted({ infoHash, pieceCount }: Metainfo): Promise<RawPeer> {
  const peer = await dialRaw(engine.address.port, pieceCount);
  peer.greet(infoHash, { peerId: Buffer.from(`-RAW000-${String(peerCount++).padStart(12, '0')}`) });
  await until('it is greeted or gone', () => peer.isGreeted || peer.ended !== undefined);
  return peer;
}

const used = ({ heapBytes, bufferBytes }: MemoryAnswer) => heapBytes + bufferBytes;

/** What it needs more than before. */
async function growth(before: MemoryAnswer): Promise<number> {
  const after = await engine.memory();
  expect(after.problems).toEqual([]);
  return used(after) - used(before);
}

test.each([
  ['a seed', true],
  ['a leecher', false],
])('50 GiB in 102,400 pieces, %s with 20 neighbours', async (_, isComplete) => {
  const metainfo = zeros('50 GiB', 50 * GIB, 512 * KIB);
  expect(metainfo.pieceCount).toBe(102_400);
  const idle = await engine.memory();
  await add(metainfo, isComplete);
  const torrent = await growth(idle);
  const alone = await engine.memory();
  const peers: RawPeer[] = [];
  for (let i = 0; i < 20; i++) {
    const peer = await greeted(metainfo);
    peers.push(peer);
    // Each has another half.
    const bits = Buffer.alloc(metainfo.pieceCount / 8, i % 2 === 0 ? 0x55 : 0x33);
    peer.writer.extended(0, encodeBencode({ reqq: 1 }));
    peer.writer.bitfield(bits);
    if (isComplete) peer.writer.interested();
    peer.flush();
  }
  await until('all are connected', () => peers.every(({ heard }) => heard.length > 0));
  const neighbours = await growth(alone);
  expect(torrent).toBeLessThan(MOST_FOR_MANY_PIECES);
  expect(neighbours).toBeLessThan(20 * MOST_FOR_A_NEIGHBOUR_OF_MANY_PIECES);
});

test('200 torrents at once with 500 connections, and no more than these', async () => {
  const idle = await engine.memory();
  const torrents = Array.from({ length: 200 }, (_, i) => zeros(`torrent ${i}`, 4 * MIB, 64 * KIB));
  for (const [i, metainfo] of torrents.entries()) await add(metainfo, i % 2 === 0);
  const forTorrents = await growth(idle);
  const alone = await engine.memory();
  expect(alone.torrents).toBe(200);
  const peers: RawPeer[] = [];
  for (let i = 0; i < 500; i++) {
    const metainfo = torrents[i % torrents.length] as Metainfo;
    const peer = await greeted(metainfo);
    peer.writer.extended(0, encodeBencode({ m: { ut_pex: 3 }, v: 'raw peer' }));
    peer.writer.haveNone();
    peer.writer.interested();
    peer.flush();
    peers.push(peer);
  }
  expect(peers.filter(({ ended }) => ended !== undefined)).toEqual([]);
  const one = await dialRaw(engine.address.port, 64);
  await one.end();
  expect((await engine.memory()).peers).toBe(500);
  const forConnections = await growth(alone);
  expect(forTorrents).toBeLessThan(200 * MOST_FOR_A_TORRENT);
  expect(forConnections).toBeLessThan(500 * MOST_FOR_A_CONNECTION);
});
