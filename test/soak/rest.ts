/**
 * What a process of the image rests at after much work: it gets and serves large content by turns, and a minute after the last
 * byte its resident memory is told.
 *
 *     npm run soak:rest                    20 GiB in all
 *     npm run soak:rest -- --gibibytes 4   less
 *
 * Exits 0 if it rests below 150 MiB.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { MALLOC_ENVIRONMENT } from '../../image/environment.ts';
import type { Metainfo } from '../../torrent/metainfo.ts';
import { until } from '../base/until.ts';
import { EngineProcess, mebibytes } from '../torrent/load/engine.ts';
import { writeZeros, zeros } from '../torrent/load/sparse-torrent.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const REST_SECONDS = 60;
const MOST_AT_REST = 150 * MIB;
/** Of the heap's old generation: what Node would choose on a large machine. */
const HEAP_MEBIBYTES = 2048;

const { values } = parseArgs({ options: { gibibytes: { type: 'string', default: '20' } } });
Object.assign(process.env, MALLOC_ENVIRONMENT);
const folder = mkdtempSync(join(tmpdir(), 'enxame-rest-'));
const [agent, other] = [await EngineProcess.start(HEAP_MEBIBYTES), await EngineProcess.start(HEAP_MEBIBYTES)];

async function joined(engine: EngineProcess, metainfo: Metainfo, isComplete: boolean, peer: EngineProcess) {
  const place = mkdtempSync(join(folder, 'torrent-'));
  mkdirSync(place, { recursive: true });
  if (isComplete) writeZeros(place, metainfo);
  const info = Buffer.from(metainfo.infoBytes).toString('base64');
  await engine.join({ info, folder: place, isComplete, policy: 'cluster', peers: [peer.address] });
  return place;
}

/** One GiB from the one to the other. */
async function move(number: number, from: EngineProcess, to: EngineProcess): Promise<void> {
  // Pieces of all usual lengths.
  const metainfo = zeros(`content ${number}`, GIB, (256 * 1024) << (number % 7));
  const places = [await joined(from, metainfo, true, to), await joined(to, metainfo, false, from)];
  await until(
    'it is complete',
    async () => (await to.progress(metainfo.infoHashHex))?.bytesLeft === 0,
    300,
    200,
  );
  for (const engine of [from, to]) await engine.leave(metainfo.infoHashHex);
  for (const place of places) rmSync(place, { recursive: true, force: true });
}

try {
  console.log(`at the start ${mebibytes(agent.residentBytes())}`);
  for (let number = 0; number < Number(values.gibibytes); number++) {
    await (number % 2 === 0 ? move(number, other, agent) : move(number, agent, other));
    console.log(`after ${number + 1} GiB ${mebibytes(agent.residentBytes())}`);
  }
  await delay(REST_SECONDS * 1000);
  const bytes = agent.residentBytes();
  console.log(`at rest ${mebibytes(bytes)}, at most ${mebibytes(MOST_AT_REST)}`);
  process.exitCode = bytes < MOST_AT_REST ? 0 : 1;
} finally {
  agent.stop();
  other.stop();
  rmSync(folder, { recursive: true, force: true });
}
