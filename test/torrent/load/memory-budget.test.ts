// Resident memory under siege: many torrents and connections, long pieces of many peers, and readers of nothing. The
// bound is what the same torrents and connections take at rest, 1.1 times the budget, and 48 MiB.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { encodeBencode } from '../../../torrent/bencode.ts';
import { MIN_MEMORY_BYTES } from '../../../torrent/memory-ledger.ts';
import type { Metainfo } from '../../../torrent/metainfo.ts';
import { until } from '../../base/until.ts';
import { afterwards, closeAll } from '../session/harness.ts';
import { dialRaw, type RawPeer } from '../session/raw-peer.ts';
import { EngineProcess } from './engine.ts';
import { writeZeros, zeros } from './sparse-torrent.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const BLOCK = 16 * KIB;
const HEAP_MEBIBYTES = 64;

const GIVERS = 30;
/** What each of them gives; all together more than twice the smallest budget. */
const GIVEN_BYTES = 5 * MIB;
const TORRENTS = 200;
const CONNECTIONS = 500;

afterEach(closeAll);

let peerCount = 0;
const zeroBlock = Buffer.alloc(BLOCK);

async function greeted(engine: EngineProcess, { infoHash, pieceCount }: Metainfo): Promise<RawPeer> {
  const peer = await dialRaw(engine.address.port, pieceCount);
  peer.greet(infoHash, { peerId: Buffer.from(`-RAW000-${String(peerCount++).padStart(12, '0')}`) });
  await until('it is greeted or gone', () => peer.isGreeted || peer.ended !== undefined);
  return peer;
}

/** A process that has joined the torrents; of the first the pieces are 32 MiB long, of the others every other one is complete. */
async function startEngine(memoryBytes: number, torrents: readonly Metainfo[]): Promise<EngineProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'enxame-budget-'));
  afterwards(() => rmSync(folder, { recursive: true, force: true }));
  const engine = await EngineProcess.start(HEAP_MEBIBYTES, { memoryBytes });
  afterwards(() => engine.stop());
  for (const [index, metainfo] of torrents.entries()) {
    const place = join(folder, metainfo.infoHashHex);
    const isComplete = index % 2 === 1;
    if (isComplete) writeZeros(place, metainfo);
    const info = Buffer.from(metainfo.infoBytes).toString('base64');
    await engine.join({ info, folder: place, isComplete, policy: 'cluster', peers: [] });
  }
  return engine;
}

/** Has a piece of its own, and gives so much of it as it is asked for, up to its limit. */
async function addGiver(engine: EngineProcess, metainfo: Metainfo, piece: number) {
  const peer = await greeted(engine, metainfo);
  const given = { bytes: 0, requests: 0 };
  peer.onRequest = (piece, begin, length) => {
    given.requests++;
    if (given.bytes >= GIVEN_BYTES) return;
    given.bytes += length;
    peer.writer.block(piece, begin, zeroBlock.subarray(0, length));
    setImmediate(() => peer.flush());
  };
  peer.writer.extended(0, encodeBencode({ m: { enxame: 1 }, reqq: 2000 }));
  peer.writer.haveNone();
  peer.writer.have(piece);
  peer.flush();
  const begin = () => {
    peer.writer.unchoke();
    peer.flush();
  };
  return { given, begin };
}

/** Asks for everything of a complete torrent, and reads nothing. */
async function addReader(engine: EngineProcess, metainfo: Metainfo) {
  const peer = await greeted(engine, metainfo);
  peer.writer.extended(0, encodeBencode({ m: { enxame: 1 } }));
  peer.writer.haveNone();
  peer.writer.interested();
  peer.flush();
  const begin = () => {
    peer.socket.pause();
    for (let block = 0; block < 1000; block++)
      peer.writer.request((block * 7) % metainfo.pieceCount, 0, BLOCK);
  };
  return { peer, begin };
}

/** Begins to give each piece of an incomplete torrent, and gives no more than the first block. */
async function addBeginner(engine: EngineProcess, metainfo: Metainfo) {
  const peer = await greeted(engine, metainfo);
  let isBegun = false;
  peer.onRequest = (piece, begin, length) => {
    if (begin !== 0 || isBegun) return;
    isBegun = true;
    peer.writer.block(piece, begin, zeroBlock.subarray(0, length));
    setImmediate(() => peer.flush());
  };
  peer.writer.haveAll();
  peer.flush();
  return { peer, begin: () => peer.writer.unchoke() };
}

test.each([
  ['the smallest budget', MIN_MEMORY_BYTES],
  ['twice of it', 2 * MIN_MEMORY_BYTES],
])('200 torrents, 500 connections, long pieces of 30 peers and readers of nothing: %s', async (_, budget) => {
  const long = zeros('long pieces', GIVERS * 32 * MIB, 32 * MIB);
  const others = Array.from({ length: TORRENTS - 1 }, (_, i) => zeros(`torrent ${i}`, 16 * MIB, 512 * KIB));
  const engine = await startEngine(budget, [long, ...others]);
  const givers = await Promise.all(
    Array.from({ length: GIVERS }, (_, piece) => addGiver(engine, long, piece)),
  );
  const strangers: { peer: RawPeer; begin: () => void }[] = [];
  for (let i = 0; i < CONNECTIONS - GIVERS; i++) {
    const metainfo = others[i % others.length] as Metainfo;
    const isComplete = (i % others.length) % 2 === 0;
    strangers.push(await (isComplete ? addReader(engine, metainfo) : addBeginner(engine, metainfo)));
  }
  const rest = await engine.memory();
  expect([rest.peers, rest.torrents, rest.problems]).toEqual([CONNECTIONS, TORRENTS, []]);

  let most = 0;
  const look = () => {
    most = Math.max(most, engine.residentBytes());
  };
  for (const { peer, begin } of strangers) {
    begin();
    peer.flush();
    look();
  }
  for (const { begin } of givers) begin();
  await until('everybody has given what it gives', () => {
    look();
    return givers.every(({ given }) => given.bytes >= GIVEN_BYTES);
  });
  await until('each of them is asked for more', () =>
    givers.every(({ given }) => given.requests * BLOCK > GIVEN_BYTES),
  );
  const { problems } = await engine.memory();
  look();
  expect(problems).toEqual([]);
  process.stdout.write(
    `budget ${budget / MIB} MiB: at rest ${(rest.residentBytes / MIB).toFixed(0)} MiB, at most ${(most / MIB).toFixed(0)} MiB\n`,
  );
  expect(most).toBeLessThan(rest.residentBytes + 1.1 * budget + 48 * MIB);
});
