// One connection whose peer does not read.
import { expect, test } from '@jest/globals';
import { Connection } from '../../../torrent/session/connection.ts';
import type { ConnectionOwner } from '../../../torrent/session/connection-owner.ts';
import type { PeerSocket } from '../../../torrent/session/peer-socket.ts';
import { BLOCK, makeSwarm } from '../swarm/harness.ts';
import { silent } from './harness.ts';

/** Buffers of the storage that what waits to be written to one peer may keep. */
const MOST_LENT = 4;

test('what waits to be written keeps few buffers of the storage, and the rest as copies', () => {
  const pieces = 12;
  const memory = Array.from({ length: pieces }, () => Buffer.alloc(512 * 1024));
  const isLent = new Set<ArrayBufferLike>();
  const waiting: { buffers: ArrayBufferLike[]; written: () => void }[] = [];
  const socket: Partial<PeerSocket> = {
    unsentBytes: 0,
    handOver() {},
    close() {},
    write(chunks, written) {
      waiting.push({ buffers: chunks.map(({ buffer }) => buffer), written: written ?? (() => {}) });
    },
  };
  const storage = {
    cachedBlock(piece: number, offset: number, length: number) {
      const block = (memory[piece] as Buffer).subarray(offset, offset + length);
      isLent.add(block.buffer);
      return block;
    },
    release: ({ buffer }: Buffer) => isLent.delete(buffer),
  };
  const owner: Partial<ConnectionOwner> = {
    swarm: makeSwarm({ pieces }).swarm,
    storage: storage as Partial<ConnectionOwner['storage']> as ConnectionOwner['storage'],
    clock: { monotonic: () => 0 },
    logger: silent,
    flushSoon() {},
  };
  const connection = new Connection(
    owner as ConnectionOwner,
    socket as PeerSocket,
    { outgoing: false, address: { host: '10.0.0.1', port: 1 } },
    { infoHash: Buffer.alloc(20), peerId: Buffer.alloc(20), fast: true, extensions: false },
  );
  // Twice, since what was written makes room again.
  for (let round = 0; round < 2; round++) {
    for (let piece = 0; piece < pieces; piece++) {
      for (const begin of [0, BLOCK]) connection.sendBlock(piece, begin, BLOCK);
      connection.flush();
    }
    const kept = new Set(waiting.flatMap(({ buffers }) => buffers));
    expect(memory.filter(({ buffer }) => kept.has(buffer))).toHaveLength(MOST_LENT);
    expect(isLent.size).toBe(MOST_LENT);
    expect(connection.pendingBytes).toBe(2 * pieces * BLOCK);
    for (const { written } of waiting.splice(0)) written();
    expect(isLent.size).toBe(0);
    expect(connection.pendingBytes).toBe(0);
  }
});
