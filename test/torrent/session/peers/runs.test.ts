// Runs of blocks in one message: between own agents, and with nobody else.
import { afterEach, describe, expect, test } from '@jest/globals';
import { encodeBencode } from '../../../../torrent/bencode.ts';
import { MemoryStorage } from '../../../../torrent/storage/memory.ts';
import type { PolicyName } from '../../../../torrent/swarm/policy/policy.ts';
import { BLOCK_BYTES, MAX_RUN_BYTES } from '../../../../torrent/wire/messages.ts';
import { until } from '../../../base/until.ts';
import { makeTorrent } from '../../storage/content.ts';
import { closeAll, completion, startSession } from '../harness.ts';
import { dialRaw, type RawPeer } from '../raw-peer.ts';

const { metainfo, content } = makeTorrent([{ path: 'a', length: 1_000_000 }], {
  pieceLength: 256 * 1024,
});
const { pieceCount } = metainfo;
const OWN = { m: { enxame: 1 }, enxame_run: MAX_RUN_BYTES };
const FOREIGN = { m: {}, enxame_run: MAX_RUN_BYTES };

afterEach(closeAll);

async function join(policy: PolicyName, isSeed: boolean) {
  const session = await startSession();
  const storage = isSeed ? new MemoryStorage(metainfo, content) : new MemoryStorage(metainfo);
  return { session, storage, torrent: session.add({ metainfo, storage, policy, discovery: [] }) };
}

/** A peer that is greeted and has said who it is; resolves once it is unchoked. */
async function meet(port: number, says: object, hasAll: boolean): Promise<RawPeer> {
  const peer = await dialRaw(port, pieceCount);
  peer.takeRuns(MAX_RUN_BYTES);
  peer.greet(metainfo.infoHash);
  if (hasAll) peer.writer.haveAll();
  else peer.writer.haveNone();
  peer.writer.extended(0, encodeBencode(says as Parameters<typeof encodeBencode>[0]));
  peer.writer.interested();
  peer.writer.unchoke();
  peer.flush();
  return peer;
}

const isUnchoked = (peer: RawPeer) => peer.heard.includes('unchoke');

describe('a seed', () => {
  test('answers an own agent that asks for a run, with all of its blocks', async () => {
    const { session } = await join('cluster', true);
    const peer = await meet(session.port, OWN, false);
    await until('unchoked', () => isUnchoked(peer));
    peer.writer.request(1, BLOCK_BYTES, MAX_RUN_BYTES);
    peer.flush();
    const blocks = () => peer.heard.filter((words) => words.startsWith('block'));
    await until('all came', () => blocks().length === 8);
    const start = 256 * 1024 + BLOCK_BYTES;
    const expected = Array.from({ length: 8 }, (_, i) => {
      const at = start + i * BLOCK_BYTES;
      return `block 1 ${(i + 1) * BLOCK_BYTES} ${content.subarray(at, at + BLOCK_BYTES).toString('hex')}`;
    });
    // Compared as a whole: a difference would be a megabyte of hex.
    expect(blocks().join() === expected.join()).toBe(true);
  });

  test.each<[string, PolicyName, object, number, number]>([
    ['a foreign peer', 'cluster', FOREIGN, 0, 2 * BLOCK_BYTES],
    ['an own agent of a classic swarm', 'classic', OWN, 0, 2 * BLOCK_BYTES],
    ['an own agent, for more than a run', 'cluster', OWN, 0, MAX_RUN_BYTES + 1],
    ['an own agent, for a run that begins within a block', 'cluster', OWN, 5, 2 * BLOCK_BYTES],
    ['an own agent, for a run beyond the piece', 'cluster', OWN, 160 * 1024, MAX_RUN_BYTES],
  ])('parts with %s that asks for too much', async (_, policy, says, begin, length) => {
    const { session } = await join(policy, true);
    const peer = await meet(session.port, says, false);
    await until('unchoked', () => isUnchoked(peer));
    peer.writer.request(0, begin, length);
    peer.flush();
    await peer.end();
  });

  test('rejects each block of a run of a piece that it lacks (BEP 6)', async () => {
    const { session } = await join('cluster', false);
    const peer = await meet(session.port, OWN, false);
    await until('unchoked', () => isUnchoked(peer));
    peer.writer.request(0, 0, 3 * BLOCK_BYTES);
    peer.flush();
    const rejects = () => peer.heard.filter((words) => words.startsWith('reject'));
    await until('all are refused', () => rejects().length === 3);
    expect(rejects()).toEqual([0, 1, 2].map((place) => `reject 0 ${place * BLOCK_BYTES} ${BLOCK_BYTES}`));
  });
});

describe('a leecher', () => {
  const lengths = (peer: RawPeer) =>
    peer.heard.filter((words) => words.startsWith('request')).map((words) => Number(words.split(' ')[3]));

  test('asks an own agent for runs, and takes their answer', async () => {
    const { session, storage, torrent } = await join('cluster', false);
    const peer = await meet(session.port, OWN, true);
    peer.writer.takeRuns(MAX_RUN_BYTES);
    peer.onRequest = (piece, begin, length) => {
      const start = piece * metainfo.pieceLength + begin;
      for (let at = 0; at < length; at += BLOCK_BYTES) {
        const end = Math.min(start + at + BLOCK_BYTES, start + length);
        peer.writer.block(piece, begin + at, content.subarray(start + at, end));
      }
      peer.flush();
    };
    await completion(torrent);
    expect(storage.content.equals(content)).toBe(true);
    expect(Math.max(...lengths(peer))).toBeGreaterThan(BLOCK_BYTES);
    expect(Math.max(...lengths(peer))).toBeLessThanOrEqual(MAX_RUN_BYTES);
  });

  test.each<[string, PolicyName, object]>([
    ['a foreign peer', 'cluster', FOREIGN],
    ['anybody in a classic swarm', 'classic', OWN],
    ['an own agent that takes none', 'cluster', { m: { enxame: 1 } }],
  ])('asks %s for single blocks', async (_, policy, says) => {
    const { session, torrent } = await join(policy, false);
    const peer = await meet(session.port, says, true);
    peer.onRequest = (piece, begin, length) => {
      const start = piece * metainfo.pieceLength + begin;
      peer.writer.block(piece, begin, content.subarray(start, start + length));
      peer.flush();
    };
    await completion(torrent);
    expect(Math.max(...lengths(peer))).toBe(BLOCK_BYTES);
  });

  test('parts with a foreign peer that sends a run', async () => {
    const { session } = await join('cluster', false);
    const peer = await meet(session.port, FOREIGN, true);
    peer.writer.block(0, 0, content.subarray(0, 2 * BLOCK_BYTES));
    peer.flush();
    await peer.end();
  });
});
