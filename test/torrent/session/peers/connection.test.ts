// One connection whose peer does not read: what it keeps of the storage's buffers.
import { expect, test } from '@jest/globals';
import { Connection } from '../../../../torrent/session/peers/connection.ts';
import type { ConnectionOwner } from '../../../../torrent/session/peers/connection-owner.ts';
import type { PeerSocket } from '../../../../torrent/session/peers/peer-socket.ts';
import { BLOCK, makeSwarm } from '../../swarm/harness.ts';
import { silent } from '../harness.ts';

/** Buffers of the storage that what waits to be written to one peer may keep. */
const MOST_LENT = 4;

const PIECES = 12;

/** A connection to a peer that reads only when it is told to, from a storage that knows what is lent. */
function makeConnection() {
  const memory = Array.from({ length: PIECES }, () => Buffer.alloc(512 * 1024));
  /** Blocks that are lent, by memory. */
  const lent = new Map<ArrayBufferLike, number>();
  const lend = (buffer: ArrayBufferLike, blocks: number) => {
    const count = (lent.get(buffer) ?? 0) + blocks;
    if (count === 0) lent.delete(buffer);
    else lent.set(buffer, count);
  };
  const waiting: { buffers: ArrayBufferLike[]; done: (haveLeft: boolean) => void }[] = [];
  const socket: Partial<PeerSocket> = {
    unsentBytes: 0,
    handOver() {},
    close() {},
    write(chunks, done) {
      waiting.push({ buffers: chunks.map(({ buffer }) => buffer), done: done ?? (() => {}) });
    },
  };
  const storage = {
    cachedBlock(piece: number, offset: number, length: number) {
      const block = (memory[piece] as Buffer).subarray(offset, offset + length);
      lend(block.buffer, 1);
      return block;
    },
    release: ({ buffer }: Buffer) => memory.some((each) => each.buffer === buffer) && lend(buffer, -1),
  };
  const owner: Partial<ConnectionOwner> = {
    swarm: makeSwarm({ pieces: PIECES }).swarm,
    storage: storage as Partial<ConnectionOwner['storage']> as ConnectionOwner['storage'],
    clock: { monotonic: () => 0 },
    logger: silent,
    flushSoon() {},
    closed() {},
  };
  const connection = new Connection(
    owner as ConnectionOwner,
    socket as PeerSocket,
    { outgoing: false, address: { host: '10.0.0.1', port: 1 } },
    { infoHash: Buffer.alloc(20), peerId: Buffer.alloc(20), fast: true, extensions: false },
  );
  return { connection, memory, lent, waiting };
}

test('what waits to be written keeps few buffers of the storage, and the rest as copies', () => {
  const { connection, memory, lent, waiting } = makeConnection();
  // Twice, since what was written makes room again.
  for (let round = 0; round < 2; round++) {
    for (let piece = 0; piece < PIECES; piece++) {
      for (const begin of [0, BLOCK]) connection.sendBlock(piece, begin, BLOCK);
      connection.flush();
    }
    const kept = new Set(waiting.flatMap(({ buffers }) => buffers));
    expect(memory.filter(({ buffer }) => kept.has(buffer))).toHaveLength(MOST_LENT);
    expect(lent.size).toBe(MOST_LENT);
    expect(connection.pendingBytes).toBe(2 * PIECES * BLOCK);
    for (const { done } of waiting.splice(0)) done(true);
    expect(lent.size).toBe(0);
    expect(connection.pendingBytes).toBe(0);
  }
});

test('a connection that ends gives back what was collected at once, and what was written when that fails', () => {
  const { connection, lent, waiting } = makeConnection();
  connection.sendBlock(0, 0, BLOCK);
  connection.flush();
  connection.sendBlock(1, 0, BLOCK);
  expect([...lent.values()]).toEqual([1, 1]);
  connection.close('the torrent is stopped');
  expect([...lent.values()]).toEqual([1]);
  for (const { done } of waiting) done(false);
  expect(lent.size).toBe(0);
});
