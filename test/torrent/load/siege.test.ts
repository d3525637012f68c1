// A live engine, in a process with a small heap, while others misbehave in each known way: honest peers complete,
// nothing is logged as a defect, and memory stays within what is stated here.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { encodeBencode } from '../../../torrent/bencode.ts';
import { MemoryStorage } from '../../../torrent/storage/memory.ts';
import { until } from '../../base/until.ts';
import { seededRandom } from '../../tracker/seeded-random.ts';
import { closeAll, completion, startSession } from '../session/harness.ts';
import { dialRaw, listenRaw, type RawPeer } from '../session/raw-peer.ts';
import { makeTorrent } from '../storage/content.ts';
import { EngineProcess } from './engine.ts';
import { MISDEEDS } from './misdeeds.ts';
import { writeZeros, zeros } from './sparse-torrent.ts';
import { writeContent } from './swarm-content.ts';

const MIB = 1024 * 1024;
const BLOCK = 16 * 1024;

/** The engine's heap; it ends where it would need more. */
const HEAP_MEBIBYTES = 48;
/** What it may hold of it while it is misused. */
const MOST_HEAP = 32 * MIB;
/** Buffers: 40 MiB for what is read and read again, pieces on their way, and little for each peer. */
const MOST_BUFFERS = 64 * MIB;
/** What a peer that does not read what it asked for may make us keep besides. */
const MOST_FOR_A_SLOW_READER = 3 * MIB;

const held = makeTorrent([{ path: 'held', length: 2 * MIB + 3 }], { pieceLength: 64 * 1024 });
let engine: EngineProcess;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'enxame-siege-'));
  engine = await EngineProcess.start(HEAP_MEBIBYTES);
  writeContent(join(folder, 'held', 'content'), held.metainfo, held.content);
  await joinSwarm(held.metainfo, 'held', true);
});

afterEach(closeAll);

afterAll(() => {
  engine.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function joinSwarm(
  metainfo: typeof held.metainfo,
  name: string,
  isComplete: boolean,
  peers: { host: string; port: number }[] = [],
): Promise<void> {
  await engine.join({
    info: Buffer.from(metainfo.infoBytes).toString('base64'),
    folder: join(folder, name),
    isComplete,
    policy: 'cluster',
    peers,
  });
}

async function greeted({ infoHash, pieceCount }: typeof held.metainfo): Promise<RawPeer> {
  const peer = await dialRaw(engine.address.port, pieceCount);
  peer.greet(infoHash, { peerId: randomBytes(20) });
  await until('it is greeted or gone', () => peer.isGreeted || peer.ended !== undefined);
  return peer;
}

async function expectBoundedMemory(slowReaders = 0): Promise<void> {
  const { heapBytes, bufferBytes, problems } = await engine.memory();
  expect(problems).toEqual([]);
  expect(heapBytes).toBeLessThan(MOST_HEAP);
  expect(bufferBytes).toBeLessThan(MOST_BUFFERS + slowReaders * MOST_FOR_A_SLOW_READER);
}

/** Somebody honest gets everything from the engine. */
async function expectServing(): Promise<void> {
  const session = await startSession();
  const storage = new MemoryStorage(held.metainfo);
  const torrent = session.add({ metainfo: held.metainfo, storage, policy: 'cluster', discovery: [] });
  torrent.addPeers([engine.address]);
  await completion(torrent);
  expect(storage.content.equals(held.content)).toBe(true);
}

describe('a seed serves on, within its memory, whoever sends', () => {
  test.each(Object.entries(MISDEEDS))('%s', async (_, misdeed) => {
    const random = seededRandom(7);
    const { metainfo } = held;
    const peers = await Promise.all([1, 2, 3].map(() => greeted(metainfo)));
    const served = expectServing();
    for (const [index, peer] of peers.entries()) {
      misdeed(peer, { metainfo, random });
      if (index === 2) peer.socket.pause();
      peer.flush();
    }
    await served;
    await expectBoundedMemory(1);
  });
});

test('a seed bounds what it keeps for peers that ask here and there and read nothing', async () => {
  const metainfo = zeros('here and there', 1024 * MIB, MIB / 2);
  writeZeros(join(folder, 'wide'), metainfo);
  await joinSwarm(metainfo, 'wide', true);
  const peers: RawPeer[] = [];
  for (let i = 0; i < 20; i++) peers.push(await greeted(metainfo));
  for (const [i, peer] of peers.entries()) {
    // An own agent is unchoked at once.
    peer.writer.extended(0, encodeBencode({ m: { enxame: 1 } }));
    peer.writer.haveNone();
    peer.writer.interested();
    peer.socket.pause();
    // Each of another 512 KiB.
    for (let r = 0; r < 2000; r++) {
      peer.writer.request((r * 7 + i * 41) % metainfo.pieceCount, (r % 32) * BLOCK, BLOCK);
    }
    peer.flush();
  }
  let uploaded = -1;
  let quiet = 0;
  // The kernel takes some MiB of each; what the engine keeps after that is what it has to bound.
  while (quiet < 3) {
    const now = (await engine.progress(metainfo.infoHashHex))?.uploadedBytes ?? 0;
    quiet = now === uploaded ? quiet + 1 : 0;
    uploaded = now;
    await expectBoundedMemory(peers.length);
    const next = performance.now() + 300;
    await until('a moment has passed', () => performance.now() >= next);
  }
  expect(uploaded).toBeGreaterThan(0);
  await expectServing();
  await engine.leave(metainfo.infoHashHex);
});

describe('a leecher completes, within its memory', () => {
  /** Peers that wait to be dialled, and what each does once it is greeted. */
  async function withPeers(
    name: string,
    behave: (peer: RawPeer, wanted: typeof held) => void,
  ): Promise<void> {
    const wanted = makeTorrent([{ path: 'wanted', length: 4 * MIB + 1 }], {
      pieceLength: 64 * 1024,
      seed: name.length,
    });
    const { metainfo, content } = wanted;
    // Each on an address of its own: a ban hits all of an address.
    const hosts = ['127.0.0.2', '127.0.0.3', '127.0.0.4'];
    const bad = await Promise.all(hosts.map((host) => listenRaw(metainfo.pieceCount, host)));
    for (const { peer } of bad) {
      void peer.then((raw) => {
        raw.greet(metainfo.infoHash, { peerId: randomBytes(20) });
        behave(raw, wanted);
        raw.flush();
      });
    }
    await joinSwarm(
      metainfo,
      name,
      false,
      bad.map(({ address }) => address),
    );
    await until('the bad ones are there', () => bad.every(({ connections }) => connections() > 0));
    const seed = await startSession({ limits: { uploadBytesPerSecond: 8 * MIB } });
    const storage = new MemoryStorage(metainfo, content);
    seed.add({ metainfo, storage, policy: 'cluster', discovery: [] }).addPeers([engine.address]);
    let left = 1;
    await until(
      'it is complete',
      () => {
        void engine.progress(metainfo.infoHashHex).then((progress) => {
          left = progress?.bytesLeft ?? 1;
        });
        return left === 0;
      },
      60,
    );
    await expectBoundedMemory();
    await engine.leave(metainfo.infoHashHex);
  }

  test('beside peers that answer with corrupt blocks', async () => {
    await withPeers('corrupt', (peer, { content }) => {
      peer.onRequest = (piece, begin, length) => {
        const block = Buffer.from(content.subarray(piece * 65536 + begin, piece * 65536 + begin + length));
        block[0] = (block[0] ?? 0) ^ 1;
        peer.writer.block(piece, begin, block);
        peer.flush();
      };
      peer.writer.haveAll();
      peer.writer.unchoke();
    });
  });

  test('beside peers that have everything and send nothing', async () => {
    await withPeers('mute', (peer) => {
      peer.writer.haveAll();
      peer.writer.unchoke();
    });
  });

  test('beside peers that refuse every request', async () => {
    await withPeers('refusing', (peer) => {
      peer.onRequest = (piece, begin, length) => {
        peer.writer.reject(piece, begin, length);
        peer.flush();
      };
      peer.writer.haveAll();
      peer.writer.unchoke();
    });
  });

  test('beside peers that send every block twice, and after it was taken back', async () => {
    await withPeers('twice over', (peer, { content }) => {
      peer.onRequest = (piece, begin, length) => {
        const start = piece * 65536 + begin;
        for (let i = 0; i < 2; i++) peer.writer.block(piece, begin, content.subarray(start, start + length));
        peer.flush();
      };
      peer.writer.haveAll();
      peer.writer.unchoke();
    });
  });

  test('beside peers that choke and unchoke while they answer', async () => {
    await withPeers('wavering', (peer, { content }) => {
      let asked = 0;
      peer.onRequest = (piece, begin, length) => {
        const start = piece * 65536 + begin;
        if (++asked % 3 === 0) {
          peer.writer.choke();
          peer.writer.unchoke();
        } else peer.writer.block(piece, begin, content.subarray(start, start + length));
        peer.flush();
      };
      peer.writer.haveAll();
      peer.writer.unchoke();
    });
  });

  test.each(['everything, and sends nothing', 'rubbish', 'thousands of addresses', 'pieces lost and found'])(
    'beside peers that send: %s',
    async (name) => {
      const random = seededRandom(3);
      await withPeers(name, (peer, { metainfo }) => MISDEEDS[name]?.(peer, { metainfo, random }));
    },
  );
});
